//! The least rate of a transfer: for how long the other side may keep this one waiting.
//!
//! [`TransferDebt`] is the account: time spent waiting adds to it, bytes that move pay it back at the least rate.
//! [`PacedStream`] holds what is written to a connection to it, whatever the answer is: a page, a download, events.
//! Request bodies are held to a rate of their own in `bodies`. A side that moves nothing is cut off after the longest
//! wait, and one that moves less than the least rate on average soon after; a wait that is this side's own (nothing
//! to write, nobody reads) is never counted.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connections::OpenConnection;

/// How long a client may take nothing of an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes a second that a client must take of an answer, on average, while more of it waits.
const ANSWER_BYTES_PER_S_MIN: u64 = 1024;
/// Bytes that the system may hold unsent for one connection before it takes no more. Without this bound megabytes are
/// taken for a client that reads nothing, and a client that reads slowly cannot be told from one that does not.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// How long what a client still sends is read, unheard, before its connection is closed on it: closed at once, the
/// system would answer with a reset, and the client might never read why.
const LINGER_MAX: Duration = Duration::from_secs(3);
/// Bytes that are read so; beyond, the connection is closed all the same.
const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much waiting the other side owes.
pub struct TransferDebt {
    bytes_per_s_min: u64,
    wait_max: Duration,
    bytes_due: Duration,
    waiting_since: Option<Instant>,
    /// Kept between waits, set anew only once it has rung: mostly bytes move long before.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl TransferDebt {
    /// None yet. Overdue beyond `wait_max`; each byte pays back a `bytes_per_s_min`th of a second.
    pub fn new(bytes_per_s_min: u64, wait_max: Duration) -> Self {
        Self {
            bytes_per_s_min: bytes_per_s_min.max(1),
            wait_max,
            bytes_due: Duration::ZERO,
            waiting_since: None,
            alarm: None,
        }
    }

    /// The other side has taken or given `bytes`.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.bytes_due += since.elapsed();
        }
        if !self.bytes_due.is_zero() {
            let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_s_min;
            self.bytes_due = self.bytes_due.saturating_sub(Duration::from_micros(micros));
        }
    }

    /// This side waits for the other. Ready once that has lasted too long.
    pub fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let overdue_at = since + self.wait_max.saturating_sub(self.bytes_due);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(overdue_at)));
        if alarm.deadline() > overdue_at {
            alarm.as_mut().reset(overdue_at);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= overdue_at {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(overdue_at);
        }
    }
}

/// A client's connection below HTTP.
pub struct PacedStream {
    stream: TcpStream,
    debt: TransferDebt,
    open: Arc<OpenConnection>,
    linger: Linger,
}

/// How far the end of a connection has come.
enum Linger {
    /// It goes on.
    Open,
    /// Nothing more is written; what still comes is read, unheard.
    Reading { until: Pin<Box<Sleep>>, bytes: u64 },
    /// It is over.
    Over,
}

impl PacedStream {
    /// Over a connection that was just accepted.
    pub fn new(stream: TcpStream, open: Arc<OpenConnection>) -> Self {
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            tracing::debug!(%error, "the system keeps its own measure of what may wait unsent");
        }
        let debt = TransferDebt::new(ANSWER_BYTES_PER_S_MIN, ANSWER_WAIT_MAX);
        Self { stream, debt, open, linger: Linger::Open }
    }

    /// The bare connection, for another protocol.
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.debt.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.debt.poll_overdue(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little")))
            }
        }
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Where the client was told that its connection ends while it was still sending, what it sends is read first.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.linger {
                Linger::Open if this.open.lingers() => {
                    SockRef::from(&this.stream).shutdown(Shutdown::Write)?;
                    let until = Box::pin(sleep_until(Instant::now() + LINGER_MAX));
                    this.linger = Linger::Reading { until, bytes: 0 };
                }
                Linger::Open => this.linger = Linger::Over,
                Linger::Reading { until, bytes } => {
                    let mut unheard = [0; 8 * 1024];
                    let mut buffer = ReadBuf::new(&mut unheard);
                    let read = match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                        Poll::Ready(Ok(())) => buffer.filled().len() as u64,
                        Poll::Ready(Err(_gone)) => 0,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(cx));
                            0
                        }
                    };
                    *bytes += read;
                    if read == 0 || *bytes >= LINGER_BYTES_MAX || until.is_elapsed() {
                        this.linger = Linger::Over;
                    }
                }
                Linger::Over => return Pin::new(&mut this.stream).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Waits `wait` for the other side, which then moves `bytes`; true where it is overdue before that.
    fn waits(debt: &mut TransferDebt, wait: Duration, bytes: usize) -> bool {
        let is_overdue = debt.bytes_due + wait >= debt.wait_max;
        debt.waiting_since = Instant::now().checked_sub(wait);
        assert!(debt.waiting_since.is_some(), "the machine has run for long enough");
        debt.moved(bytes);
        is_overdue
    }

    #[test]
    fn who_moves_too_little_is_overdue_and_who_keeps_the_rate_never() {
        let wait = Duration::from_secs(1);
        for (bytes, is_cut) in [(0, true), (512, true), (1_100, false)] {
            let mut debt = TransferDebt::new(1_024, Duration::from_secs(30));
            let seconds = (0..300).position(|_second| waits(&mut debt, wait, bytes));
            assert_eq!(seconds.is_some(), is_cut, "{bytes} a second: {seconds:?}");
        }
        let mut slow = TransferDebt::new(1_024, Duration::from_secs(30));
        assert!(waits(&mut slow, Duration::from_secs(30), 0), "all of it at once");
    }

    #[tokio::test]
    async fn who_moves_nothing_is_overdue_after_the_longest_wait() {
        let longest = Duration::from_millis(100);
        let mut debt = TransferDebt::new(1_024, longest);
        // What was not waited for is not counted.
        debt.moved(1);
        assert!(debt.bytes_due.is_zero());
        let begun = Instant::now();
        poll_fn(|cx| debt.poll_overdue(cx)).await;
        assert!(begun.elapsed() >= longest);
    }
}
