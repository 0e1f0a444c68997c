//! One socket: frames out, messages in.
//!
//! Owns the connection after the upgrade. Called by the socket's connection. Invariant: nothing waits: what the system
//! does not take at once is kept (a turn's frames at most, since no new ones are asked for meanwhile) and goes on when
//! there is room; bytes of two frames never mix. Frames are shared by many connections, so they are written to the
//! bare connection as they are: the library would copy each into a buffer of its own. It reads, and it answers pings
//! and closes. Deliberately knows no protocol of ours.
//!
//! Memory of a connection here: [`READ_BUFFER_BYTES`] to read, and nothing to write while the client keeps up.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as LibraryCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::protocol::{CloseCode, Codec};

/// Bytes read from the socket at once: the library's default of 128 KiB is held by every idle connection.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes of control frames (pongs, a close) that may wait in the library; it keeps the newest of each only.
const CONTROL_BUFFER_BYTES: usize = 1024;
/// Bytes that the system may hold for one client; it doubles this for its own books. More would only be older.
const SYSTEM_BUFFER_BYTES: usize = 64 * 1024;
/// How long the other side may take to hear a goodbye.
const CLOSE_SECONDS_MAX: Duration = Duration::from_secs(2);
/// Parts that are given to the system in one call.
const PARTS_MAX: usize = 64;
/// Bytes of a frame's head at most: RFC 6455 §5.2, without a mask.
const HEAD_BYTES_MAX: usize = 10;

/// A socket.
pub struct Wire {
    socket: WebSocketStream<TcpStream>,
    /// First byte of a frame: final, and text or binary.
    first_byte: u8,
    /// What the system has not taken yet. Bounded by one turn of the session.
    left: VecDeque<Bytes>,
    /// The library may have something of its own to write.
    answering: bool,
}

/// Why a socket can no longer be used.
#[derive(Debug)]
pub enum Broken {
    /// The other side has gone.
    Gone,
    /// It said something that is answered by this.
    Refused(CloseCode, &'static str),
}

/// What came.
#[derive(Debug)]
pub enum Came {
    /// A message, in the form of the codec or not.
    Message(Message),
    /// A ping or pong of the WebSocket itself, answered here; it costs, so it counts.
    Control,
    /// The other side says goodbye.
    Goodbye,
}

struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    length: usize,
}

impl Head {
    /// RFC 6455 §5.2: the length in 7, 16 or 64 bits.
    fn new(first_byte: u8, payload: usize) -> Self {
        let mut bytes = [0; HEAD_BYTES_MAX];
        bytes[0] = first_byte;
        let length = match (u8::try_from(payload), u16::try_from(payload)) {
            (Ok(short), _) if short < 126 => {
                bytes[1] = short;
                2
            }
            (_, Ok(medium)) => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
                HEAD_BYTES_MAX
            }
        };
        Self { bytes, length }
    }
}

impl Wire {
    /// Takes over an upgraded connection; `read` came before the upgrade was done. Messages over `message_bytes_max`
    /// are refused.
    pub async fn open(stream: TcpStream, read: Bytes, codec: Codec, message_bytes_max: usize) -> Self {
        if let Err(error) = socket2::SockRef::from(&stream).set_send_buffer_size(SYSTEM_BUFFER_BYTES) {
            tracing::debug!(%error, "the system keeps its own measure of buffers");
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BUFFER_BYTES)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let socket =
            WebSocketStream::from_partially_read(stream, read.into(), Role::Server, Some(config)).await;
        let first_byte = match codec {
            Codec::Json => 0x81,
            Codec::Binary => 0x82,
        };
        Self { socket, first_byte, left: VecDeque::new(), answering: false }
    }

    /// True while something waits for room: nothing new is to be sent or read.
    pub fn is_full(&self) -> bool {
        !self.left.is_empty()
    }

