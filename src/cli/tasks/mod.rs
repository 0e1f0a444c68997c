//! `milepost task`: what can be run, and a try of it without a server.
//!
//! A try runs the very code that the engine runs, in a folder that is gone afterwards.

mod check;
mod declared;
mod samples;

use clap::Subcommand;

pub(super) use self::declared::{Secrets, registry, reread};

use super::{CliError, InstallationArgs};
use crate::protocol::InputKind;

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Lists what can be run: name, input, title.
    #[command(after_help = "Example:\n  milepost task list")]
    List(InstallationArgs),
    /// Runs sample items here and now, without a server, and shows what the page would show.
    #[command(
        after_help = "Example:\n  milepost task check thumbnail photo.jpg other.png --param width=640\n  \
                            milepost task check enrich --input '{\"name\":\"Ada\"}' --csv people.csv"
    )]
    Check(check::Check),
    /// Prints `milepost_task.py`, with which a Python function is a worker.
    #[command(after_help = "Example:\n  milepost task python > milepost_task.py")]
    Python,
}

/// The file that makes a Python function a worker.
const PYTHON: &str = include_str!("../../../examples/python/milepost_task.py");

/// Does what was asked.
pub(super) async fn task(command: TaskCommand) -> Result<(), CliError> {
    match command {
        TaskCommand::List(place) => {
            for task in registry(&place.read()?, Secrets::LeftOut)?.infos() {
                println!("{}\t{}\t{}", task.name, input_word(task.input), task.title);
            }
            Ok(())
        }
        TaskCommand::Check(check) => check::check(check).await,
        TaskCommand::Python => Ok(std::io::Write::write_all(&mut std::io::stdout(), PYTHON.as_bytes())?),
    }
}

fn input_word(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "file",
        InputKind::Line => "line",
        InputKind::Record => "record",
    }
}
