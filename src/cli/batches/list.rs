//! `milepost list`: batches on a server, newest first.

use std::io::{self, Write as _};

use clap::Args;

use super::AskArgs;
use crate::cli::CliError;
use crate::cli::columns::json_line;
use crate::cli::table::{Align, TextTable};
use crate::client::words;
use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{Batch, BatchPage};

/// Flags of `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Only those in this state: scheduled, pending, running, paused, cancelling, succeeded, failed, cancelled; or active,
    /// finished, failures (with failed items).
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those of this task.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only those of this person.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Writes each batch as one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Prints the list.
///
/// # Errors
/// Where the server refuses, or does not answer.
pub(in crate::cli) async fn list(args: ListArgs) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let filters: Vec<(&str, String)> =
        [("state", args.state), ("task", args.task), ("owner", args.owner), ("q", args.search)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
    let mut left = args.limit;
    let mut cursor = None;
    let mut table = table();
    while left > 0 {
        let mut query = filters.clone();
        query.push(("limit", left.min(PAGE_ROWS_MAX).to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: BatchPage = client.get("/batches", &query).await?;
        for batch in page.batches.iter().take(left as usize) {
            if args.json {
                writeln!(io::stdout(), "{}", json_line(batch))?;
            } else {
                table.push(row(batch));
            }
        }
        left = left.saturating_sub(u32::try_from(page.batches.len()).unwrap_or(u32::MAX));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if !args.json {
        table.print()?;
    }
    Ok(())
}

fn table() -> TextTable {
    TextTable::new(&[
        ("number", Align::Right),
        ("name", Align::Left),
        ("task", Align::Left),
        ("state", Align::Left),
        ("ended", Align::Right),
        ("items", Align::Right),
        ("failed", Align::Right),
        ("owner", Align::Left),
        ("submitted", Align::Left),
        ("id", Align::Left),
    ])
}

fn row(batch: &Batch) -> Vec<String> {
    vec![
        batch.number.to_string(),
        batch.name.clone(),
        batch.task.clone(),
        batch.state.as_str().to_owned(),
        batch.ended().to_string(),
        batch.total.to_string(),
        batch.failed.to_string(),
        batch.owner.clone(),
        words::absolute(batch.created_at),
        batch.id.to_string(),
    ]
}
