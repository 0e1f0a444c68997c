//! `milepost completions` and `milepost man`: what a shell and a reader of manuals want, made of the commands themselves.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, CliError};

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Flags of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command to read about, like `run` or `token create`; by default milepost itself.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints a script that completes commands and flags.
///
/// # Errors
/// If standard output takes nothing.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "milepost", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}

/// Prints a page of the manual, in roff: `milepost man run | man -l -`.
///
/// # Errors
/// Where there is no such command; if standard output takes nothing.
pub(super) fn man(args: &ManArgs) -> Result<(), CliError> {
    let mut command = Cli::command();
    command.build();
    let mut at = &command;
    for name in &args.command {
        at = at.find_subcommand(name).ok_or_else(|| {
            let known: Vec<_> = at.get_subcommands().map(clap::Command::get_name).collect();
            CliError::Argument(format!("man: expected one of {}, found {name:?}", known.join(", ")))
        })?;
    }
    let mut page = Vec::new();
    Man::new(at.clone()).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(())
}
