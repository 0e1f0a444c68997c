//! One schedule, its next times and how the last one went: for people, or as JSON.

use std::io::{self, Write as _};

use super::list::next;
use crate::cli::CliError;
use crate::cli::columns::{json_line, plain};
use crate::client::words;
use crate::protocol::Schedule;

/// Prints a schedule, or where `as_json` says so the same as one JSON object.
///
/// # Errors
/// If standard output takes nothing.
pub(super) fn print(schedule: &Schedule, as_json: AsJson) -> Result<(), CliError> {
    if as_json == AsJson::Yes {
        writeln!(io::stdout(), "{}", json_line(schedule))?;
        return Ok(());
    }
    let mut text = String::new();
    for (name, value) in facts(schedule) {
        text.push_str(&format!("{name:<10} {}\n", plain(&value)));
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Whether `--json` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsJson {
    /// One object per line.
    Yes,
    /// For people.
    No,
}

fn facts(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("schedule", schedule.name.clone()),
        ("id", schedule.id.to_string()),
        ("owner", schedule.owner.clone()),
        ("due", format!("{} ({}) {}", schedule.in_words, schedule.cron, schedule.time_zone)),
        ("task", format!("{} over {}", schedule.task, words::counted(schedule.items, "item"))),
        ("overlap", schedule.overlap.as_str().to_owned()),
    ];
    facts.extend(schedule.window.map(|window| ("window", format!("{} to {}", window.from, window.until))));
    facts.extend(schedule.from_batch.map(|batch| ("items of", batch.to_string())));
    facts.push(("next", next(schedule)));
    facts.extend(schedule.next.iter().skip(1).map(|at| ("", words::absolute(*at))));
    facts.extend(schedule.waiting_for.map(|due| ("waits", format!("since {}", words::absolute(due)))));
    if let Some(batch) = &schedule.last_batch {
        facts.push(("last", format!("#{} {} ({})", batch.number, batch.state.as_str(), batch.id)));
    }
    if let Some(reason) = &schedule.last_error {
        let at = schedule.last_error_at.map(words::absolute).unwrap_or_default();
        facts.push(("error", format!("{reason} ({at})")));
    }
    facts
}
