//! Follows one batch to its end over as many connections as it takes.
//!
//! Keeps the time: when a connection is dead, when the next is tried, when it is given up. Pauses and restarts are not
//! ends. It prints nothing: it reports what happens, and the caller shows it.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::socket::{ConnectionEnd, Socket};
use super::watched_batch::{BatchName, FrameOutcome, WatchedBatch};
use crate::backoff::Backoff;
use crate::cli::CliError;
use crate::cli::api_client::RequestError;
use crate::cli::reach::Server;
use crate::client::decoder::Incoming;
use crate::client::reconnect::{reconnect_backoff, reconnect_delay};
use crate::client::subscriptions::Subscriptions;
use crate::client::words;
use crate::protocol::{Batch, ClientFrame};

/// How long a connection may take until the server's welcome.
const WELCOME_MAX: Duration = Duration::from_secs(10);
/// How long the first row may take after the welcome.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Shortest and longest interval of pings that is believed, in milliseconds.
const PING_MS: (u64, u64) = (1_000, 3_600_000);

/// What happens while a batch is followed.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum WatchEvent<'a> {
    /// A state of the batch, newer than the one before.
    Row(&'a Batch),
    /// Contact was lost, or a try has failed.
    Lost {
        /// Why.
        reason: &'a str,
        /// Until the next try.
        wait: Duration,
    },
    /// So long yet until the next try; reported once a second.
    Waits(Duration),
    /// A try is under way.
    Tries,
    /// There is contact again.
    Back,
}

/// Follows the batch of this name until it has finished, and returns its last state, which has been reported as well.
///
/// # Errors
/// [`CliError::Unfollowed`] where there is nothing to follow, or no right to; [`RequestError::LostContact`] after `patience`
/// without contact; what `report` answers. Dropping it closes the connection; a name that is being looked up is not waited
/// for.
pub(in crate::cli) async fn follow(
    server: &Server,
    name: impl Into<BatchName>,
    patience: Duration,
    report: impl FnMut(WatchEvent<'_>) -> io::Result<()>,
) -> Result<Batch, CliError> {
    let away = Some(Instant::now());
    let mut follower = Follower {
        server,
        watched: WatchedBatch::new(name.into()),
        subscriptions: Subscriptions::default(),
        patience,
        backoff: reconnect_backoff(),
        away,
        contact: ServerContact::Never,
        report,
    };
    loop {
        (follower.report)(WatchEvent::Tries)?;
        match follower.stay().await {
            Ok(batch) => return Ok(batch),
            Err(Break::Unshown(error)) => return Err(error.into()),
            Err(Break::ConnectionEnd(end)) => follower.wait(end).await?,
        }
    }
}

/// Whether this server has ever answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerContact {
    Never,
    Answered,
}

/// Why one connection is over.
enum Break {
    /// It has ended.
    ConnectionEnd(ConnectionEnd),
    /// What was reported could not be shown.
    Unshown(io::Error),
}

impl From<ConnectionEnd> for Break {
    fn from(end: ConnectionEnd) -> Self {
        Self::ConnectionEnd(end)
    }
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self::Unshown(error)
    }
}

struct Follower<'a, T> {
    server: &'a Server,
    watched: WatchedBatch,
    /// Of the present connection.
    subscriptions: Subscriptions,
    patience: Duration,
    backoff: Backoff,
    /// Since when there is no contact.
    away: Option<Instant>,
    contact: ServerContact,
    report: T,
}

