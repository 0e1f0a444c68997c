//! The way out of a socket.
//!
//! Owns what the system has not taken yet. Called by the socket's own task, and by the hub, which writes for many at once.
//! Invariant: nothing waits: what the system does not take at once is kept (a turn's frames at most, since no new ones are
//! asked for meanwhile) and goes on when there is room; bytes of two frames never mix. Frames are shared by many
//! connections, so they are written to the bare connection as they are: the library would copy each into a buffer of its
//! own. Deliberately knows no protocol of ours.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::reader::Broken;
use crate::hub::Outlet;

/// Parts that are given to the system in one call.
const PARTS_MAX: usize = 64;
/// Up to so many bytes are copied into one piece: that costs less than the longer way of a vectored write in the system.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a frame's head at most: RFC 6455 §5.2, without a mask.
const HEAD_BYTES_MAX: usize = 10;
/// Parts that may wait without their list being made smaller once they have left.
const PARTS_KEPT_MAX: usize = 8;
/// Frames that a thread keeps with their heads, newest first; beyond, the oldest is made anew when it is sent again.
const FRAMED_KEPT_MAX: usize = 4;

thread_local! {
    /// Room to copy into.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// At most [`FRAMED_KEPT_MAX`], each of at most [`COPIED_BYTES_MAX`]: mostly the next connection is sent the same.
    static FRAMED: RefCell<VecDeque<Framed>> = const { RefCell::new(VecDeque::new()) };
}

/// A frame and what stands for it on the wire.
struct Framed {
    first_byte: u8,
    /// Kept, so that no other frame can have its address.
    frame: Bytes,
    whole: Bytes,
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
pub struct Plain(pub Arc<Out>);

/// RFC 6455 §5.2: the length in 7, 16 or 64 bits. `more` bytes of room are left behind the head.
fn head(first_byte: u8, payload: usize, more: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX + more);
    head.push(first_byte);
    match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(short), _) if short < 126 => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    head
}

/// A small frame with its head.
fn framed(first_byte: u8, frame: &Bytes) -> Bytes {
    FRAMED.with_borrow_mut(|kept| {
        let same = |framed: &&Framed| {
            framed.first_byte == first_byte
                && framed.frame.as_ptr() == frame.as_ptr()
                && framed.frame.len() == frame.len()
        };
        if let Some(framed) = kept.iter().find(same) {
            return framed.whole.clone();
        }
        let mut whole = head(first_byte, frame.len(), frame.len());
        whole.extend_from_slice(frame);
        let whole = Bytes::from(whole);
        kept.truncate(FRAMED_KEPT_MAX - 1);
        kept.push_front(Framed { first_byte, frame: frame.clone(), whole: whole.clone() });
        whole
    })
}

impl Out {
    /// Over a connection after its upgrade; each frame begins with `first_byte`.
    pub fn new(stream: TcpStream, first_byte: u8) -> Self {
        let (left, full) = (Mutex::default(), AtomicBool::new(false));
        Self { stream, first_byte, left, full }
    }

    fn left(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the system takes of `parts` now. A connection that is gone takes all: reading says that it is.
    fn write(&self, parts: &VecDeque<Bytes>) -> usize {
        let bytes = parts.iter().take(PARTS_MAX).map(Bytes::len).sum();
        let taken = match parts.front() {
            Some(one) if parts.len() == 1 => self.write_piece(one),
            _ if bytes <= COPIED_BYTES_MAX => PIECE.with_borrow_mut(|piece| {
                piece.clear();
                parts.iter().take(PARTS_MAX).for_each(|part| piece.extend_from_slice(part));
                self.write_piece(piece)
            }),
            _ => {
                let parts: Vec<IoSlice<'_>> =
                    parts.iter().take(PARTS_MAX).map(|part| IoSlice::new(part)).collect();
                self.stream.try_write_vectored(&parts)
            }
        };
        match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => {
                // It is gone, or the system has no room for it at all: what was torn cannot be mended. Reading says so.
                if let Err(fault) = SockRef::from(&self.stream).shutdown(Shutdown::Both) {
                    tracing::debug!(%error, %fault, "a connection that broke is gone already");
                }
                bytes
            }
        }
    }

    /// Asks the system itself. Only where it takes nothing is the runtime asked as well, so that it waits for room: what
    /// it keeps of a connection lies far from here, and is not touched for every frame. A connection that is gone answers
    /// by an error: the standard library has its signal ignored.
    fn write_piece(&self, piece: &[u8]) -> io::Result<usize> {
        match SockRef::from(&self.stream).send(piece) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.try_write(piece),
            taken => taken,
        }
    }

    /// Resolves when there may be room. Cancel-safe.
    pub async fn room(&self) -> Result<(), Broken> {
        self.stream.writable().await.map_err(|_gone| Broken::Gone)
    }

    /// Goes on with what waits; answers how many bytes the system took.
    pub fn go_on(&self) -> usize {
        let mut left = self.left();
        let mut all = 0;
        while !left.is_empty() {
            let mut taken = self.write(&left);
            if taken == 0 {
                break;
            }
            all += taken;
            while let Some(first) = left.front_mut().filter(|_| taken > 0) {
                if taken < first.len() {
                    first.advance(taken);
                    break;
                }
                taken -= first.len();
                left.pop_front();
            }
        }
        if left.is_empty() && left.capacity() > PARTS_KEPT_MAX {
            *left = VecDeque::new();
        }
        self.full.store(!left.is_empty(), Ordering::Release);
        all
    }

    /// Puts bytes behind what waits. No part may be empty.
    fn wait(&self, parts: impl IntoIterator<Item = Bytes>) {
        let mut left = self.left();
        left.extend(parts);
        self.full.store(!left.is_empty(), Ordering::Release);
    }
}

impl Outlet for Out {
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    fn put(&self, frames: &[Bytes]) {
        for frame in frames {
            if frame.len() <= COPIED_BYTES_MAX {
                self.wait([framed(self.first_byte, frame)]);
            } else {
                self.wait([head(self.first_byte, frame.len(), 0).into(), frame.clone()]);
            }
        }
    }

    fn flush(&self) {
        self.go_on();
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
        if !bytes.is_empty() {
            self.0.wait([Bytes::copy_from_slice(bytes)]);
            self.0.go_on();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_the_length_in_the_shortest_form() {
        let head = |payload| head(0x81, payload, 0);
        assert_eq!(head(0), [0x81, 0]);
        assert_eq!(head(125), [0x81, 125]);
        assert_eq!(head(126), [0x81, 126, 0, 126]);
        assert_eq!(head(200), [0x81, 126, 0, 200]);
        assert_eq!(head(65_535), [0x81, 126, 255, 255]);
        assert_eq!(head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
