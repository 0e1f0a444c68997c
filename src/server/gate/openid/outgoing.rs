//! Requests to the provider: by the same TLS as all that leaves here, bounded in time and bytes, following nothing.

use std::time::Duration;

use http::Response;
use openidconnect::{HttpRequest, HttpResponse};

use crate::server::transport::outgoing_tls;

/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// Nobody answers, or not to the end.
    #[error("the provider does not answer")]
    Unanswered(#[source] reqwest::Error),
    /// It says too much.
    #[error("the provider answers with more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// What it says is no answer.
    #[error("the provider gives no answer of HTTP")]
    Unclear(#[from] http::Error),
}

/// A client for such requests.
///
/// # Errors
/// In words, where TLS cannot be used here.
pub fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(outgoing_tls().map_err(|error| error.to_string())?)
        // A redirect would take the secret of the client elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(REQUEST_MAX)
        .user_agent(concat!("milepost/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// Sends one.
pub async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, OutgoingError> {
    let request = reqwest::Request::try_from(request).map_err(unanswered)?;
    let mut answer = client.execute(request).await.map_err(unanswered)?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(unanswered)? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(OutgoingError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(body)?)
}

/// Without the address, which may have parameters.
fn unanswered(error: reqwest::Error) -> OutgoingError {
    OutgoingError::Unanswered(error.without_url())
}