impl<T: FnMut(WatchEvent<'_>) -> io::Result<()>> Follower<'_, T> {
    /// One connection, to its end or to that of the batch.
    async fn stay(&mut self) -> Result<Batch, Break> {
        let mut due = self.due(WELCOME_MAX);
        let late = |_elapsed| ConnectionEnd::lost("the server does not answer");
        let mut socket = timeout_at(due, Socket::open(self.server)).await.map_err(late)??;
        let mut silence_max = WELCOME_MAX;
        self.subscriptions.reset();
        loop {
            // Frames first: after a sleep of this process they have waited, not been missing.
            let Ok(next) = timeout_at(due, socket.next()).await else {
                return Err(ConnectionEnd::lost("nothing was heard of the server").into());
            };
            match next {
                Ok(None) => {}
                Ok(Some(Incoming::Welcome { ping_ms, .. })) => {
                    silence_max = Duration::from_millis(ping_ms.clamp(PING_MS.0, PING_MS.1) * 5 / 2);
                    self.subscribe(&mut socket).await?;
                    due = self.due(ANSWER_MAX);
                }
                Ok(Some(Incoming::Ping)) => send(&mut socket, &ClientFrame::Pong {}).await?,
                Ok(Some(frame)) => {
                    if let Some(batch) = self.receive(&mut socket, frame).await? {
                        // Late: the server finds out by itself.
                        let _closed = timeout(CLOSE_MAX, socket.close()).await;
                        return Ok(batch);
                    }
                }
                Err(end) => {
                    let _closed = timeout(CLOSE_MAX, socket.close()).await;
                    return Err(end.into());
                }
            }
            if self.away.is_none() {
                due = Instant::now() + silence_max;
            }
        }
    }

    /// Takes what a frame says of the batch; returns it once it has finished.
    async fn receive(&mut self, socket: &mut Socket, frame: Incoming) -> Result<Option<Batch>, Break> {
        match self.watched.receive(frame) {
            FrameOutcome::Unrelated => return Ok(None),
            FrameOutcome::Found => {
                self.subscribe(socket).await?;
                return Ok(None);
            }
            FrameOutcome::NotNow(why) => return Err(ConnectionEnd::lost(why).into()),
            FrameOutcome::Over(why) => return Err(ConnectionEnd::Stop(why).into()),
            FrameOutcome::Current => self.answered()?,
            FrameOutcome::Newer => {
                self.answered()?;
                if let Some(row) = self.watched.row() {
                    (self.report)(WatchEvent::Row(row))?;
                }
            }
        }
        Ok(self.watched.row().filter(|row| row.state.is_finished()).cloned())
    }

    /// There is contact: the server has said how the batch stands.
    fn answered(&mut self) -> io::Result<()> {
        self.backoff.reset();
        let before = std::mem::replace(&mut self.contact, ServerContact::Answered);
        match (self.away.take(), before) {
            (Some(_), ServerContact::Answered) => (self.report)(WatchEvent::Back),
            (Some(_), ServerContact::Never) | (None, _) => Ok(()),
        }
    }

    /// Asks for what is wanted, where the connection does not bring it yet.
    async fn subscribe(&mut self, socket: &mut Socket) -> Result<(), ConnectionEnd> {
        for frame in self.subscriptions.request(&self.watched.wanted()) {
            send(socket, &frame).await?;
        }
        Ok(())
    }

    /// In `bound`, or when it is given up if that is sooner.
    fn due(&self, bound: Duration) -> Instant {
        let due = Instant::now() + bound;
        self.away.map_or(due, |away| due.min(away + self.patience))
    }

    /// Waits for the next try, if there is one.
    async fn wait(&mut self, end: ConnectionEnd) -> Result<(), CliError> {
        let (reason, hint_ms) = match end {
            ConnectionEnd::Lost { reason, hint_ms } => (reason, hint_ms),
            ConnectionEnd::StopAtFirst(reason) if self.contact == ServerContact::Answered => (reason, None),
            ConnectionEnd::Stop(why) | ConnectionEnd::StopAtFirst(why) => {
                return Err(CliError::Unfollowed(why));
            }
        };
        let away = *self.away.get_or_insert_with(Instant::now);
        let given_up = away + self.patience;
        let next = Instant::now() + reconnect_delay(&mut self.backoff, rand::random(), hint_ms);
        if Instant::now() < given_up {
            (self.report)(WatchEvent::Lost {
                reason: &reason,
                wait: next.saturating_duration_since(Instant::now()),
            })?;
        }
        loop {
            let now = Instant::now();
            if now >= given_up {
                let waited = words::duration(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
                let server = self.server.url.to_string();
                return Err(RequestError::LostContact { server, waited, reason }.into());
            }
            if now >= next {
                return Ok(());
            }
            (self.report)(WatchEvent::Waits(next - now))?;
            sleep_until(next.min(given_up).min(now + Duration::from_secs(1))).await;
        }
    }
}

/// Sends a frame, in time.
async fn send(socket: &mut Socket, frame: &ClientFrame) -> Result<(), ConnectionEnd> {
    let sent = timeout(ANSWER_MAX, socket.send(frame)).await;
    sent.unwrap_or_else(|_full| Err(ConnectionEnd::lost("the server takes nothing")))
}
