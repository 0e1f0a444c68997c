//! `milepost schedule list`: what is there, newest first.

use std::io::{self, Write as _};

use clap::Args;

use super::AskArgs;
use crate::cli::CliError;
use crate::cli::columns::json_line;
use crate::cli::table::{Align, TextTable};
use crate::client::words;
use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{Schedule, SchedulePage};

/// Flags of `schedule list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ScheduleListArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Writes each schedule as one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Prints the list.
///
/// # Errors
/// Where the server refuses, or does not answer.
pub(super) async fn list(args: ScheduleListArgs) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let (mut left, mut cursor, mut table) = (args.limit, None, table());
    while left > 0 {
        let mut query = vec![("limit", left.min(PAGE_ROWS_MAX).to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: SchedulePage = client.get("/schedules", &query).await?;
        for schedule in page.schedules.iter().take(left as usize) {
            if args.json {
                writeln!(io::stdout(), "{}", json_line(schedule))?;
            } else {
                table.push(row(schedule));
            }
        }
        left = left.saturating_sub(u32::try_from(page.schedules.len()).unwrap_or(u32::MAX));
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
        ("name", Align::Left),
        ("cron", Align::Left),
        ("time zone", Align::Left),
        ("next", Align::Left),
        ("last batch", Align::Right),
        ("state", Align::Left),
        ("owner", Align::Left),
        ("error", Align::Left),
        ("id", Align::Left),
    ])
}

fn row(schedule: &Schedule) -> Vec<String> {
    let last = schedule.last_batch.as_ref();
    vec![
        schedule.name.clone(),
        schedule.cron.clone(),
        schedule.time_zone.clone(),
        next(schedule),
        last.map(|batch| batch.number.to_string()).unwrap_or_default(),
        last.map(|batch| batch.state.as_str().to_owned()).unwrap_or_default(),
        schedule.owner.clone(),
        schedule.last_error.clone().unwrap_or_default(),
        schedule.id.to_string(),
    ]
}

/// When it is due next, by the clock of its zone.
pub(super) fn next(schedule: &Schedule) -> String {
    match (&schedule.next_local, schedule.paused) {
        (_, true) => "paused".to_owned(),
        (Some(local), false) => words::zoned(local),
        (None, false) => "never".to_owned(),
    }
}
