//! Requests to a server's API, tried again while the server is away.
//!
//! A request is sent again after a lost connection, 429, 502, 503 and 504, with back-off and jitter, for as long as the
//! caller has patience: every request that goes through here may be sent twice without harm. A token goes to the named
//! server only: redirects are not followed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{StatusCode, header};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::columns::plain;
use super::reach::Server;
use crate::backoff::Backoff;
use crate::client::words;
use crate::protocol::ErrorCode;
use crate::server::outgoing_tls;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an answer may stand still.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Delay before the second try; doubles with each.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest delay between tries.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Patience with a server that has never answered: its address is likely to be wrong.
const FIRST_CONTACT_MAX: Duration = Duration::from_secs(5);
/// Longest wait that an answer may ask for.
const HINT_MAX: Duration = Duration::from_secs(60);
/// Bytes of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Why a request has no answer that is of use. Texts of the server are made harmless for a terminal.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// The server refused.
    #[error("{}", refused_words(.detail, *.line))]
    Refused {
        /// What kind of refusal.
        code: ErrorCode,
        /// What was wrong and what was expected.
        detail: String,
        /// Items of the batch so far, on `wrong_first_seq`.
        total: Option<u64>,
        /// The line of the body at fault, from 1.
        line: Option<u64>,
    },
    /// Something answered that is no server of Milepost, or not as one does.
    #[error("{server} answered {answer}")]
    Unusable {
        /// Its address.
        server: String,
        /// The answer, in words.
        answer: String,
    },
    /// No answer for as long as was to be waited.
    #[error("lost contact with {server}: no answer for {waited} ({reason})")]
    LostContact {
        /// Its address.
        server: String,
        /// How long, in words.
        waited: String,
        /// Why the last try failed.
        reason: String,
    },
}

fn refused_words(detail: &str, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("{} (line {line})", plain(detail)),
        None => plain(detail),
    }
}

/// One try that failed, and whether another may help.
enum Failure {
    /// Worth another try, at the earliest after so long.
    Passing(String, Option<Duration>),
    /// Not worth one.
    Final(RequestError),
}

/// A problem as the API writes it.
#[derive(Deserialize)]
struct Problem {
    code: ErrorCode,
    detail: String,
    total: Option<u64>,
    line: Option<u64>,
}

/// A server's API, asked with one token.
pub(in crate::cli) struct ApiClient {
    http: reqwest::Client,
    /// Where it is.
    pub(in crate::cli) server: Server,
    patience: Duration,
    answered: AtomicBool,
}

