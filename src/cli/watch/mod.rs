//! `milepost watch`: a batch in the terminal, to its end.
//!
//! ```text
//! follow   over as many connections as it takes   socket      one connection   watched_batch  the batch and its newest row
//! show     terminal, log or program               line        one line to a width, of bar, columns and words
//!                                                 sentences   a line of a log
//! ```
//!
//! Watching changes nothing: the batch goes on whatever becomes of this process. It needs no settings and no database of
//! a server. Rows, requests and delays are those of [`crate::client`].

mod bar;
mod follow;
mod line;
mod show;
mod socket;
mod watched_batch;
mod sentences;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

pub(super) use self::follow::{WatchEvent, follow};
pub(super) use self::sentences::summary_or_state as sentence;
pub(super) use self::show::Show;
pub(super) use self::watched_batch::BatchName;
use super::reach::Reach;
use super::{CliError, EXIT_CANCELLED, EXIT_FAILED, EXIT_INTERRUPTED};
use crate::protocol::{Batch, BatchState};

/// Flags of `watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Id of the batch, or its number: 128, or '#128' in quotes.
    #[arg(value_name = "BATCH")]
    batch: BatchName,
    #[command(flatten)]
    reach: Reach,
    /// Writes each state of the batch to standard output as one JSON object per line, and the rest to standard error.
    #[arg(long)]
    json: bool,
    /// Gives up after so many seconds without contact.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    give_up: u32,
}

/// Watches to the end of the batch, or until Ctrl-C.
///
/// # Errors
/// As [`follow`].
pub(super) async fn watch(args: WatchArgs) -> Result<ExitCode, CliError> {
    let server = args.reach.server()?;
    let mut show = if args.json { Show::Rows } else { Show::fit(&server.url.to_string()) };
    let patience = Duration::from_secs(args.give_up.into());
    let followed = tokio::select! {
        followed = follow(&server, args.batch, patience, |event| show.receive(event)) => Some(followed),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            None
        }
    };
    match followed {
        Some(Ok(batch)) => end_with(show, &batch),
        Some(Err(error)) => {
            show.leave();
            Err(error)
        }
        None => {
            show.leave();
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
    }
}

/// Sums up a batch that has finished, and gives the exit code that says how.
///
/// # Errors
/// If standard output takes nothing.
pub(super) fn end_with(show: Show, batch: &Batch) -> Result<ExitCode, CliError> {
    show.end(batch)?;
    Ok(exit_code(batch))
}

/// What a finished batch is as an exit code.
fn exit_code(batch: &Batch) -> ExitCode {
    match batch.state {
        BatchState::Succeeded => ExitCode::SUCCESS,
        BatchState::Failed => ExitCode::from(EXIT_FAILED),
        BatchState::Cancelled => ExitCode::from(EXIT_CANCELLED),
        // Not finished: never asked for.
        BatchState::Scheduled
        | BatchState::Pending
        | BatchState::Running
        | BatchState::Paused
        | BatchState::Cancelling => ExitCode::FAILURE,
    }
}
