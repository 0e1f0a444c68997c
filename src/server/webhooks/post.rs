//! One signed request, and what its answer means.
//!
//! Signatures: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::Response;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use url::Url;

use super::guard::{AddressGuard, RefusedAddress};
use super::retries::after_failure;
use crate::protocol::Timestamp;
use crate::server::transport::outgoing_tls;
use crate::store::{ClaimedDelivery, DeliveryOutcome, Next};

/// How long an attempt may take, from the look-up of the name to the end of the answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read and kept; of the rest nothing is read.
const ANSWER_BYTES_MAX: usize = 1_024;

/// Sends messages to where they go.
pub struct Poster {
    http: reqwest::Client,
    guard: AddressGuard,
}

/// What an answer says.
struct Answered {
    status: StatusCode,
    retry_after_seconds: Option<u64>,
    text: String,
}

/// Why there is no answer.
enum Unanswered {
    /// Trying again would not help.
    Refused(String),
    /// It may help.
    Failed(String),
}

impl Poster {
    /// Reaches what `guard` permits. Follows no redirect, takes no proxy from the environment and keeps no connection: all
    /// three would go around the guard.
    ///
    /// # Errors
    /// In words, where TLS cannot be used here.
    pub fn new(guard: AddressGuard) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(outgoing_tls().map_err(|error| error.to_string())?)
            .dns_resolver(guard.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(ATTEMPT_MAX)
            .user_agent(concat!("milepost/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, guard })
    }

    /// Sends a message at `now`, signed with each of `secrets`, and says what came of it. `random` is in 0..=1.
    pub async fn deliver(
        &self,
        delivery: &ClaimedDelivery,
        secrets: &[String],
        now: Timestamp,
        random: f64,
    ) -> DeliveryOutcome {
        let begun = Instant::now();
        let answered = self.post(delivery, secrets, now).await;
        let mut outcome = DeliveryOutcome {
            started_at: now,
            ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            status: None,
            error: None,
            answer: None,
            next: Next::Failed,
        };
        match answered {
            Ok(Answered { status, retry_after_seconds, text }) => {
                outcome.status = Some(status.as_u16());
                outcome.answer = Some(text).filter(|text| !text.is_empty());
                outcome.next = match status {
                    status if status.is_success() => Next::Delivered,
                    StatusCode::GONE => Next::Gone,
                    _ => after_failure(delivery.tries, retry_after_seconds, random),
                };
                outcome.error = match status {
                    status if status.is_success() => None,
                    StatusCode::GONE => {
                        Some("the answer was 410: nobody wants messages there any more".to_owned())
                    }
                    status if status.is_redirection() => {
                        Some(format!("the answer was {}: redirects are not followed", status.as_u16()))
                    }
                    status => Some(format!("the answer was {}", status.as_u16())),
                };
            }
            Err(Unanswered::Refused(reason)) => outcome.error = Some(reason),
            Err(Unanswered::Failed(reason)) => {
                outcome.error = Some(reason);
                outcome.next = after_failure(delivery.tries, None, random);
            }
        }
        outcome
    }

    async fn post(
        &self,
        delivery: &ClaimedDelivery,
        secrets: &[String],
        now: Timestamp,
    ) -> Result<Answered, Unanswered> {
        let url = Url::parse(&delivery.url).map_err(|error| Unanswered::Refused(error.to_string()))?;
        self.guard.check(&url).map_err(|refused| Unanswered::Refused(refused.to_string()))?;
        let seconds = now.0.div_euclid(1_000);
        let signatures = signatures(delivery, secrets, seconds).map_err(Unanswered::Refused)?;
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, &delivery.id.0)
            .header(HEADER_WEBHOOK_TIMESTAMP, seconds)
            .header(HEADER_WEBHOOK_SIGNATURE, signatures)
            .body(delivery.payload.clone());
        let response = request.send().await.map_err(unanswered)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok(Answered {
            status: response.status(),
            retry_after_seconds: retry_after.and_then(|text| text.trim().parse().ok()),
            text: beginning(response).await,
        })
    }
}

/// One signature for each secret, with blanks between.
fn signatures(delivery: &ClaimedDelivery, secrets: &[String], seconds: i64) -> Result<String, String> {
    let sign =
        |secret: &String| Webhook::new(secret)?.sign(&delivery.id.0, seconds, delivery.payload.as_bytes());
    let signatures: Result<Vec<String>, _> = secrets.iter().map(sign).collect();
    signatures.map(|signatures| signatures.join(" ")).map_err(|error| format!("it cannot be signed: {error}"))
}

/// The beginning of an answer, as text; what is not UTF-8 becomes signs for that. An answer that breaks off has been given.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

/// The cause, which reqwest's own words leave out; none of the address, which may be a secret.
fn unanswered(error: reqwest::Error) -> Unanswered {
    if error.is_timeout() {
        return Unanswered::Failed(format!("no answer within {} s", ATTEMPT_MAX.as_secs()));
    }
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
            return Unanswered::Refused(refused.to_string());
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return Unanswered::Failed(format!("no answer: {cause}")),
        }
    }
}
