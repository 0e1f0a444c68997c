//! `milepost login` and `milepost logout`: a token that is kept for the next commands.
//!
//! A token is tried before it is kept.

use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use clap::Args;
use console::Term;

use super::CliError;
use super::api_client::ApiClient;
use super::credentials::CredentialsFile;
use super::reach::Reach;
use crate::protocol::BatchPage;

/// Bytes of standard input that are read for a token.
const TOKEN_BYTES_MAX: u64 = 4 * 1024;
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Flags of `login`.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    reach: Reach,
}

/// Flags of `logout`.
#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    reach: Reach,
}

/// Reads a token from standard input, tries it and keeps it.
///
/// # Errors
/// Where the server does not take it, or it cannot be kept.
pub(super) async fn login(args: LoginArgs) -> Result<(), CliError> {
    let (file, url) = (CredentialsFile::of_user()?, args.reach.url());
    let token = read_token(&url)?;
    let client = ApiClient::new(args.reach.server_with(&token)?, PATIENCE)?;
    let _seen: BatchPage = client.get("/batches", &[("limit", "1".to_owned())]).await?;
    file.insert(&url, token.trim())?;
    println!("{} holds the token for {url} now", file.path());
    Ok(())
}

/// Takes the token for a server away from the file. The token itself stays valid.
///
/// # Errors
/// Where the file cannot be used.
pub(super) fn logout(args: &LogoutArgs) -> Result<(), CliError> {
    let (file, url) = (CredentialsFile::of_user()?, args.reach.url());
    if file.remove(&url)? {
        println!("the token for {url} is forgotten here; it stays valid until `milepost token revoke`");
    } else {
        println!("{} holds no token for {url}", file.path());
    }
    Ok(())
}

fn read_token(url: &str) -> Result<String, CliError> {
    if io::stdin().is_terminal() {
        let terminal = Term::stderr();
        terminal.write_str(&format!("Token for {url} (not shown): "))?;
        return Ok(terminal.read_secure_line()?);
    }
    let mut token = String::new();
    io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
    Ok(token)
}
