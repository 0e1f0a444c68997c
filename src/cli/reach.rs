//! Where a server is reached, and with which token: for the commands that talk to one.
//!
//! A token comes by the environment, or by the file that `login` writes, and is never printed.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use http::HeaderValue;
use http::uri::Authority;

use super::CliError;
use super::credentials::CredentialsFile;
use crate::protocol::ParseError;

/// Where the token stands.
const TOKEN: &str = "MILEPOST_TOKEN";

/// Where the server is: the same for every command that talks to one.
#[derive(Clone, Debug, Args)]
pub(super) struct Reach {
    /// Address of the server, without a path; the token comes by MILEPOST_TOKEN or `milepost login`.
    #[arg(long, value_name = "URL", env = "MILEPOST_URL", default_value = "http://127.0.0.1:3000")]
    url: ServerUrl,
}

impl Reach {
    /// The server, with the token of the environment or else of the credentials file.
    ///
    /// # Errors
    /// If there is no token, or a text that can be none; if the file cannot be used.
    pub(super) fn server(self) -> Result<Server, CliError> {
        let token = match std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            Some(token) => token,
            None => CredentialsFile::of_user()?.token(&self.url.to_string())?.unwrap_or_default(),
        };
        self.server_with(&token)
    }

    /// The server, with this token.
    ///
    /// # Errors
    /// If it can be none.
    pub(super) fn server_with(self, token: &str) -> Result<Server, CliError> {
        Ok(Server { bearer: bearer(token.trim())?, url: self.url })
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        self.url.to_string()
    }
}

/// A server and the right to ask it.
pub(super) struct Server {
    /// Where it is.
    pub(super) url: ServerUrl,
    /// Value of the header `Authorization`.
    pub(super) bearer: HeaderValue,
}

fn bearer(token: &str) -> Result<HeaderValue, CliError> {
    if token.is_empty() {
        return Err(CliError::Credentials(format!(
            "{TOKEN} is not set, and `milepost login` has not been used for this server: where the server's data is, \
             run `milepost token create --name NAME --role operator`, and put what it prints into {TOKEN} or give it to \
             `milepost login`"
        )));
    }
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_characters| {
        CliError::Credentials("the token holds characters that no token has".to_owned())
    })?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Scheme, host and port of a server. Prints as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerUrl {
    scheme: Scheme,
    authority: Authority,
}

impl ServerUrl {
    /// Host name or address, without brackets.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// Port, that of the scheme where none was given.
    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// Address of the live connection.
    pub(super) fn live(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "ws",
            Scheme::Https => "wss",
        };
        format!("{scheme}://{}/live", self.authority)
    }
}

impl FromStr for ServerUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = ParseError { expected: "http://HOST[:PORT] or https://HOST[:PORT], without a path" };
        let (scheme, rest) = text.split_once("://").ok_or(refused)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(refused),
        };
        let authority: Authority =
            rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_not_one| refused)?;
        // A port that is none parses as part of the authority.
        let is_port = authority.as_str().len() == authority.host().len() || authority.port_u16().is_some();
        if authority.host().is_empty() || authority.as_str().contains('@') || !is_port {
            return Err(refused);
        }
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, live, host, port) in [
            ("http://127.0.0.1:3000", "ws://127.0.0.1:3000/live", "127.0.0.1", 3_000),
            ("HTTPS://m.example/", "wss://m.example/live", "m.example", 443),
            ("http://[::1]:8080", "ws://[::1]:8080/live", "::1", 8_080),
            ("http://localhost", "ws://localhost/live", "localhost", 80),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.live().as_str(), url.host(), url.port()), (live, host, port), "{text}");
        }
        for bad in [
            "",
            "127.0.0.1:3000",
            "localhost:3000",
            "ftp://m",
            "http://",
            "http://m/app",
            "http://m?x",
            "http://m//",
            "http://me:secret@m",
            "http://m:99999",
            "http://a b",
        ] {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let bearer = bearer("mp_secret").unwrap();
        assert_eq!(bearer, "Bearer mp_secret");
        assert!(!format!("{bearer:?}").contains("secret"));
        let words = |token: &str| super::bearer(token).unwrap_err().to_string();
        assert!(words("").contains("milepost token create"));
        assert!(!words("mp_secret\n").contains("secret"));
    }
}
