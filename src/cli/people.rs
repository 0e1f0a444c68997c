//! `milepost user` and `milepost token`: who may come in.
//!
//! A password comes by standard input only, and a token is printed alone, once.

use std::io::{Read as _, Write as _};

use clap::{Subcommand, ValueEnum};

use super::columns::plain;
use super::{CliError, InstallationArgs};
use crate::protocol::{
    AccessToken, ApiError, BatchId, NewPerson, NewToken, PersonPatch, PersonRole, Scope, SignInBy,
};
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

/// How a person comes in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SignInName {
    /// With a password.
    Password,
    /// By the header of a proxy in front.
    Header,
    /// By the provider that speaks OpenID Connect.
    Openid,
}

impl From<SignInName> for SignInBy {
    fn from(by: SignInName) -> Self {
        match by {
            SignInName::Password => Self::Password,
            SignInName::Header => Self::Header,
            SignInName::Openid => Self::OpenId,
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
    /// Lists people: name, role, disabled or not, when they were added, how they come in.
    #[command(after_help = "Example:\n  milepost user list")]
    List(InstallationArgs),
    /// Changes what a person may do.
    #[command(after_help = "Example:\n  milepost user role ada operator")]
    Role {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
        /// What they may do from now on.
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Says how a person comes in: by a password, or from outside. Their sessions end.
    #[command(after_help = "Example:\n  milepost user sign-in ada openid")]
    SignIn {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
        /// How they come in from now on.
        #[arg(value_enum)]
        by: SignInName,
    },
    /// Prints a link by which a person sets a new password, once, within a day.
    #[command(after_help = "Example:\n  milepost user reset ada")]
    Reset {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
    },
    /// Lets a disabled person in again, with the password that they had.
    #[command(after_help = "Example:\n  milepost user enable ada")]
    Enable {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
    },
    /// Lists sessions: who, since when, last used, from where, with what.
    #[command(after_help = "Example:\n  milepost user sessions ada")]
    Sessions {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person; everybody's without.
        name: Option<String>,
    },
    /// Ends all sessions of a person.
    #[command(after_help = "Example:\n  milepost user sign-out ada")]
    SignOut {
        #[command(flatten)]
        place: InstallationArgs,
        /// Name of the person.
        name: String,
    },
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
        /// What it may do at most.
        #[arg(long, value_enum)]
        role: RoleName,
        /// What it may be used for, several with commas between; by default all that the role may.
        #[arg(long, value_delimiter = ',', value_parser = parse_scope, value_name = "SCOPE")]
        scope: Vec<Scope>,
        /// Reaches batches of this task only.
        #[arg(long)]
        task: Option<String>,
        /// Reaches this batch (its id) only.
        #[arg(long)]
        batch: Option<BatchId>,
        /// Ends after so many days, fractions allowed; by default never.
        #[arg(long, value_name = "DAYS", value_parser = parse_days)]
        expires_in_days: Option<u64>,
    },
    /// Lists tokens: name, role, person, when made, when last used, what it is for, when it ends.
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

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "expected read, submit, act or admin".to_owned())
}

/// Days as seconds.
fn parse_days(text: &str) -> Result<u64, String> {
    let days: f64 = text.parse().map_err(|_form| "expected a number of days".to_owned())?;
    let seconds = days * 86_400.0;
    if !(60.0..=315_360_000.0).contains(&seconds) {
        return Err("expected at least a minute and at most 3650 days".to_owned());
    }
    Ok(std::time::Duration::from_secs_f64(seconds).as_secs())
}

pub(super) async fn user(command: UserCommand) -> Result<(), CliError> {
    match command {
        UserCommand::Add { place, name, role, password_stdin: _ } => {
            let new = NewPerson { name, role: role.into(), password: Some(read_password()?) };
            at_the_terminal(&place, async |people, me| people.add(me, new).await).await?;
            Ok(())
        }
        UserCommand::List(place) => {
            let page = at_the_terminal(&place, async |people, me| people.list(me).await).await?;
            let rows = page.people.into_iter().map(|person| {
                let state = if person.disabled { "disabled" } else { "enabled" };
                [
                    person.name,
                    person.role.as_str().to_owned(),
                    state.to_owned(),
                    person.created_at.to_string(),
                    person.sign_in.as_str().to_owned(),
                ]
            });
            print_rows(rows)
        }
        UserCommand::Role { place, name, role } => {
            change(&place, &name, PersonPatch { role: Some(role.into()), ..PersonPatch::default() }).await
        }
        UserCommand::Enable { place, name } => {
            change(&place, &name, PersonPatch { disabled: Some(false), ..PersonPatch::default() }).await
        }
        UserCommand::Disable { place, name } => {
            change(&place, &name, PersonPatch { disabled: Some(true), ..PersonPatch::default() }).await
        }
        UserCommand::SignIn { place, name, by } => {
            change(&place, &name, PersonPatch { sign_in: Some(by.into()), ..PersonPatch::default() }).await
        }
        UserCommand::Reset { place, name } => {
            let base = place.read()?.server.base_url.unwrap_or_default();
            let reset = at_the_terminal(&place, async |people, me| people.reset(me, &name).await).await?;
            print_rows(reset.link.map(|path| [format!("{base}{path}")]))
        }
        UserCommand::Sessions { place, name } => {
            let whose = name.unwrap_or_default();
            let page =
                at_the_terminal(&place, async |people, me| people.sessions(me, Some(&whose)).await).await?;
            let rows = page.sessions.into_iter().map(|session| {
                let (created, seen) = (session.created_at.to_string(), session.seen_at.to_string());
                [session.person, created, seen, session.address, plain(&session.device)]
            });
            print_rows(rows)
        }
        UserCommand::SignOut { place, name } => {
            at_the_terminal(&place, async |people, me| people.end_sessions(me, Some(&name), None).await).await
        }
    }
}

async fn change(place: &InstallationArgs, name: &str, patch: PersonPatch) -> Result<(), CliError> {
    at_the_terminal(place, async |people, me| people.change(me, name, &patch).await).await.map(drop)
}

pub(super) async fn token(command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { place, name, role, scope, task, batch, expires_in_days } => {
            let new = NewToken {
                name,
                role: Some(role.into()),
                scopes: scope,
                task,
                batch,
                expires_in_seconds: expires_in_days,
            };
            let issued =
                at_the_terminal(&place, async |people, me| people.create_token(me, new).await).await?;
            print_rows([[issued.secret]])
        }
        TokenCommand::List(place) => {
            let page = at_the_terminal(&place, async |people, me| people.tokens(me, Some("")).await).await?;
            print_rows(page.tokens.into_iter().map(row_of_token))
        }
        TokenCommand::Revoke { place, name } => {
            at_the_terminal(&place, async |people, me| people.revoke_token(me, &name).await).await
        }
    }
}

fn row_of_token(token: AccessToken) -> [String; 7] {
    let mut used_for: Vec<String> = token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    used_for.extend(token.task.map(|task| format!("task={}", plain(&task))));
    used_for.extend(token.batch.map(|batch| format!("batch={batch}")));
    let used_for = if used_for.is_empty() { "all".to_owned() } else { used_for.join(",") };
    [
        token.name,
        token.role.as_str().to_owned(),
        token.person.unwrap_or_else(|| "-".to_owned()),
        token.created_at.to_string(),
        token.used_at.map_or_else(|| "never used".to_owned(), |at| at.to_string()),
        used_for,
        token.expires_at.map_or_else(|| "never ends".to_owned(), |at| at.to_string()),
    ]
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
