//! `milepost schedule show`, `pause`, `resume`, `run` and `delete`.
//!
//! A pause of what is paused changes nothing and is no error. A run that is sent again makes no second batch.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use super::show::{AsJson, print};
use super::{AskArgs, lookup};
use crate::cli::CliError;
use crate::cli::api_client::ApiClient;
use crate::cli::columns::json_line;
use crate::cli::watch::sentence;
use crate::protocol::{Batch, Schedule, ScheduleId};

/// Flags of what is done to one schedule.
#[derive(Debug, Args)]
pub(in crate::cli) struct ScheduleActArgs {
    /// Id of the schedule, or its name.
    #[arg(value_name = "SCHEDULE")]
    schedule: String,
    #[command(flatten)]
    ask: AskArgs,
    /// Writes the answer as one JSON object.
    #[arg(long)]
    json: bool,
}

impl ScheduleActArgs {
    /// Whom to ask, for which schedule, and how to print it.
    pub(super) async fn found(self) -> Result<(ApiClient, ScheduleId, AsJson), CliError> {
        let client = self.ask.client()?;
        let id = lookup::find(&client, &self.schedule).await?;
        Ok((client, id, if self.json { AsJson::Yes } else { AsJson::No }))
    }
}

/// Prints it as it is.
///
/// # Errors
/// As [`set`].
pub(super) async fn show(args: ScheduleActArgs) -> Result<(), CliError> {
    let (client, id, as_json) = args.found().await?;
    let schedule: Schedule = client.get(&format!("/schedules/{id}"), &[]).await?;
    print(&schedule, as_json)
}

/// Pauses or resumes: the last part of the address says which.
///
/// # Errors
/// Where the server refuses, or does not answer; so do the others.
pub(super) async fn set(args: ScheduleActArgs, act: &str) -> Result<(), CliError> {
    let (client, id, as_json) = args.found().await?;
    let schedule: Schedule = client.post(&format!("/schedules/{id}/{act}"), &serde_json::json!({})).await?;
    print(&schedule, as_json)
}

/// Makes a batch now.
///
/// # Errors
/// As [`set`].
pub(super) async fn run(args: ScheduleActArgs) -> Result<(), CliError> {
    let (client, id, as_json) = args.found().await?;
    let key = uuid::Uuid::now_v7().to_string();
    let path = format!("/schedules/{id}/run");
    let batch: Batch =
        client.json(|http, base| http.post(format!("{base}{path}")).header("idempotency-key", &key)).await?;
    let mut out = io::stdout();
    if as_json == AsJson::Yes {
        writeln!(out, "{}", json_line(&batch))?;
    } else if out.is_terminal() {
        writeln!(out, "{}", sentence(&batch))?;
    } else {
        writeln!(out, "{}", batch.id)?;
    }
    Ok(())
}

/// Deletes it. Prints nothing.
///
/// # Errors
/// As [`set`].
pub(super) async fn delete(args: ScheduleActArgs) -> Result<(), CliError> {
    let (client, id, _as_json) = args.found().await?;
    let path = format!("/schedules/{id}");
    let gone = client.ask(|http, base| http.delete(format!("{base}{path}")), async |_answer| Ok(()));
    Ok(gone.await?)
}
