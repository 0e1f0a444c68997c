//! One socket: messages in, and the goodbye.
//!
//! The connection after its upgrade. All that is written goes through `out`; a goodbye waits, for a bounded time, until it has
//! been heard. The library reads, and answers pings and closes.
//!
//! Memory of a connection here: [`READ_BUFFER_BYTES`] to read, and next to nothing to write while the client keeps up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as LibraryCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::writer::{Broken, SocketWriter, WriterStream};
use crate::hub::{Outlet as _, WireFrame};
use crate::protocol::CloseCode;
use crate::server::transport::{FragmentMeter, TooManyFragments};

/// Bytes read from the socket at once: the library's default of 128 KiB is held by every idle connection.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes of control frames (pongs, a close) that may wait in the library; it keeps the newest of each only.
const CONTROL_BUFFER_BYTES: usize = 1024;
/// Bytes that the system may hold for one client; it doubles this for its own books. More would only be older.
const SYSTEM_BUFFER_BYTES: usize = 64 * 1024;
/// How long the other side may take to hear a goodbye.
const CLOSE_SECONDS_MAX: Duration = Duration::from_secs(2);

/// A socket, as its own task holds it: what comes, and the goodbye.
pub struct SocketReader {
    socket: WebSocketStream<WriterStream>,
    out: Arc<SocketWriter>,
}

/// What came.
#[derive(Debug)]
pub enum SocketMessage {
    /// A message, in the form of the codec or not.
    Message(Message),
    /// A ping or pong of the WebSocket itself, answered here; it costs, so it counts.
    Control,
    /// The other side says goodbye.
    Goodbye,
}

impl SocketReader {
    /// Takes over an upgraded connection; `read` came before the upgrade was done. Messages over `message_bytes_max`
    /// are refused.
    pub async fn open(stream: TcpStream, read: Bytes, message_bytes_max: usize) -> Self {
        if let Err(error) = SockRef::from(&stream).set_send_buffer_size(SYSTEM_BUFFER_BYTES) {
            tracing::debug!(%error, "the system keeps its own measure of buffers");
        }
        let out = Arc::new(SocketWriter::new(stream));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BUFFER_BYTES)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let mut meter = FragmentMeter::default();
        // What came with the upgrade is a buffer at most: too little to refuse.
        let _few = meter.follow(&read);
        let plain = WriterStream::new(Arc::clone(&out), meter);
        // Copied: what came is next to nothing, in a buffer of 8 KiB that would be kept as long as the connection.
        let read = read.to_vec();
        let socket = WebSocketStream::from_partially_read(plain, read, Role::Server, Some(config)).await;
        Self { socket, out }
    }

    /// The way out, for frames.
    pub fn out(&self) -> Arc<SocketWriter> {
        Arc::clone(&self.out)
    }

    /// True while something waits for room: nothing new is to be sent or read.
    pub fn is_full(&self) -> bool {
        self.out.is_full()
    }

    /// Sends frames, as far as the system takes them now.
    pub fn send(&self, frames: &[WireFrame]) {
        self.out.send(frames);
    }

    /// Resolves when there may be room. Cancel-safe.
    ///
    /// # Errors
    /// [`Broken::Gone`].
    pub async fn room(&self) -> Result<(), Broken> {
        self.out.room().await
    }

    /// Goes on with what waits; answers how many bytes the system took.
    pub fn go_on(&self) -> usize {
        self.out.go_on()
    }

    /// The next that comes. Not to be asked for while [`SocketReader::is_full`]. Cancel-safe.
    ///
    /// # Errors
    /// Why nothing more can come.
    pub async fn next(&mut self) -> Result<SocketMessage, Broken> {
        match self.socket.next().await {
            None => Err(Broken::Gone),
            Some(Ok(Message::Close(_))) => Ok(SocketMessage::Goodbye),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(SocketMessage::Control),
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                Ok(SocketMessage::Message(message))
            }
            Some(Err(error)) => Err(why(&error)),
        }
    }

    /// Says goodbye and waits, bounded, until it has been heard: a connection that is dropped with bytes unread would
    /// lose the reason on its way.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame { code: LibraryCode::from(code.number()), reason: reason.into() };
        let goodbye = async {
            self.socket.send(Message::Close(Some(frame))).await.map_err(|_gone| Broken::Gone)?;
            self.finish().await
        };
        // Late or gone: there is nobody to tell.
        let _told = timeout(CLOSE_SECONDS_MAX, goodbye).await;
    }

    /// Answers the goodbye of the other side.
    pub async fn answer_goodbye(mut self) {
        let answer = async {
            // The library has the answer ready; it says that the connection is over once that has left.
            let _over = self.socket.flush().await;
            self.finish().await
        };
        let _told = timeout(CLOSE_SECONDS_MAX, answer).await;
    }

    /// Writes what waits; then reads, unheard, until the other side has closed.
    async fn finish(&mut self) -> Result<(), Broken> {
        while self.is_full() {
            self.room().await?;
            self.go_on();
        }
        let plain = self.socket.get_mut();
        let _half = plain.shutdown().await;
        // On the heap: an idle connection keeps no room for its end.
        let mut unheard = vec![0; READ_BUFFER_BYTES];
        while matches!(plain.read(&mut unheard).await, Ok(count) if count > 0) {}
        Ok(())
    }
}

/// What an error of the library means for the other side.
fn why(error: &Error) -> Broken {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Broken::Refused(CloseCode::TooLarge, "too large")
        }
        Error::Utf8(_) => Broken::Refused(CloseCode::NotUtf8, "not UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Broken::Gone,
        Error::Protocol(_) => Broken::Refused(CloseCode::ProtocolError, "not a WebSocket frame"),
        Error::Io(fault) if fault.get_ref().is_some_and(|fault| fault.is::<TooManyFragments>()) => {
            Broken::Refused(CloseCode::TooMany, "too many frames of one message")
        }
        _ => Broken::Gone,
    }
}
