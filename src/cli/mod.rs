//! The command line: what can be asked of the executable, and the answers on standard output.
//!
//! ```text
//! serve    the process itself        people   user and token, before or beside it
//! tasks    what can be run, and a try of it
//! reach    where a server is         watch    a batch on a server, to its end
//! ```
//!
//! Results go to standard output and nothing else does; an error is one sentence with its causes.

mod people;
mod reach;
mod serve;
mod tasks;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Sources};
use crate::fault;
use crate::protocol::ApiError;
use crate::server::{self, StartError};
use crate::store::StoreError;
pub use crate::tasks::command::become_limited;

/// Exit code: some items of the batch failed.
const EXIT_FAILED: u8 = 2;
/// Exit code: the batch was cancelled.
const EXIT_CANCELLED: u8 = 3;
/// Exit code: no contact with the server for as long as was to be waited.
const EXIT_LOST: u8 = 4;
/// Exit code: Ctrl-C, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs a task over many items and shows, live, how far it has come.
#[derive(Debug, Parser)]
#[command(
    name = "milepost",
    version,
    after_help = "Example:\n  milepost serve\n  then open the sign-in link that it prints"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the web side and the workers.
    #[command(
        after_help = "Example:\n  milepost serve --listen 127.0.0.1:8080 --data /srv/milepost --slots 8"
    )]
    Serve(serve::Serve),
    /// People that may sign in.
    #[command(
        after_help = "Example:\n  echo \"$PASSWORD\" | milepost user add ada --role admin --password-stdin"
    )]
    User {
        #[command(subcommand)]
        command: people::UserCommand,
    },
    /// Tokens for programs.
    #[command(
        after_help = "Example:\n  export MILEPOST_TOKEN=$(milepost token create --name ci --role operator)"
    )]
    Token {
        #[command(subcommand)]
        command: people::TokenCommand,
    },
    /// Tasks that can be run.
    #[command(after_help = "Example:\n  milepost task list")]
    Task {
        #[command(subcommand)]
        command: tasks::TaskCommand,
    },
    /// Draws the bar of a batch on a server until it has finished; survives lost connections.
    #[command(
        after_help = "Example:\n  export MILEPOST_TOKEN=$(milepost token create --name me --role viewer)\n  \
                      milepost watch 128\n\n\
                      Exit code: 0 all succeeded, 2 some failed, 3 cancelled, 4 lost contact for good, 130 Ctrl-C (the \
                      batch goes on), 1 anything else"
    )]
    Watch(watch::WatchArgs),
    /// Brings the database's schema up to date; `serve` does so by itself.
    #[command(after_help = "Example:\n  milepost migrate --database sqlite://data/milepost.db")]
    Migrate(InstallationArgs),
}

/// Where the installation is: the same for every command.
#[derive(Debug, Args)]
struct InstallationArgs {
    /// Settings; by default ./milepost.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database, like `sqlite://data/milepost.db`.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Folder of the database, files and work.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl InstallationArgs {
    fn sources(&self) -> Sources {
        let mut flags = Vec::new();
        for (flag, table, key, value) in
            [("--database", "database", "url", &self.database), ("--data", "server", "data", &self.data)]
        {
            if let Some(value) = value {
                flags.push((flag, table, key, value.clone()));
            }
        }
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Sources { file: self.config.clone(), environment: environment.collect(), flags }
    }

    fn read(&self) -> Result<Config, ConfigError> {
        self.sources().read()
    }
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process, or the database, did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The service refused.
    #[error("{0}")]
    Refused(ApiError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was tried did not succeed; what happened has been printed.
    #[error("{0}")]
    Tried(String),
    /// A batch cannot be followed on a server, or not any longer: why.
    #[error("{0}")]
    Unfollowed(String),
    /// A server has not answered for as long as was to be waited.
    #[error("lost contact with {server}: no answer for {waited} ({reason})")]
    LostContact {
        /// Its address.
        server: String,
        /// How long, in words.
        waited: String,
        /// Why the last try failed.
        reason: String,
    },
    /// Input or output.
    #[error("standard input or output")]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::LostContact { .. } => ExitCode::from(EXIT_LOST),
            Self::Config(_)
            | Self::Start(_)
            | Self::Refused(_)
            | Self::Store(_)
            | Self::Tried(_)
            | Self::Unfollowed(_)
            | Self::Io(_) => ExitCode::FAILURE,
        }
    }
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Does what was asked, and gives what the process ends with where that was done.
///
/// # Errors
/// One sentence, with its causes.
pub async fn run(cli: Cli) -> Result<ExitCode, CliError> {
    fault::arm();
    let done = match cli.command {
        Command::Serve(serve) => {
            let sources = serve.sources();
            let config = sources.read()?;
            let tasks = tasks::registry(&config, tasks::Secrets::of(config.server.role))?;
            Ok(server::run(&config, tasks, tasks::reread(sources, &config)).await?)
        }
        Command::Watch(args) => return watch::watch(args).await,
        Command::User { command } => people::user(command).await,
        Command::Token { command } => people::token(command).await,
        Command::Task { command } => tasks::task(command).await,
        Command::Migrate(place) => {
            let config = place.read()?;
            server::open_store_parallel(&config).await?.close_parallel().await;
            println!("the schema of {} is up to date", config.database_url());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_level_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:\n  "), "{}", command.get_name());
            command.get_subcommands().filter(|inner| inner.get_name() != "help").for_each(check);
        }
        let command = Cli::command();
        command.clone().debug_assert();
        check(&command);
    }

    #[test]
    fn flags_win_over_everything() {
        let cli =
            Cli::try_parse_from(["milepost", "migrate", "--data", "/x", "--database", "sqlite:///y.db"]);
        let Command::Migrate(place) = cli.unwrap().command else { panic!("another command") };
        let mut sources = place.sources();
        sources.environment = vec![("MILEPOST_SERVER_DATA".to_owned(), "/z".to_owned())];
        let config = sources.read().unwrap();
        assert_eq!(config.server.data, PathBuf::from("/x"));
        assert_eq!(config.database_url(), "sqlite:///y.db");
    }
}
