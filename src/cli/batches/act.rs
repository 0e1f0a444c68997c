//! `milepost pause`, `resume`, `cancel` and `retry`: the acts of the page.
//!
//! An act on a batch that is in that state already changes nothing and is no error.

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;

use super::{AskArgs, lookup};
use crate::cli::CliError;
use crate::cli::columns::json_line;
use crate::cli::watch::{BatchName, sentence};
use crate::protocol::{Batch, CancelRequest, FamilyId, ItemState, RetryRequest, Running, Seq};

/// Flags of `pause` and `resume`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ActArgs {
    /// Id of the batch, or its number: 128, or '#128' in quotes.
    #[arg(value_name = "BATCH")]
    batch: BatchName,
    #[command(flatten)]
    ask: AskArgs,
    /// Writes the batch as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Flags of `cancel`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    #[command(flatten)]
    act: ActArgs,
    /// Lets the items that run finish; by default they are stopped.
    #[arg(long)]
    finish: bool,
}

/// Flags of `retry`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    act: ActArgs,
    /// Only failures of this family, as `show` names it.
    #[arg(long, value_name = "FAMILY", conflicts_with = "seq")]
    family: Option<String>,
    /// Only these items, by number; may be given many times, or with commas.
    #[arg(long, value_name = "SEQ", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    seq: Vec<Seq>,
    /// Items in these states: failed (the default), cancelled; may be given twice, or with a comma.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = retried_state)]
    state: Vec<ItemState>,
}

fn retried_state(text: &str) -> Result<ItemState, String> {
    match ItemState::parse(text) {
        Some(state @ (ItemState::Failed | ItemState::Cancelled)) => Ok(state),
        Some(_) | None => Err("expected failed or cancelled".to_owned()),
    }
}

/// Hands out no more items.
///
/// # Errors
/// Where the state does not allow it, or the server does not answer; so do the others.
pub(in crate::cli) async fn pause(args: ActArgs) -> Result<(), CliError> {
    act(args, "pause", &serde_json::json!({})).await
}

/// Goes on.
///
/// # Errors
/// As [`pause`].
pub(in crate::cli) async fn resume(args: ActArgs) -> Result<(), CliError> {
    act(args, "resume", &serde_json::json!({})).await
}

/// Ends what has not ended.
///
/// # Errors
/// As [`pause`].
pub(in crate::cli) async fn cancel(args: CancelArgs) -> Result<(), CliError> {
    let running = if args.finish { Running::Finish } else { Running::Stop };
    act(args.act, "cancel", &CancelRequest { running }).await
}

/// Runs failed items again.
///
/// # Errors
/// As [`pause`].
pub(in crate::cli) async fn retry(args: RetryArgs) -> Result<(), CliError> {
    let request = RetryRequest {
        family: args.family.map(FamilyId),
        seqs: Some(args.seq).filter(|seqs| !seqs.is_empty()),
        states: Some(args.state).filter(|states| !states.is_empty()),
    };
    act(args.act, "retry", &request).await
}

async fn act(args: ActArgs, act: &str, body: &impl Serialize) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let id = match args.batch {
        BatchName::Id(id) => id,
        name @ BatchName::Number(_) => lookup::find(&client, name).await?.id,
    };
    let batch: Batch = client.post(&format!("/batches/{id}/{act}"), body).await?;
    if args.json {
        writeln!(io::stdout(), "{}", json_line(&batch))?;
    } else {
        writeln!(io::stdout(), "{}", sentence(&batch))?;
    }
    Ok(())
}