    /// Sends frames, as far as the system takes them now.
    ///
    /// # Errors
    /// [`Broken::Gone`].
    pub fn send(&mut self, frames: &[Bytes]) -> Result<(), Broken> {
        if frames.is_empty() {
            return Ok(());
        }
        let heads: Vec<Head> = frames.iter().map(|frame| Head::new(self.first_byte, frame.len())).collect();
        let mut taken = 0;
        if self.left.is_empty() && self.library_is_done()? {
            let parts =
                heads.iter().zip(frames).flat_map(|(head, frame)| [&head.bytes[..head.length], frame]);
            let parts: Vec<IoSlice<'_>> = parts.take(PARTS_MAX).map(IoSlice::new).collect();
            taken = match self.socket.get_ref().try_write_vectored(&parts) {
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_gone) => return Err(Broken::Gone),
            };
        }
        for (head, frame) in heads.iter().zip(frames) {
            let cut = taken.min(head.length);
            if cut < head.length {
                self.left.push_back(Bytes::copy_from_slice(&head.bytes[cut..head.length]));
            }
            taken -= cut;
            let cut = taken.min(frame.len());
            if cut < frame.len() {
                self.left.push_back(frame.slice(cut..));
            }
            taken -= cut;
        }
        Ok(())
    }

    /// Resolves when there may be room. Cancel-safe.
    pub async fn room(&self) -> Result<(), Broken> {
        self.socket.get_ref().writable().await.map_err(|_gone| Broken::Gone)
    }

    /// Goes on with what waits; answers how many bytes the system took.
    ///
    /// # Errors
    /// [`Broken::Gone`].
    pub fn go_on(&mut self) -> Result<usize, Broken> {
        let mut all = 0;
        while !self.left.is_empty() && self.library_is_done()? {
            let parts: Vec<IoSlice<'_>> =
                self.left.iter().take(PARTS_MAX).map(|part| IoSlice::new(part)).collect();
            let mut taken = match self.socket.get_ref().try_write_vectored(&parts) {
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(all),
                Err(_gone) => return Err(Broken::Gone),
            };
            all += taken;
            while taken > 0 {
                let Some(first) = self.left.front_mut() else { break };
                let cut = taken.min(first.len());
                *first = first.slice(cut..);
                taken -= cut;
                if first.is_empty() {
                    self.left.pop_front();
                }
            }
        }
        Ok(all)
    }

    /// False while a pong or close of the library's own has left in part only.
    fn library_is_done(&mut self) -> Result<bool, Broken> {
        if self.answering {
            match self.socket.flush().now_or_never() {
                None => return Ok(false),
                Some(Ok(())) => self.answering = false,
                Some(Err(_gone)) => return Err(Broken::Gone),
            }
        }
        Ok(true)
    }

    /// The next that comes. Not to be asked for while [`Wire::is_full`]. Cancel-safe.
    ///
    /// # Errors
    /// Why nothing more can come.
    pub async fn next(&mut self) -> Result<Came, Broken> {
        match self.socket.next().await {
            None => Err(Broken::Gone),
            Some(Ok(Message::Close(_))) => {
                self.answering = true;
                Ok(Came::Goodbye)
            }
            Some(Ok(Message::Ping(_))) => {
                self.answering = true;
                Ok(Came::Control)
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(Came::Control),
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => Ok(Came::Message(message)),
            Some(Err(error)) => Err(why(&error)),
        }
    }

    /// Says goodbye and waits, bounded, until it has been heard: a connection that is dropped with bytes unread would
    /// lose the reason on its way.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame { code: LibraryCode::from(code.number()), reason: reason.into() };
        let goodbye = async {
            self.finish().await?;
            self.socket.send(Message::Close(Some(frame))).await.map_err(|_gone| Broken::Gone)?;
            self.drain().await;
            Ok::<(), Broken>(())
        };
        // Late or gone: there is nobody to tell.
        let _told = timeout(CLOSE_SECONDS_MAX, goodbye).await;
    }

    /// Answers the goodbye of the other side.
    pub async fn answer_goodbye(mut self) {
        let answer = async {
            self.finish().await?;
            // The library has the answer ready; it says that the connection is over once that has left.
            let _over = self.socket.flush().await;
            self.drain().await;
            Ok::<(), Broken>(())
        };
        let _told = timeout(CLOSE_SECONDS_MAX, answer).await;
    }

    /// Writes what waits.
    async fn finish(&mut self) -> Result<(), Broken> {
        while self.is_full() {
            self.room().await?;
            self.go_on()?;
        }
        Ok(())
    }

    /// Reads, unheard, until the other side has closed.
    async fn drain(&mut self) {
        let stream = self.socket.get_mut();
        let _half = stream.shutdown().await;
        let mut unheard = [0; READ_BUFFER_BYTES];
        while matches!(stream.read(&mut unheard).await, Ok(count) if count > 0) {}
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
        _ => Broken::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_the_length_in_the_shortest_form() {
        let head = |payload| {
            let head = Head::new(0x81, payload);
            head.bytes[..head.length].to_vec()
        };
        assert_eq!(head(0), [0x81, 0]);
        assert_eq!(head(125), [0x81, 125]);
        assert_eq!(head(126), [0x81, 126, 0, 126]);
        assert_eq!(head(200), [0x81, 126, 0, 200]);
        assert_eq!(head(65_535), [0x81, 126, 255, 255]);
        assert_eq!(head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
