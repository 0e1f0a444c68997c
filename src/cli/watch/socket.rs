//! One live connection to a server: opened, used, and its end in words.
//!
//! Whatever ends a connection is either worth another try or is not, and says why in words fit for a person. The caller
//! keeps the time.

use std::net::ToSocketAddrs as _;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::cli::reach::{Server, ServerUrl};
use crate::client::decoder::{Incoming, read_json};
use crate::protocol::frame::SUBPROTOCOL_JSON;
use crate::protocol::{ClientFrame, CloseCode};

/// Bytes of one frame from the server; the list of batches is the longest. A longer one ends the connection.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes read from the socket at once: rows of one batch are small.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Why a connection has ended, or was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// Worth another try.
    Lost {
        /// Why.
        reason: String,
        /// When to come back, in milliseconds, where the server has said so.
        hint_ms: Option<u32>,
    },
    /// Not worth one, ever.
    Stop(String),
    /// Not worth one where no server has answered before: the address is likely to be wrong.
    StopAtFirst(String),
}

impl ConnectionEnd {
    pub(super) fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), hint_ms: None }
    }

    fn token_not_valid() -> Self {
        Self::Stop(
            "the token is not valid: make another one with `milepost token create --name NAME --role viewer`, and put \
             it into MILEPOST_TOKEN"
                .to_owned(),
        )
    }

    fn not_allowed() -> Self {
        Self::Stop("the token is valid, but not allowed here".to_owned())
    }
}

/// An open connection.
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects and upgrades. Takes as long as the network does: the caller bounds it.
    ///
    /// # Errors
    /// Why it was not made.
    pub(super) async fn open(server: &Server) -> Result<Self, ConnectionEnd> {
        // Already there: as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut request = server
            .url
            .live()
            .into_client_request()
            .map_err(|error| ConnectionEnd::Stop(error.to_string()))?;
        request.headers_mut().insert(header::AUTHORIZATION, server.bearer.clone());
        let protocol = HeaderValue::from_static(SUBPROTOCOL_JSON);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        let tcp = dial(&server.url).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        match client_async_tls_with_config(request, tcp, Some(config), None).await {
            Ok((stream, _response)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(refused(&server.url, &response)),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the connection has broken.
    pub(super) async fn send(&mut self, frame: &ClientFrame) -> Result<(), ConnectionEnd> {
        let text = serde_json::to_string(frame).expect("frames hold only text and numbers");
        self.stream.send(Message::text(text)).await.map_err(|error| broken(&error))
    }

    /// The next frame; none for a sign of life that is no frame. Cancel-safe.
    ///
    /// # Errors
    /// How the connection has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Incoming>, ConnectionEnd> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => read(&text).map(Some),
            Some(Ok(Message::Binary(_))) => Err(not_understood()),
            Some(Ok(Message::Close(frame))) => Err(closed(frame.as_ref())),
            // Answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(ConnectionEnd::lost("the connection has ended")),
        }
    }

    /// Says goodbye, so that the server need not find out. The caller bounds it.
    pub(super) async fn close(mut self) {
        // Gone already: nobody is left to tell.
        let _closed = self.stream.close(None).await;
    }
}

/// Connects to the first address that takes it.
async fn dial(url: &ServerUrl) -> Result<TcpStream, ConnectionEnd> {
    let unreached = |error: std::io::Error| ConnectionEnd::lost(error.to_string());
    let place = (url.host().to_owned(), url.port());
    let (answer, found) = oneshot::channel();
    // Not on the runtime's own threads: those are waited for at the end, and a name may take the system half a minute.
    std::thread::spawn(move || {
        // Nobody waits any more: as good.
        let _received = answer.send(place.to_socket_addrs().map(Vec::from_iter));
    });
    let addresses =
        found.await.map_err(|_panicked| ConnectionEnd::lost("the name could not be looked up"))?;
    let tcp = TcpStream::connect(addresses.map_err(unreached)?.as_slice()).await.map_err(unreached)?;
    tcp.set_nodelay(true).map_err(unreached)?;
    Ok(tcp)
}

fn read(text: &str) -> Result<Incoming, ConnectionEnd> {
    read_json(text).map_err(|_fault| not_understood())
}

fn not_understood() -> ConnectionEnd {
    let version = env!("CARGO_PKG_VERSION");
    ConnectionEnd::Stop(format!(
        "the server says what milepost {version} does not understand: use the server's own version"
    ))
}

