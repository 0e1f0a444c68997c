//! Follows one batch to its end over as many connections as it takes.
//!
//! Owns the time: when a connection is dead, when the next is tried, when it is given up. Called by [`super::watch`],
//! and fit for whoever else waits for a batch. Invariant: what is told of the batch never goes back; pauses and restarts are
//! not ends. Deliberately prints nothing: it tells what happens, and the caller shows it.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::socket::{End, Socket};
use super::told::{Heard, Told, Wanted};
use crate::cli::CliError;
use crate::cli::reach::Server;
use crate::client::backoff::Backoff;
use crate::client::words;
use crate::protocol::{Batch, ClientFrame, ServerFrame, Topic};

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
pub(super) enum News<'a> {
    /// A state of the batch, newer than the one before.
    Row(&'a Batch),
    /// Contact was lost, or a try has failed.
    Lost {
        /// Why.
        reason: &'a str,
        /// Until the next try.
        wait: Duration,
    },
    /// So long yet until the next try; told once a second.
    Waits(Duration),
    /// A try is under way.
    Tries,
    /// There is contact again.
    Back,
}

/// Follows `wanted` until it has finished, and gives its last state, which has been told as well.
///
/// # Errors
/// [`CliError::Unfollowed`] where there is nothing to follow, or no right to; [`CliError::LostContact`] after `patience`
/// without contact; what `tell` answers. Dropping it closes the connection; a name that is being looked up is not waited
/// for.
pub(super) async fn follow(
    server: &Server,
    wanted: Wanted,
    patience: Duration,
    tell: impl FnMut(News<'_>) -> io::Result<()>,
) -> Result<Batch, CliError> {
    let away = Some(Instant::now());
    let mut follower = Follower {
        server,
        told: Told::new(wanted),
        patience,
        backoff: Backoff::default(),
        away,
        known: Known::Never,
        tell,
    };
    loop {
        (follower.tell)(News::Tries)?;
        match follower.stay().await {
            Ok(batch) => return Ok(batch),
            Err(Break::Told(error)) => return Err(error.into()),
            Err(Break::End(end)) => follower.wait(end).await?,
        }
    }
}

/// Whether this server has ever answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Never,
    Answered,
}

/// Why one connection is over.
enum Break {
    /// It has ended.
    End(End),
    /// What was told could not be shown.
    Told(io::Error),
}

impl From<End> for Break {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self::Told(error)
    }
}

struct Follower<'a, T> {
    server: &'a Server,
    told: Told,
    patience: Duration,
    backoff: Backoff,
    /// Since when there is no contact.
    away: Option<Instant>,
    known: Known,
    tell: T,
}

impl<T: FnMut(News<'_>) -> io::Result<()>> Follower<'_, T> {
    /// One connection, to its end or to that of the batch.
    async fn stay(&mut self) -> Result<Batch, Break> {
        let mut due = self.due(WELCOME_MAX);
        let late = |_elapsed| End::lost("the server does not answer");
        let mut socket = timeout_at(due, Socket::open(self.server)).await.map_err(late)??;
        let mut silence_max = WELCOME_MAX;
        loop {
            // Frames first: after a sleep of this process they have waited, not been missing.
            let Ok(next) = timeout_at(due, socket.next()).await else {
                return Err(End::lost("nothing was heard of the server").into());
            };
            match next {
                Ok(None) => {}
                Ok(Some(ServerFrame::Welcome { ping_ms, .. })) => {
                    silence_max = Duration::from_millis(ping_ms.clamp(PING_MS.0, PING_MS.1) * 5 / 2);
                    self.say(&mut socket, &self.told.ask()).await?;
                    due = self.due(ANSWER_MAX);
                }
                Ok(Some(ServerFrame::Ping)) => self.say(&mut socket, &ClientFrame::Pong {}).await?,
                Ok(Some(frame)) => {
                    if let Some(batch) = self.take(&mut socket, frame).await? {
                        // Late: it finds out by itself.
                        let _told = timeout(CLOSE_MAX, socket.close()).await;
                        return Ok(batch);
                    }
                }
                Err(end) => {
                    let _told = timeout(CLOSE_MAX, socket.close()).await;
                    return Err(end.into());
                }
            }
            if self.away.is_none() {
                due = Instant::now() + silence_max;
            }
        }
    }

    /// Takes what a frame says of the batch; gives it once it has finished.
    async fn take(&mut self, socket: &mut Socket, frame: ServerFrame) -> Result<Option<Batch>, Break> {
        match self.told.hear(frame) {
            Heard::Nothing => return Ok(None),
            Heard::Found => {
                let topic = Topic::Batches.to_string();
                self.say(socket, &ClientFrame::Unsubscribe { topic }).await?;
                self.say(socket, &self.told.ask()).await?;
                return Ok(None);
            }
            Heard::NotNow(why) => return Err(End::lost(why).into()),
            Heard::Over(why) => return Err(End::Stop(why).into()),
            Heard::Current => self.answered()?,
            Heard::Newer => {
                self.answered()?;
                if let Some(row) = self.told.row() {
                    (self.tell)(News::Row(row))?;
                }
            }
        }
        Ok(self.told.row().filter(|row| row.state.is_finished()).cloned())
    }

    /// There is contact: the server has said how the batch stands.
    fn answered(&mut self) -> io::Result<()> {
        self.backoff.reset();
        let was_known = std::mem::replace(&mut self.known, Known::Answered);
        match (self.away.take(), was_known) {
            (Some(_), Known::Answered) => (self.tell)(News::Back),
            (Some(_), Known::Never) | (None, _) => Ok(()),
        }
    }

    async fn say(&self, socket: &mut Socket, frame: &ClientFrame) -> Result<(), End> {
        timeout(ANSWER_MAX, socket.say(frame))
            .await
            .unwrap_or_else(|_full| Err(End::lost("the server takes nothing")))
    }

    /// In `bound`, or when it is given up if that is sooner.
    fn due(&self, bound: Duration) -> Instant {
        let due = Instant::now() + bound;
        self.away.map_or(due, |away| due.min(away + self.patience))
    }

    /// Waits for the next try, if there is one.
    async fn wait(&mut self, end: End) -> Result<(), CliError> {
        let (reason, hint_ms) = match end {
            End::Lost { reason, hint_ms } => (reason, hint_ms),
            End::StopAtFirst(reason) if self.known == Known::Answered => (reason, None),
            End::Stop(why) | End::StopAtFirst(why) => return Err(CliError::Unfollowed(why)),
        };
        let away = *self.away.get_or_insert_with(Instant::now);
        let given_up = away + self.patience;
        let delay = self.backoff.next_ms(rand::random(), hint_ms);
        let next = Instant::now() + Duration::from_millis(delay.into());
        if Instant::now() < given_up {
            (self.tell)(News::Lost {
                reason: &reason,
                wait: next.saturating_duration_since(Instant::now()),
            })?;
        }
        loop {
            let now = Instant::now();
            if now >= given_up {
                let waited = words::duration(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
                return Err(CliError::LostContact { server: self.server.url.to_string(), waited, reason });
            }
            if now >= next {
                return Ok(());
            }
            (self.tell)(News::Waits(next - now))?;
            sleep_until(next.min(given_up).min(now + Duration::from_secs(1))).await;
        }
    }
}
