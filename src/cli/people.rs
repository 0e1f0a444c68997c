//! `milepost user` and `milepost token`: who may come in.
//!
//! A password comes by standard input only, and a token is printed alone, once.

use std::io::{Read as _, Write as _};

use clap::{Subcommand, ValueEnum};

use super::{CliError, InstallationArgs};
use crate::protocol::{ApiError, PersonRole};
use crate::server;
use crate::service::{Caller, People};
use crate::store::Store;

/// Bytes of standard input that are read for a password.
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;

/// What a person or program may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleName {
    /// Sees batches and results.
    Viewer,
    /// Also submits, and acts on batches of their own.
    Operator,
    /// Everything.
    Admin,
}

impl From<RoleName> for PersonRole {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Adds a person; the password (8 to 256 characters) is read from standard input.
    #[command(
        after_help = "Example:\n  echo \"$PASSWORD\" | milepost user add ada --role admin --password-stdin"
    )]
    Add {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name to sign in with.
        name: String,
        /// What they may do.
        #[arg(long, value_enum)]
        role: RoleName,
        /// Reads the password from standard input, up to its first line end.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Lists people: name, role, disabled or not, when they were added.
    #[command(after_help = "Example:\n  milepost user list")]
    List(InstallationArgs),
    /// Disables a person: their logins and tokens end.
    #[command(after_help = "Example:\n  milepost user disable ada")]
    Disable {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints it, alone and once.
    #[command(
        after_help = "Example:\n  export MILEPOST_TOKEN=$(milepost token create --name ci --role operator)"
    )]
    Create {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the token, unique.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum)]
        role: RoleName,
    },
    /// Lists tokens: name, role, person, when made, when last used.
    #[command(after_help = "Example:\n  milepost token list")]
    List(InstallationArgs),
    /// Takes a token away; what uses it is turned away within a second.
    #[command(after_help = "Example:\n  milepost token revoke ci")]
    Revoke {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the token.
        name: String,
    },
}

/// Opens the desk, does `work` with it and closes the store again, whatever came of it.
async fn at_the_terminal<T>(
    place: &InstallationArgs,
    work: impl AsyncFnOnce(&People, &Caller) -> Result<T, ApiError>,
) -> Result<T, CliError> {
    let store: Store = server::open_store_parallel(&place.read()?).await?;
    let done = work(&People::new(store.clone()), &Caller::local()).await;
    store.close_parallel().await;
    Ok(done?)
}

pub(super) async fn user(command: UserCommand) -> Result<(), CliError> {
    match command {
        UserCommand::Add { place, name, role, password_stdin: _ } => {
            let password = read_password()?;
            at_the_terminal(&place, async |people, me| {
                people.add_person(me, &name, role.into(), password).await
            })
            .await
        }
        UserCommand::List(place) => {
            let everybody = at_the_terminal(&place, async |people, me| people.list(me).await).await?;
            let rows = everybody.into_iter().map(|person| {
                let state = if person.disabled { "disabled" } else { "enabled" };
                [
                    person.name,
                    person.role.as_str().to_owned(),
                    state.to_owned(),
                    person.created_at.to_string(),
                ]
            });
            print_rows(rows)
        }
        UserCommand::Disable { place, name } => {
            at_the_terminal(&place, async |people, me| people.disable(me, &name).await).await
        }
    }
}

pub(super) async fn token(command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { place, name, role } => {
            let token =
                at_the_terminal(&place, async |people, me| people.create_token(me, &name, role.into()).await)
                    .await?;
            print_rows([[token]])
        }
        TokenCommand::List(place) => {
            let tokens = at_the_terminal(&place, async |people, me| people.tokens(me).await).await?;
            let rows = tokens.into_iter().map(|token| {
                let used = token.used_at.map_or_else(|| "never used".to_owned(), |at| at.to_string());
                let person = token.person.unwrap_or_else(|| "-".to_owned());
                [token.name, token.role.as_str().to_owned(), person, token.created_at.to_string(), used]
            });
            print_rows(rows)
        }
        TokenCommand::Revoke { place, name } => {
            at_the_terminal(&place, async |people, me| people.revoke_token(me, &name).await).await
        }
    }
}

/// The first line of standard input, without its ending.
fn read_password() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(first_line(&text).to_owned())
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default().trim_end_matches('\r')
}

/// One row a line, columns parted by tabs.
fn print_rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", row.join("\t"))?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_end_at_the_line_end() {
        assert_eq!(first_line("correct horse\r\nx"), "correct horse");
        assert_eq!(first_line(" spaces count "), " spaces count ");
    }
}
