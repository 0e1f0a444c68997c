//! `milepost schedule`: batches that a server makes again and again.
//!
//! ```text
//! lookup   a name or id -> the schedule      list   what is there      add   a new one      act   show, pause, resume, run, delete
//! show     one of them, printed
//! ```

mod act;
mod add;
mod list;
mod lookup;
mod show;

use clap::Subcommand;

use self::act::ScheduleActArgs;
use self::add::AddArgs;
use self::list::ScheduleListArgs;
use super::CliError;
use super::batches::AskArgs;

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Lists schedules, newest first; tab-separated and without a header where it is piped.
    #[command(
        after_help = "Example:\n  milepost schedule list\n  milepost schedule list --json | jq .next_at"
    )]
    List(ScheduleListArgs),
    /// Makes a schedule: of a batch that is there, or of one in JSON.
    #[command(after_help = "Example:\n  \
                      milepost schedule add --cron '30 2 * * MON-FRI' --time-zone Europe/Berlin --from 128\n  \
                      echo '{\"task\":\"demo\",\"items\":{\"count\":100}}' | milepost schedule add --cron @daily --batch - --name Nightly\n  \
                      milepost schedule add --cron @hourly --from 128 --window 22:00-06:00 --overlap queue")]
    Add(AddArgs),
    /// Shows a schedule, its next times and how the last one went.
    #[command(after_help = "Example:\n  milepost schedule show Nightly")]
    Show(ScheduleActArgs),
    /// Makes no batches by itself until it is resumed.
    #[command(after_help = "Example:\n  milepost schedule pause Nightly")]
    Pause(ScheduleActArgs),
    /// Makes batches again, from the next time on.
    #[command(after_help = "Example:\n  milepost schedule resume Nightly")]
    Resume(ScheduleActArgs),
    /// Makes a batch now; prints its id where standard output is no terminal.
    #[command(
        after_help = "Example:\n  milepost schedule run Nightly\n  milepost watch $(milepost schedule run Nightly | cat)"
    )]
    Run(ScheduleActArgs),
    /// Deletes a schedule; its batches stay.
    #[command(after_help = "Example:\n  milepost schedule delete Nightly")]
    Delete(ScheduleActArgs),
}

/// Does what was asked.
///
/// # Errors
/// Where the server refuses, or does not answer.
pub(super) async fn schedule(command: ScheduleCommand) -> Result<(), CliError> {
    match command {
        ScheduleCommand::List(args) => list::list(args).await,
        ScheduleCommand::Add(args) => add::add(args).await,
        ScheduleCommand::Show(args) => act::show(args).await,
        ScheduleCommand::Pause(args) => act::set(args, "pause").await,
        ScheduleCommand::Resume(args) => act::set(args, "resume").await,
        ScheduleCommand::Run(args) => act::run(args).await,
        ScheduleCommand::Delete(args) => act::delete(args).await,
    }
}
