//! The command line: what can be asked of the executable, and the answers on standard output.
//!
//! ```text
//! serve    the process itself             people       user and token, before or beside it
//! tasks    what can be run, and a try of it
//!
//! reach    where a server is              credentials  the token for it          login    keeps one
//! submit   a batch made of an input       watch        a batch, to its end       batches  what is there, acts, results
//! bench    how fast a server is           api_client   requests, tried again     table    rows for people and programs
//! schedules   batches made again and again
//! columns  text of others, made harmless  shell        completions, the manual
//! ```
//!
//! Results go to standard output and nothing else does; an error is one sentence with its causes.

mod api_client;
mod batches;
mod bench;
mod columns;
mod credentials;
mod login;
mod people;
mod reach;
mod schedules;
mod serve;
mod shell;
mod submit;
mod table;
mod tasks;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::api_client::RequestError;
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
    /// Submits a batch to a server, made of files, lines or records.
    #[command(after_help = "Example:\n  milepost run --task image --param width=640 --wait photos/\n  \
                      seq 1000 | milepost run --task demo --lines - --wait\n  \
                      milepost run --task csv-check --param 'columns={\"age\":\"integer\"}' --csv people.csv\n\n\
                      Without --wait it prints the id of the batch where standard output is no terminal.\n\
                      Exit code: 0 all succeeded (without --wait: submitted), 2 some failed, 3 cancelled, 4 lost \
                      contact for good, 130 Ctrl-C (a batch that is not whole yet is cancelled), 1 anything else")]
    Run(submit::RunArgs),
    /// Lists batches on a server, newest first; tab-separated and without a header where it is piped.
    #[command(
        after_help = "Example:\n  milepost list --state failures --task image\n  milepost list | cut -f 10"
    )]
    List(batches::ListArgs),
    /// Shows a batch on a server, its counts and its families of failures.
    #[command(after_help = "Example:\n  milepost show 128")]
    Show(batches::ShowArgs),
    /// Pauses a batch: items that run finish, no other starts.
    #[command(after_help = "Example:\n  milepost pause 128")]
    Pause(batches::ActArgs),
    /// Resumes a paused batch.
    #[command(after_help = "Example:\n  milepost resume 128")]
    Resume(batches::ActArgs),
    /// Cancels a batch: items that run are stopped, no other starts.
    #[command(after_help = "Example:\n  milepost cancel 128\n  milepost cancel 128 --finish")]
    Cancel(batches::CancelArgs),
    /// Runs failed items of a batch again.
    #[command(
        after_help = "Example:\n  milepost retry 128\n  milepost retry 128 --family 9f2c0d4e5b6a7788\n  \
                      milepost retry 128 --seq 41,97"
    )]
    Retry(batches::RetryArgs),
    /// Fetches the results of a batch.
    #[command(
        after_help = "Example:\n  milepost results 128 -o june.csv\n  milepost results 128 --failed --format csv -o failed.csv\n  \
                      milepost results 128 | jq .result"
    )]
    Results(batches::ResultsArgs),
    /// Batches that a server makes again and again.
    #[command(
        after_help = "Example:\n  milepost schedule add --cron '30 2 * * *' --time-zone Europe/Berlin --from 128\n  \
                      milepost schedule list"
    )]
    Schedule {
        #[command(subcommand)]
        command: schedules::ScheduleCommand,
    },
    /// Keeps a token for a server, so that MILEPOST_TOKEN need not be set; reads it from standard input.
    #[command(
        after_help = "Example:\n  milepost token create --name me --role operator | milepost login --url https://milepost.example"
    )]
    Login(login::LoginArgs),
    /// Forgets the token that `login` has kept for a server.
    #[command(after_help = "Example:\n  milepost logout --url https://milepost.example")]
    Logout(login::LogoutArgs),
    /// Draws the bar of a batch on a server until it has finished; survives lost connections.
    #[command(
        after_help = "Example:\n  export MILEPOST_TOKEN=$(milepost token create --name me --role viewer)\n  \
                      milepost watch 128\n\n\
                      Exit code: 0 all succeeded, 2 some failed, 3 cancelled, 4 lost contact for good, 130 Ctrl-C (the \
                      batch goes on), 1 anything else"
    )]
    Watch(watch::WatchArgs),
    /// Measures how fast a server takes items and works them off; the batch stays there.
    #[command(after_help = "Example:\n  milepost bench --items 1000000")]
    Bench(bench::BenchArgs),
    /// Prints a script that completes commands in a shell.
    #[command(
        after_help = "Example:\n  milepost completions bash > ~/.local/share/bash-completion/completions/milepost"
    )]
    Completions(shell::CompletionsArgs),
    /// Prints the manual, or a page of it, in roff.
    #[command(after_help = "Example:\n  milepost man run | man -l -")]
    Man(shell::ManArgs),
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
    /// What was given on the command line, or what it names, is of no use: what was expected.
    #[error("{0}")]
    Argument(String),
    /// There is no token for a server, or none that can be used.
    #[error("{0}")]
    Credentials(String),
    /// A server gives no answer that is of use.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A batch cannot be followed on a server, or not any longer: why.
    #[error("{0}")]
    Unfollowed(String),
    /// Input or output.
    #[error("standard input or output")]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.is_lost_contact() { ExitCode::from(EXIT_LOST) } else { ExitCode::FAILURE }
    }

    /// True where a server has not answered for as long as was to be waited.
    fn is_lost_contact(&self) -> bool {
        matches!(self, Self::Request(RequestError::LostContact { .. }))
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
        Command::Run(args) => return submit::run(args).await,
        Command::List(args) => batches::list(args).await,
        Command::Show(args) => batches::show(args).await,
        Command::Pause(args) => batches::pause(args).await,
        Command::Resume(args) => batches::resume(args).await,
        Command::Cancel(args) => batches::cancel(args).await,
        Command::Retry(args) => batches::retry(args).await,
        Command::Results(args) => batches::results(args).await,
        Command::Schedule { command } => schedules::schedule(command).await,
        Command::Login(args) => login::login(args).await,
        Command::Logout(args) => login::logout(&args),
        Command::Bench(args) => bench::bench(args).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::User { command } => people::user(command).await,
        Command::Token { command } => people::token(command).await,
        Command::Task { command } => tasks::task(command).await,
        Command::Migrate(place) => {
            let config = place.read()?;
            server::open_store_parallel(&config).await?.close_parallel().await;
            println!("the schema of {} is up to date", server::shown_url(&config.database_url()));
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
