//! `milepost show`: one batch, its counts and what it fails of.

use std::io::{self, Write as _};

use clap::Args;

use super::{AskArgs, lookup};
use crate::cli::CliError;
use crate::cli::columns::{json_line, plain};
use crate::cli::table::{Align, TextTable};
use crate::cli::watch::BatchName;
use crate::client::words;
use crate::protocol::{Batch, FamilyPage, ItemState};

/// Families that are shown.
const FAMILIES_MAX: usize = 20;

/// Flags of `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Id of the batch, or its number: 128, or '#128' in quotes.
    #[arg(value_name = "BATCH")]
    batch: BatchName,
    #[command(flatten)]
    ask: AskArgs,
    /// Writes the batch as one JSON object, and one more per line for each family of failures.
    #[arg(long)]
    json: bool,
}

/// Prints it.
///
/// # Errors
/// Where there is none, or the server does not answer.
pub(in crate::cli) async fn show(args: ShowArgs) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let batch = lookup::find(&client, args.batch).await?;
    let families: FamilyPage = client.get(&format!("/batches/{}/families", batch.id), &[]).await?;
    if args.json {
        writeln!(io::stdout(), "{}", json_line(&batch))?;
        for family in &families.families {
            writeln!(io::stdout(), "{}", json_line(family))?;
        }
        return Ok(());
    }
    let mut text = String::new();
    for (name, value) in facts(&batch) {
        text.push_str(&format!("{name:<10} {}\n", plain(&value)));
    }
    io::stdout().write_all(text.as_bytes())?;
    if families.families.is_empty() {
        return Ok(());
    }
    writeln!(io::stdout())?;
    let mut table = TextTable::new(&[
        ("failed", Align::Right),
        ("family", Align::Left),
        ("sample", Align::Right),
        ("message", Align::Left),
    ]);
    for family in families.families.into_iter().take(FAMILIES_MAX) {
        let sample = family.samples.first().map(ToString::to_string).unwrap_or_default();
        table.push(vec![family.count.to_string(), family.id.to_string(), sample, family.message]);
    }
    Ok(table.print()?)
}

fn facts(batch: &Batch) -> Vec<(&'static str, String)> {
    let counts: Vec<_> = ItemState::ALL
        .into_iter()
        .filter(|state| batch.count(*state) > 0)
        .map(|state| format!("{} {}", words::thousands(batch.count(state)), state.as_str()))
        .collect();
    let reason = batch.reason.as_deref().map(words::reason).map(|reason| format!(" ({reason})"));
    let mut facts = vec![
        ("batch", format!("#{} {}", batch.number, batch.name)),
        ("id", batch.id.to_string()),
        ("task", batch.task.clone()),
        ("params", batch.params.as_str().to_owned()),
        ("owner", batch.owner.clone()),
        ("state", format!("{}{}", batch.state.as_str(), reason.unwrap_or_default())),
        ("items", format!("{} of {} ended", words::thousands(batch.ended()), words::thousands(batch.total))),
        ("counts", counts.join(", ")),
        ("submitted", words::absolute(batch.created_at)),
    ];
    if !batch.sealed {
        facts.push(("open", "more items may come".to_owned()));
    }
    for (name, at) in [("started", batch.started_at), ("finished", batch.finished_at)] {
        facts.extend(at.map(|at| (name, words::absolute(at))));
    }
    let retry = words::retried(batch, None);
    facts.extend(retry.strip_prefix("Retry ").map(|retry| ("retry", retry.to_owned())));
    let outlook = words::outlook(batch);
    if !outlook.is_empty() && !batch.state.is_finished() {
        facts.push(("outlook", outlook));
    }
    facts
}