impl ApiClient {
    /// Asks `server`; gives up after `patience` without an answer.
    ///
    /// # Errors
    /// [`RequestError::Unusable`] where TLS cannot be set up.
    pub(in crate::cli) fn new(server: Server, patience: Duration) -> Result<Self, RequestError> {
        let built = outgoing_tls().map_err(|error| error.to_string()).and_then(|tls| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_MAX)
                .read_timeout(SILENCE_MAX)
                .user_agent(concat!("milepost/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        });
        let http = built.map_err(|reason| RequestError::Unusable {
            server: server.url.to_string(),
            answer: format!("nothing yet: TLS cannot be used here ({reason})"),
        })?;
        Ok(Self { http, server, patience, answered: AtomicBool::new(false) })
    }

    /// The JSON that `GET path?query` answers; `path` is below `/api/v1`.
    ///
    /// # Errors
    /// As [`ApiClient::ask`].
    pub(in crate::cli) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, RequestError> {
        self.json(|http, base| http.get(format!("{base}{path}")).query(query)).await
    }

    /// The JSON that `POST path` answers to a JSON body.
    ///
    /// # Errors
    /// As [`ApiClient::ask`].
    pub(in crate::cli) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, RequestError> {
        self.json(|http, base| http.post(format!("{base}{path}")).json(body)).await
    }

    /// The JSON that a request answers.
    ///
    /// # Errors
    /// As [`ApiClient::ask`].
    pub(in crate::cli) async fn json<T: DeserializeOwned>(
        &self,
        request: impl Fn(&reqwest::Client, &str) -> RequestBuilder,
    ) -> Result<T, RequestError> {
        let body = self.ask(request, async |response| response.bytes().await).await?;
        serde_json::from_slice(&body)
            .map_err(|fault| self.unusable(format!("what this version does not understand ({fault})")))
    }

    /// Sends what `request` makes of the address of the API, until an answer has been read by `read`.
    ///
    /// # Errors
    /// [`RequestError::Refused`] at once, [`RequestError::LostContact`] after the patience. Cancel-safe as far as the
    /// request is: the server may have done what was asked.
    pub(in crate::cli) async fn ask<T>(
        &self,
        request: impl Fn(&reqwest::Client, &str) -> RequestBuilder,
        read: impl AsyncFn(Response) -> reqwest::Result<T>,
    ) -> Result<T, RequestError> {
        let base = format!("{}/api/v1", self.server.url);
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        let began = Instant::now();
        loop {
            let tried = request(&self.http, &base)
                .header(header::AUTHORIZATION, self.server.bearer.clone())
                .send()
                .await;
            let (reason, hint) = match self.read(tried, &read).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(reason, hint)) => (reason, hint),
            };
            let answered = self.answered.load(Ordering::Relaxed);
            let patience = if answered { self.patience } else { self.patience.min(FIRST_CONTACT_MAX) };
            if began.elapsed() >= patience {
                let waited = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                return Err(RequestError::LostContact {
                    server: self.server.url.to_string(),
                    waited: words::duration(waited),
                    reason: plain(&reason),
                });
            }
            if !backoff.has_failed() {
                // The first of a row of failures: the rest would say the same.
                eprintln!("no contact ({}), trying again", plain(&reason));
            }
            let wait = backoff.next_jittered(rand::random()).max(hint.unwrap_or_default());
            sleep(wait.min(patience.saturating_sub(began.elapsed()))).await;
        }
    }

    async fn read<T>(
        &self,
        tried: reqwest::Result<Response>,
        read: &impl AsyncFn(Response) -> reqwest::Result<T>,
    ) -> Result<T, Failure> {
        let response = tried.map_err(|error| Failure::Passing(causes(&error), None))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(status, response).await);
        }
        self.answered.store(true, Ordering::Relaxed);
        read(response).await.map_err(|error| Failure::Passing(causes(&error), None))
    }

    /// What an answer that is none means.
    async fn refused(&self, status: StatusCode, response: Response) -> Failure {
        let hint = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(HINT_MAX));
        let to =
            response.headers().get(header::LOCATION).map(|to| plain(&String::from_utf8_lossy(to.as_bytes())));
        let body = bounded(response).await;
        let problem = serde_json::from_slice::<Problem>(&body);
        let passing = match (status.as_u16(), &problem) {
            (429 | 502 | 503 | 504, _) => true,
            (409, Ok(problem)) => problem.code == ErrorCode::IdempotencyInFlight,
            _ => false,
        };
        match problem {
            Ok(problem) if passing => {
                self.answered.store(true, Ordering::Relaxed);
                Failure::Passing(problem.detail, hint)
            }
            Ok(Problem { code, detail, total, line }) => {
                Failure::Final(RequestError::Refused { code, detail, total, line })
            }
            Err(_none) if passing => Failure::Passing(status.to_string(), hint),
            Err(_none) => Failure::Final(self.unusable(match to {
                Some(to) => format!("{status}, to {to}: give that address with --url if it is the server's"),
                None => format!("{status}, as no server of Milepost does"),
            })),
        }
    }

    fn unusable(&self, answer: String) -> RequestError {
        RequestError::Unusable { server: self.server.url.to_string(), answer }
    }
}

/// The start of a body; what is cut off or too long is left out.
async fn bounded(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > REFUSAL_BYTES_MAX {
            break;
        }
    }
    body
}

/// An error with its causes: reqwest's own words leave out the one that matters.
fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
