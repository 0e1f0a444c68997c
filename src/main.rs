//! The executable: reads the command line, does what it says, and prints why not.
//!
//! Calls [`milepost::cli`]. Exit code 0 = done, 1 = not done and said why, a command line that was not understood
//! among it. Of a batch that is watched: 0 = all succeeded, 2 = some failed, 3 = cancelled, 4 = lost contact for
//! good, 130 = Ctrl-C.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use milepost::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

/// What is logged, as `MILEPOST_LOG` says (`debug`, `milepost=debug,info`); by default `info`.
const LOG: &str = "MILEPOST_LOG";
/// `json` = one JSON object per line; anything else = text.
const LOG_FORMAT: &str = "MILEPOST_LOG_FORMAT";

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: i32 = 3;

fn main() -> ExitCode {
    // What whoever started this has left open is not for the processes that this starts.
    close_fds::CloseFdsBuilder::new().cloexecfrom(FIRST_INHERITED);
    if let Some(code) = cli::become_limited() {
        return ExitCode::from(code);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Where not even that can be written, the exit code is all there is to say.
            let _unwritten = answer.print();
            // By itself it would end with 2, which says here that some items failed. Help that was asked for is no error.
            return if answer.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(cli::run(cli)).unwrap_or_else(|error| {
        say(&error);
        error.exit_code()
    })
}

fn start_log() {
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_unset| {
        EnvFilter::new("info,sqlx=error,sea_orm=warn,sea_orm_migration=warn,object_store=warn")
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // Told on standard error, which is what cannot be written: that panics, and takes a request with it.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if std::env::var(LOG_FORMAT).is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}

fn say(error: &dyn Error) {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        eprintln!("  because: {next}");
        cause = next.source();
    }
}
