//! One live connection, as any program would hold it.
//!
//! Owns reading and writing of JSON frames, as far as batches go. Called by the load. Invariant: a frame is stamped
//! when it has been read, before it is parsed; pings are answered. Deliberately does not use the server's own types:
//! what is measured is what a stranger gets.

use std::time::{Instant, SystemTime};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Fault;
use crate::server::Server;

/// A batch as a frame tells it.
#[derive(Debug, Deserialize)]
pub struct BatchRow {
    pub id: String,
    pub name: String,
    pub state: String,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl BatchRow {
    /// Items that have ended.
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// Whether the batch has.
    pub fn is_finished(&self) -> bool {
        ["succeeded", "failed", "cancelled"].contains(&self.state.as_str())
    }
}

#[derive(Deserialize)]
struct Rows {
    topic: String,
    rows: Vec<BatchRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Frame {
    Welcome(IgnoredAny),
    Ping(IgnoredAny),
    Snapshot(Rows),
    Update(Rows),
    Error { topic: Option<String>, code: String, message: String },
}

/// Rows that came, and when.
pub struct Seen {
    pub at: Instant,
    /// Milliseconds since 1970, with parts.
    pub wall_ms: f64,
    pub topic: String,
    /// True for the whole of a topic, false for a change.
    pub whole: bool,
    pub rows: Vec<BatchRow>,
    pub bytes: usize,
}

/// A live connection.
pub struct Live {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Live {
    /// Connects with the server's token.
    pub async fn connect(server: &Server) -> Result<Self, Fault> {
        let url = format!("{}/live", server.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "milepost.v1.json".parse()?);
        request.headers_mut().insert("authorization", format!("Bearer {}", server.token).parse()?);
        let (mut socket, _answer) = connect_async(request).await?;
        if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
            stream.set_nodelay(true)?;
        }
        Ok(Self { socket })
    }

    async fn say(&mut self, frame: serde_json::Value) -> Result<(), Fault> {
        Ok(self.socket.send(Message::text(frame.to_string())).await?)
    }

    /// Listens to `topic`.
    pub async fn subscribe(&mut self, topic: &str) -> Result<(), Fault> {
        self.say(serde_json::json!({ "subscribe": { "topic": topic } })).await
    }

    /// Stops listening to `topic`.
    pub async fn unsubscribe(&mut self, topic: &str) -> Result<(), Fault> {
        self.say(serde_json::json!({ "unsubscribe": { "topic": topic } })).await
    }

    /// The next rows.
    pub async fn next(&mut self) -> Result<Seen, Fault> {
        loop {
            let message = self.socket.next().await.ok_or("the live connection ended")??;
            let at = Instant::now();
            let wall_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1_000.0;
            let text = match message {
                Message::Text(text) => text,
                Message::Close(why) => return Err(format!("the live connection was closed: {why:?}").into()),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let (whole, Rows { topic, rows }) = match serde_json::from_str(&text)? {
                Frame::Welcome(_) => continue,
                Frame::Ping(_) => {
                    self.say(serde_json::json!({ "pong": {} })).await?;
                    continue;
                }
                Frame::Snapshot(rows) => (true, rows),
                Frame::Update(rows) => (false, rows),
                Frame::Error { topic, code, message } => {
                    return Err(format!("{}: {code}: {message}", topic.unwrap_or_default()).into());
                }
            };
            return Ok(Seen { at, wall_ms, topic, whole, rows, bytes: text.len() });
        }
    }
}
