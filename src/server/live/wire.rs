//! One socket: frames out, messages in.
//!
//! Owns the connection after the upgrade. Called by the socket's connection, and by the hub, which writes for many at
//! once. Invariant: nothing waits: what the system does not take at once is kept (a turn's frames at most, since no new
//! ones are asked for meanwhile) and goes on when there is room; bytes of two frames never mix. Frames are shared by many
//! connections, so they are written to the bare connection as they are: the library would copy each into a buffer of its
//! own. It reads, and it answers pings and closes. Deliberately knows no protocol of ours.
//!
//! Memory of a connection here: [`READ_BUFFER_BYTES`] to read, and nothing to write while the client keeps up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as LibraryCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::hub::Outlet;
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
/// Up to so many bytes are copied into one piece: that costs less than the longer way of a vectored write in the system.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Frames that are, each of two parts.
const FRAMES_AT_ONCE: usize = 8;
/// Bytes of a frame's head at most: RFC 6455 §5.2, without a mask.
const HEAD_BYTES_MAX: usize = 10;

thread_local! {
    /// Room to copy into.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A socket, as its own task holds it: what comes, and the goodbye.
pub struct Wire {
    socket: WebSocketStream<Plain>,
    out: Arc<Out>,
}

/// The way out of a socket: written to by its own task, and by the hub's for many at once.
pub struct Out {
    stream: TcpStream,
    /// First byte of a frame: final, and text or binary.
    first_byte: u8,
    /// What the system has not taken yet. Bounded by one turn of the session, answers, and a pong.
    left: Mutex<VecDeque<Bytes>>,
    /// As `left`, to be looked at without its lock.
    full: AtomicBool,
}

/// The connection as the library reads it; what it writes (pongs, a close) goes the way of the frames, in one piece.
struct Plain(Arc<Out>);

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

#[derive(Clone, Copy)]
struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    length: usize,
}

impl Head {
    const NONE: Self = Self { bytes: [0; HEAD_BYTES_MAX], length: 0 };

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

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Out {
    fn left(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the system takes of `parts` now. A connection that is gone takes all: reading says that it is.
    fn write(&self, parts: &[IoSlice<'_>]) -> usize {
        let bytes = parts.iter().map(|part| part.len()).sum();
        let taken = if bytes <= COPIED_BYTES_MAX {
            PIECE.with_borrow_mut(|piece| {
                piece.clear();
                parts.iter().for_each(|part| piece.extend_from_slice(part));
                self.stream.try_write(piece)
            })
        } else {
            self.stream.try_write_vectored(parts)
        };
        match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_gone) => bytes,
        }
    }

    /// Resolves when there may be room. Cancel-safe.
    async fn room(&self) -> Result<(), Broken> {
        self.stream.writable().await.map_err(|_gone| Broken::Gone)
    }

    /// Goes on with what waits; answers how many bytes the system took.
    fn go_on(&self) -> usize {
        let mut left = self.left();
        let mut all = 0;
        while !left.is_empty() {
            let parts: Vec<IoSlice<'_>> =
                left.iter().take(PARTS_MAX).map(|part| IoSlice::new(part)).collect();
            let mut taken = self.write(&parts);
            if taken == 0 {
                break;
            }
            all += taken;
            while let Some(first) = left.front_mut().filter(|_| taken > 0) {
                let cut = taken.min(first.len());
                *first = first.slice(cut..);
                taken -= cut;
                if first.is_empty() {
                    left.pop_front();
                }
            }
        }
        self.full.store(!left.is_empty(), Ordering::Release);
        all
    }
}

impl Outlet for Out {
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    fn send(&self, frames: &[Bytes]) {
        let mut left = self.left();
        for frames in frames.chunks(FRAMES_AT_ONCE) {
            let mut heads = [const { Head::NONE }; FRAMES_AT_ONCE];
            let mut parts = [IoSlice::new(&[]); 2 * FRAMES_AT_ONCE];
            for (head, frame) in heads.iter_mut().zip(frames) {
                *head = Head::new(self.first_byte, frame.len());
            }
            for ((pair, head), frame) in parts.chunks_mut(2).zip(&heads).zip(frames) {
                pair[0] = IoSlice::new(head.bytes());
                pair[1] = IoSlice::new(frame);
            }
            let mut taken = if left.is_empty() { self.write(&parts[..2 * frames.len()]) } else { 0 };
            for (head, frame) in heads.iter().zip(frames) {
                let cut = taken.min(head.bytes().len());
                if cut < head.bytes().len() {
                    left.push_back(Bytes::copy_from_slice(&head.bytes()[cut..]));
                }
                taken -= cut;
                let cut = taken.min(frame.len());
                if cut < frame.len() {
                    left.push_back(frame.slice(cut..));
                }
                taken -= cut;
            }
        }
        self.full.store(!left.is_empty(), Ordering::Release);
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Plain {
    /// Always takes all: what the system does not take waits behind the frames.
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut left = self.0.left();
        let taken = if left.is_empty() { self.0.write(&[IoSlice::new(bytes)]) } else { 0 };
        if taken < bytes.len() {
            left.push_back(Bytes::copy_from_slice(&bytes[taken..]));
            self.0.full.store(true, Ordering::Release);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(Shutdown::Write))
    }
}

impl Wire {
    /// Takes over an upgraded connection; `read` came before the upgrade was done. Messages over `message_bytes_max`
    /// are refused.
    pub async fn open(stream: TcpStream, read: Bytes, codec: Codec, message_bytes_max: usize) -> Self {
        if let Err(error) = SockRef::from(&stream).set_send_buffer_size(SYSTEM_BUFFER_BYTES) {
            tracing::debug!(%error, "the system keeps its own measure of buffers");
        }
        let first_byte = match codec {
            Codec::Json => 0x81,
            Codec::Binary => 0x82,
        };
        let (left, full) = (Mutex::default(), AtomicBool::new(false));
        let out = Arc::new(Out { stream, first_byte, left, full });
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BUFFER_BYTES)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let plain = Plain(Arc::clone(&out));
        // Copied: what came is next to nothing, in a buffer of 8 KiB that would be kept as long as the connection.
        let read = read.to_vec();
        let socket = WebSocketStream::from_partially_read(plain, read, Role::Server, Some(config)).await;
        Self { socket, out }
    }

    /// The way out, for frames.
    pub fn out(&self) -> Arc<Out> {
        Arc::clone(&self.out)
    }

    /// True while something waits for room: nothing new is to be sent or read.
    pub fn is_full(&self) -> bool {
        self.out.is_full()
    }

    /// Sends frames, as far as the system takes them now.
    pub fn send(&self, frames: &[Bytes]) {
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

    /// The next that comes. Not to be asked for while [`Wire::is_full`]. Cancel-safe.
    ///
    /// # Errors
    /// Why nothing more can come.
    pub async fn next(&mut self) -> Result<Came, Broken> {
        match self.socket.next().await {
            None => Err(Broken::Gone),
            Some(Ok(Message::Close(_))) => Ok(Came::Goodbye),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Came::Control),
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => Ok(Came::Message(message)),
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
