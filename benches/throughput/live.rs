//! One live connection, as any program would hold it.
//!
//! Frames are read and written by the project's own client, as far as batches go. A frame is stamped when it has come,
//! before it is parsed.

use std::time::{Instant, SystemTime};

use futures_util::{SinkExt, StreamExt};
use milepost::client::decoder::{Encoded, Incoming, encode, read_json};
use milepost::client::fold::Delta;
use milepost::protocol::binary::Change;
use milepost::protocol::{Batch, ClientFrame, Codec, Row};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Fault;
use crate::server::Server;

/// Rows that came, and when.
pub struct Seen {
    pub at: Instant,
    /// Milliseconds since 1970, with parts.
    pub wall_ms: f64,
    pub topic: String,
    /// True for the whole of a topic, false for a change.
    pub whole: bool,
    pub rows: Vec<Batch>,
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
        request.headers_mut().insert("sec-websocket-protocol", Codec::Json.subprotocol().parse()?);
        request.headers_mut().insert("authorization", format!("Bearer {}", server.token).parse()?);
        let (mut socket, _answer) = connect_async(request).await?;
        if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
            stream.set_nodelay(true)?;
        }
        Ok(Self { socket })
    }

    async fn send(&mut self, frame: &ClientFrame) -> Result<(), Fault> {
        let message = match encode(frame, Codec::Json) {
            Encoded::Text(text) => Message::text(text),
            Encoded::Bytes(bytes) => Message::binary(bytes),
        };
        Ok(self.socket.send(message).await?)
    }

    /// Listens to `topic`.
    pub async fn subscribe(&mut self, topic: &str) -> Result<(), Fault> {
        self.send(&ClientFrame::Subscribe { topic: topic.to_owned(), rev: None }).await
    }

    /// Stops listening to `topic`.
    pub async fn unsubscribe(&mut self, topic: &str) -> Result<(), Fault> {
        self.send(&ClientFrame::Unsubscribe { topic: topic.to_owned() }).await
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
            let (topic, delta) = match read_json(&text).map_err(|fault| fault.to_string())? {
                Incoming::Welcome { .. } => continue,
                Incoming::Ping => {
                    self.send(&ClientFrame::Pong {}).await?;
                    continue;
                }
                Incoming::Rows { topic, delta } => (topic, delta),
                Incoming::Refused { topic, code, message } => {
                    let topic = topic.map(|topic| topic.to_string()).unwrap_or_default();
                    return Err(format!("{topic}: {}: {message}", code.as_str()).into());
                }
            };
            let (whole, rows) = match delta {
                Delta::Snapshot { rows, .. } => (true, rows),
                Delta::Update { changes, .. } => (false, changes.into_iter().filter_map(whole_row).collect()),
            };
            let batch = |row| if let Row::Batch(batch) = row { Some(*batch) } else { None };
            let rows = rows.into_iter().filter_map(batch).collect();
            let topic = topic.to_string();
            return Ok(Seen { at, wall_ms, topic, whole, rows, bytes: text.len() });
        }
    }
}

/// JSON tells whole rows only.
fn whole_row(change: Change) -> Option<Row> {
    match change {
        Change::Whole(row) => Some(row),
        Change::Part { .. } => None,
    }
}
