//! Which transport frames come by: the socket, else events, else a poll, else the page that reloads itself.
//!
//! A transport is given up only where the server answers by HTTP while the transport does not open: a server that is
//! away is waited for, not worked around. From a lesser transport the socket is tried again from time to time.

use std::time::Duration;

use crate::backoff::Backoff;

/// A transport, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// WebSocket.
    #[default]
    Socket,
    /// Server-Sent Events.
    Events,
    /// Asking again and again.
    Poll,
    /// The whole page, reloaded.
    Page,
}

impl Transport {
    /// Its name, for tests and people who look into the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Events => "events",
            Self::Poll => "poll",
            Self::Page => "page",
        }
    }

    /// The transport of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Socket, Self::Events, Self::Poll, Self::Page].into_iter().find(|known| known.name() == name)
    }

    fn next(self) -> Self {
        match self {
            Self::Socket => Self::Events,
            Self::Events => Self::Poll,
            Self::Poll | Self::Page => Self::Page,
        }
    }
}

/// Tries of one transport in a row that may fail to open.
const FAILED_MAX: u32 = 2;
/// Until the socket is tried again from a lesser transport; doubles each time it does not open, up to the second figure.
const CLIMB_FIRST: Duration = Duration::from_secs(60);
const CLIMB_MAX: Duration = Duration::from_secs(900);

/// The transport of a tab, and when another one is tried.
#[derive(Clone, Copy, Debug)]
pub struct TransportChoice {
    transport: Transport,
    /// Tries of this transport in a row that did not open.
    failed: u32,
    /// The transport to come back to where the socket does not open after all.
    tried_from: Option<Transport>,
    climb: Backoff,
    /// Until the next climb.
    climb_after: Duration,
}

impl Default for TransportChoice {
    fn default() -> Self {
        let mut climb = Backoff::new(CLIMB_FIRST, CLIMB_MAX);
        let climb_after = climb.next_delay();
        Self { transport: Transport::Socket, failed: 0, tried_from: None, climb, climb_after }
    }
}

impl TransportChoice {
    /// As after a page that had to reload itself: the socket gets one try, then it is that transport again.
    #[must_use]
    pub fn once_more_from(transport: Transport) -> Self {
        let tried_from = (transport != Transport::Socket).then_some(transport);
        Self { tried_from, ..Self::default() }
    }

    /// The transport to use.
    #[must_use]
    pub fn now(&self) -> Transport {
        self.transport
    }

    /// After how long [`TransportChoice::climb`] is due, where this is not the socket.
    #[must_use]
    pub fn climb_after(&self) -> Option<Duration> {
        (self.transport != Transport::Socket).then_some(self.climb_after)
    }

    /// True where the last try only looked whether the socket opens by now.
    #[must_use]
    pub fn is_climbing(&self) -> bool {
        self.tried_from.is_some()
    }

    /// The transport has brought its first frame.
    pub fn opened(&mut self) {
        self.failed = 0;
        self.tried_from = None;
        if self.transport == Transport::Socket {
            self.climb.reset();
            self.climb_after = self.climb.next_delay();
        }
    }

    /// The transport did not open. True where it is worth asking whether the server answers at all: then
    /// [`TransportChoice::server_answers`] says so.
    pub fn failed(&mut self) -> bool {
        if let Some(transport) = self.tried_from.take() {
            self.transport = transport;
            self.failed = 0;
            self.climb_after = self.climb.next_delay();
            return false;
        }
        self.failed = self.failed.saturating_add(1);
        self.failed >= FAILED_MAX && self.transport != Transport::Page
    }

    /// The server answers although the transport did not open: the next one.
    pub fn server_answers(&mut self) {
        if self.failed >= FAILED_MAX {
            self.transport = self.transport.next();
            self.failed = 0;
        }
    }

    /// Looks whether the socket opens by now.
    pub fn climb(&mut self) {
        if self.transport != Transport::Socket {
            self.tried_from = Some(std::mem::take(&mut self.transport));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_waited_for() {
        let mut choice = TransportChoice::default();
        for _ in 0..20 {
            choice.failed();
        }
        assert_eq!(choice.now(), Transport::Socket);
    }

    #[test]
    fn two_failures_lead_on_where_the_server_answers() {
        let mut choice = TransportChoice::default();
        for transport in [Transport::Socket, Transport::Events, Transport::Poll] {
            assert_eq!(choice.now(), transport);
            assert!(!choice.failed() && choice.failed(), "the second failure asks");
            choice.server_answers();
        }
        assert_eq!(choice.now(), Transport::Page);
        assert!(!choice.failed() && !choice.failed(), "there is nothing below");
    }

    #[test]
    fn one_that_opened_in_between_counts_from_the_start() {
        let mut choice = TransportChoice::default();
        choice.failed();
        choice.opened();
        assert!(!choice.failed());
        choice.server_answers();
        assert_eq!(choice.now(), Transport::Socket);
    }

    #[test]
    fn the_socket_is_tried_again_and_the_lesser_transport_kept_meanwhile() {
        let mut choice = TransportChoice::default();
        choice.failed();
        choice.failed();
        choice.server_answers();
        choice.opened();
        assert_eq!(choice.climb_after(), Some(CLIMB_FIRST));
        choice.climb();
        assert!(choice.now() == Transport::Socket && choice.is_climbing());
        assert!(!choice.failed());
        assert_eq!((choice.now(), choice.climb_after()), (Transport::Events, Some(2 * CLIMB_FIRST)));
        choice.climb();
        choice.opened();
        assert_eq!((choice.now(), choice.climb_after()), (Transport::Socket, None));
    }

    #[test]
    fn a_page_that_reloaded_itself_tries_once() {
        let mut choice = TransportChoice::once_more_from(Transport::Page);
        assert_eq!(choice.now(), Transport::Socket);
        choice.failed();
        assert_eq!(choice.now(), Transport::Page);
        assert_eq!(TransportChoice::once_more_from(Transport::Socket).now(), Transport::Socket);
        assert_eq!(Transport::parse("events"), Some(Transport::Events));
    }
}
