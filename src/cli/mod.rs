//! The command line: what can be asked of the executable, and the answers on standard output.
//!
//! ```text
//! serve    the process itself        people   user and token, before or beside it
//! tasks    what can be run, and a try of it
//! ```
//!
//! Called by `main`. Invariant: results go to standard output and nothing else does; an error is one sentence with its
//! causes. Deliberately holds no rules: those are in service.

mod people;
mod serve;
mod tasks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Sources};
use crate::fault;
use crate::protocol::ApiError;
use crate::server::{self, StartError};
use crate::store::StoreError;

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
    /// Brings the database's schema up to date; `serve` does so by itself.
    #[command(after_help = "Example:\n  milepost migrate --database sqlite://data/milepost.db")]
    Migrate(Place),
}

/// Where the installation is: the same for every command.
#[derive(Debug, Args)]
struct Place {
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

impl Place {
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
    /// Input or output.
    #[error("standard input or output")]
    Io(#[from] std::io::Error),
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Does what was asked.
///
/// # Errors
/// One sentence, with its causes.
pub async fn run(cli: Cli) -> Result<(), CliError> {
    fault::arm();
    match cli.command {
        Command::Serve(serve) => {
            let config = serve.sources().read()?;
            let tasks = tasks::registry(&config)?;
            Ok(server::run(&config, tasks).await?)
        }
        Command::User { command } => people::user(command).await,
        Command::Token { command } => people::token(command).await,
        Command::Task { command } => tasks::task(command).await,
        Command::Migrate(place) => {
            let config = place.read()?;
            server::open_store_beside(&config).await?.close_beside().await;
            println!("the schema of {} is up to date", config.database_url());
            Ok(())
        }
    }
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
