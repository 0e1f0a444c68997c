//! The way out of a socket: what the system has not taken yet, and the one place that writes.
//!
//! Written to by the socket's own task, and by the hub's thread, which writes for many connections in turn. Nothing here
//! waits: what the system does not take at once is kept, and goes on when there is room. That is one turn's frames at most,
//! since the session makes no new ones while [`Outlet::is_full`]. Bytes of two frames never mix. Frames are shared by many
//! connections, so they go to the bare connection as they are: the WebSocket library would copy each into a buffer of its
//! own.

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

use crate::hub::{Outlet, WireFrame};
use crate::protocol::CloseCode;
use crate::server::transport::FragmentMeter;

/// Why a socket can no longer be used.
#[derive(Debug)]
pub enum Broken {
    /// The other side has gone.
    Gone,
    /// It said something that is answered by this.
    Refused(CloseCode, &'static str),
}

/// Frames given to the system in one call; the others follow in the next.
const PARTS_MAX: usize = 16;
/// Frames that may wait without their list being made smaller once they have left.
const PARTS_KEPT_MAX: usize = 4;

/// The way out of a socket.
pub struct SocketWriter {
    stream: TcpStream,
    left: Mutex<Left>,
    /// True while something waits in `left`; read without its lock.
    full: AtomicBool,
}

/// What the system has not taken yet.
struct Left {
    /// Bounded by one turn of the session, answers, and a pong. No part is empty.
    parts: VecDeque<Bytes>,
    /// True once a write has failed: a frame may be torn, so nothing is written any more.
    broken: bool,
}

/// The connection as the library reads it; what it writes (pongs, a close) goes the way of the frames, in one piece.
pub struct WriterStream {
    writer: Arc<SocketWriter>,
    meter: FragmentMeter,
}

impl WriterStream {
    /// Over `writer`; what the library has of the connection before it reads must have passed `meter`.
    pub fn new(writer: Arc<SocketWriter>, meter: FragmentMeter) -> Self {
        Self { writer, meter }
    }
}

impl SocketWriter {
    /// Over a connection after its upgrade.
    pub fn new(stream: TcpStream) -> Self {
        let left = Left { parts: VecDeque::with_capacity(PARTS_KEPT_MAX), broken: false };
        Self { stream, left: Mutex::new(left), full: AtomicBool::new(false) }
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the system takes of `parts` now; answers how many bytes that were.
    ///
    /// Asks the system itself. Only where it takes nothing is the runtime asked as well, so that it waits for room: what it
    /// keeps of a connection lies far from here, and is not touched for every frame. A connection that is gone answers by
    /// an error, since the standard library ignores `SIGPIPE`.
    fn write(&self, parts: &VecDeque<Bytes>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PARTS_MAX];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        let slices = &slices[..parts.len().min(PARTS_MAX)];
        match SockRef::from(&self.stream).send_vectored(slices) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.try_write_vectored(slices),
            taken => taken,
        }
    }

    /// Resolves when there may be room. Cancel-safe.
    pub async fn room(&self) -> Result<(), Broken> {
        self.stream.writable().await.map_err(|_gone| Broken::Gone)
    }

    /// Goes on with what waits; answers how many bytes the system took.
    ///
    /// Where it refuses them (the peer is gone, or there is no memory) the connection is shut down and what waited is
    /// dropped: a frame that may be torn cannot be mended. Whoever reads then finds the end of the connection.
    pub fn go_on(&self) -> usize {
        let mut left = self.left();
        let mut all = 0;
        while !left.parts.is_empty() {
            let mut taken = match self.write(&left.parts) {
                Ok(0) => break,
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    (left.broken, left.parts) = (true, VecDeque::new());
                    let shut = SockRef::from(&self.stream).shutdown(Shutdown::Both);
                    tracing::debug!(%error, ?shut, "a live connection cannot be written to and is closed");
                    break;
                }
            };
            all += taken;
            while let Some(first) = left.parts.front_mut().filter(|_| taken > 0) {
                if taken < first.len() {
                    first.advance(taken);
                    break;
                }
                taken -= first.len();
                left.parts.pop_front();
            }
        }
        if left.parts.is_empty() && left.parts.capacity() > PARTS_KEPT_MAX {
            left.parts.shrink_to(PARTS_KEPT_MAX);
        }
        self.full.store(!left.parts.is_empty(), Ordering::Release);
        all
    }

    /// Puts bytes behind what waits. No part may be empty. Nothing is kept of a connection that is broken.
    fn wait(&self, parts: impl IntoIterator<Item = Bytes>) {
        let mut left = self.left();
        if left.broken {
            return;
        }
        left.parts.extend(parts);
        self.full.store(!left.parts.is_empty(), Ordering::Release);
    }
}

impl Outlet for SocketWriter {
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    fn put(&self, frames: &[WireFrame]) {
        if !frames.is_empty() {
            self.wait(frames.iter().map(|frame| frame.whole().clone()));
        }
    }

    fn flush(&self) {
        self.go_on();
    }
}

impl AsyncRead for WriterStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.writer.stream.poll_read_ready(cx))?;
            match self.writer.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    self.meter.follow(&buffer.initialize_unfilled()[..count])?;
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for WriterStream {
    /// Always takes all: what the system does not take waits behind the frames.
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !bytes.is_empty() {
            self.writer.wait([Bytes::copy_from_slice(bytes)]);
            self.writer.go_on();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.writer.stream).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::protocol::Codec;

    async fn pair() -> (SocketWriter, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (SocketWriter::new(listener.accept().await.unwrap().0), client)
    }

    fn frame(bytes: usize) -> WireFrame {
        WireFrame::new(Codec::Json, &vec![b'x'; bytes])
    }

    #[tokio::test]
    async fn frames_arrive_whole_and_in_order() {
        let (out, mut client) = pair().await;
        // More parts than one call takes, more bytes than the system does.
        let frames: Vec<WireFrame> = (0..3 * PARTS_MAX).map(|at| frame(1 + at * 4_000)).collect();
        let sent: Vec<u8> = frames.iter().flat_map(|frame| frame.whole().to_vec()).collect();
        out.send(&frames);
        assert!(out.is_full());
        let mut read = vec![0; sent.len()];
        let writing = async {
            while out.is_full() {
                out.room().await.unwrap();
                out.go_on();
            }
        };
        tokio::join!(writing, async { client.read_exact(&mut read).await.unwrap() });
        assert!(read == sent && !out.is_full());
    }

    #[tokio::test]
    async fn a_write_that_fails_closes_the_connection_and_counts_nothing() {
        let (out, mut client) = pair().await;
        out.put(&[frame(10), frame(10)]);
        SockRef::from(&out.stream).shutdown(Shutdown::Write).unwrap();
        assert_eq!(out.go_on(), 0, "nothing was written");
        assert!(!out.is_full(), "nothing waits for room");
        out.send(&[frame(10)]);
        assert!(!out.is_full() && out.left().parts.is_empty(), "nothing is kept any more");
        assert_eq!(
            client.read(&mut [0; 64]).await.unwrap(),
            0,
            "the client has the end, and no part of a frame"
        );
        let mut plain = WriterStream::new(Arc::new(out), FragmentMeter::default());
        assert_eq!(plain.read(&mut [0; 64]).await.unwrap(), 0, "so does whoever reads");
    }
}