fn broken(error: &Error) -> ConnectionEnd {
    match error {
        Error::Io(error) => ConnectionEnd::lost(error.to_string()),
        error => ConnectionEnd::lost(error.to_string()),
    }
}

/// What an answer other than the upgrade means.
fn refused(url: &ServerUrl, response: &Response) -> ConnectionEnd {
    let status = response.status();
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    match (status, to) {
        (StatusCode::UNAUTHORIZED, _) => ConnectionEnd::token_not_valid(),
        (StatusCode::FORBIDDEN, _) => ConnectionEnd::not_allowed(),
        (_, Some(to)) if status.is_redirection() => ConnectionEnd::StopAtFirst(format!(
            "{url} redirects to {to}: give --url the address that is meant"
        )),
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
            ConnectionEnd::lost(format!("the answer was {status}"))
        }
        _ if status.is_server_error() => ConnectionEnd::lost(format!("the answer was {status}")),
        _ => ConnectionEnd::StopAtFirst(format!(
            "{url} has no live connection (the answer was {status}): give --url the address of a Milepost server that \
             serves pages"
        )),
    }
}

/// What a close means.
fn closed(frame: Option<&CloseFrame>) -> ConnectionEnd {
    let Some(frame) = frame else { return ConnectionEnd::lost("the server has closed the connection") };
    let code = u16::from(frame.code);
    if code == CloseCode::NotSignedIn.number() {
        ConnectionEnd::token_not_valid()
    } else if code == CloseCode::NotAllowed.number() {
        ConnectionEnd::not_allowed()
    } else if code == CloseCode::GoingAway.number() {
        ConnectionEnd::Lost { reason: "the server goes away".to_owned(), hint_ms: frame.reason.parse().ok() }
    } else {
        ConnectionEnd::lost(format!("the server has closed the connection: {code} {}", frame.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: CloseCode, reason: &str) -> ConnectionEnd {
        let frame = CloseFrame { code: code.number().into(), reason: reason.to_owned().into() };
        closed(Some(&frame))
    }

    #[test]
    fn closes_are_told_apart() {
        assert!(
            matches!(close(CloseCode::NotSignedIn, "x"), ConnectionEnd::Stop(why) if why.starts_with("the token is not valid"))
        );
        assert!(
            matches!(close(CloseCode::NotAllowed, "x"), ConnectionEnd::Stop(why) if why.contains("not allowed here"))
        );
        let hint = |reason: &str| match close(CloseCode::GoingAway, reason) {
            ConnectionEnd::Lost { hint_ms, .. } => hint_ms,
            ConnectionEnd::Stop(why) | ConnectionEnd::StopAtFirst(why) => panic!("{why}"),
        };
        assert_eq!((hint("2500"), hint("later")), (Some(2_500), None));
        let code = CloseCode::NoPong;
        assert_eq!(
            close(code, "no pong"),
            ConnectionEnd::lost("the server has closed the connection: 4408 no pong")
        );
        assert!(matches!(closed(None), ConnectionEnd::Lost { hint_ms: None, .. }));
    }

    #[test]
    fn refusals_are_told_apart() {
        let url: ServerUrl = "http://m.example".parse().unwrap();
        let of = |status: StatusCode| {
            let response =
                http::Response::builder().status(status).header("location", "https://m.example/live");
            refused(&url, &response.body(None).unwrap())
        };
        assert!(
            matches!(of(StatusCode::UNAUTHORIZED), ConnectionEnd::Stop(why) if why.contains("not valid"))
        );
        assert!(matches!(of(StatusCode::FORBIDDEN), ConnectionEnd::Stop(why) if why.contains("not allowed")));
        assert!(
            matches!(of(StatusCode::PERMANENT_REDIRECT), ConnectionEnd::StopAtFirst(why) if why.contains("https://m"))
        );
        assert!(
            matches!(of(StatusCode::NOT_FOUND), ConnectionEnd::StopAtFirst(why) if why.contains("404 Not Found"))
        );
        for status in
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS]
        {
            assert!(matches!(of(status), ConnectionEnd::Lost { .. }), "{status}");
        }
    }

    #[test]
    fn what_is_no_frame_is_not_waited_on() {
        assert_eq!(read(r#"{"ping":{}}"#), Ok(Incoming::Ping));
        assert!(matches!(read(r#"{"shrug":{}}"#), Err(ConnectionEnd::Stop(_))));
    }
}
