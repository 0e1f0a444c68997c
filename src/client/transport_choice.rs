//! Which way frames come: the socket, else events, else a poll, else the page that reads itself anew.
//!
//! Owns the way of a tab and when another one is tried. Called by the tab. Invariant: a way is given up only where the
//! server answers by HTTP while the way does not open: a server that is away is waited for, not worked around; and a
//! lesser way is left for the socket again from time to time. Deliberately pure: no clock, no browser.

/// A way, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// WebSocket.
    #[default]
    Socket,
    /// Server-Sent Events.
    Events,
    /// Asking again and again.
    Poll,
    /// The whole page, read anew.
    Page,
}

impl Way {
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

    /// The way by that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Socket, Self::Events, Self::Poll, Self::Page].into_iter().find(|way| way.name() == name)
    }

    fn next(self) -> Self {
        match self {
            Self::Socket => Self::Events,
            Self::Events => Self::Poll,
            Self::Poll | Self::Page => Self::Page,
        }
    }
}

/// Tries of one way in a row that may fail to open.
const FAILED_MAX: u32 = 2;
/// Until the socket is tried again from a lesser way, in milliseconds; doubles each time it does not open.
const CLIMB_MS_MIN: f64 = 60_000.0;
/// At most.
const CLIMB_MS_MAX: f64 = 900_000.0;

/// The way of a tab.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    way: Way,
    /// Tries of this way in a row that did not open.
    failed: u32,
    /// The way to come back to where the socket does not open after all.
    tried_from: Option<Way>,
    climb_ms: f64,
}

impl Default for Ways {
    fn default() -> Self {
        Self { way: Way::Socket, failed: 0, tried_from: None, climb_ms: CLIMB_MS_MIN }
    }
}

impl Ways {
    /// As after a page that had to read itself anew: the socket gets one try, then it is that way again.
    #[must_use]
    pub fn once_more_from(way: Way) -> Self {
        let tried_from = (way != Way::Socket).then_some(way);
        Self { tried_from, ..Self::default() }
    }

    /// The way to go.
    #[must_use]
    pub fn now(&self) -> Way {
        self.way
    }

    /// Milliseconds after which [`Ways::climb`] is due, where this is not the socket.
    #[must_use]
    pub fn climb_ms(&self) -> Option<f64> {
        (self.way != Way::Socket).then_some(self.climb_ms)
    }

    /// True where the last try only looked whether the socket opens by now.
    #[must_use]
    pub fn is_climbing(&self) -> bool {
        self.tried_from.is_some()
    }

    /// The way has brought its first frame.
    pub fn opened(&mut self) {
        self.failed = 0;
        self.tried_from = None;
        if self.way == Way::Socket {
            self.climb_ms = CLIMB_MS_MIN;
        }
    }

    /// The way did not open. True where it is worth asking whether the server answers at all: then
    /// [`Ways::server_answers`] says so.
    pub fn failed(&mut self) -> bool {
        if let Some(way) = self.tried_from.take() {
            self.way = way;
            self.failed = 0;
            self.climb_ms = (self.climb_ms * 2.0).min(CLIMB_MS_MAX);
            return false;
        }
        self.failed = self.failed.saturating_add(1);
        self.failed >= FAILED_MAX && self.way != Way::Page
    }

    /// The server answers although the way did not open: another way.
    pub fn server_answers(&mut self) {
        if self.failed >= FAILED_MAX {
            self.way = self.way.next();
            self.failed = 0;
        }
    }

    /// Looks whether the socket opens by now.
    pub fn climb(&mut self) {
        if self.way != Way::Socket {
            self.tried_from = Some(std::mem::take(&mut self.way));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_waited_for() {
        let mut ways = Ways::default();
        for _ in 0..20 {
            ways.failed();
        }
        assert_eq!(ways.now(), Way::Socket);
    }

    #[test]
    fn two_failures_lead_on_where_the_server_answers() {
        let mut ways = Ways::default();
        for way in [Way::Socket, Way::Events, Way::Poll] {
            assert_eq!(ways.now(), way);
            assert!(!ways.failed() && ways.failed(), "the second failure asks");
            ways.server_answers();
        }
        assert_eq!(ways.now(), Way::Page);
        assert!(!ways.failed() && !ways.failed(), "there is nothing below");
    }

    #[test]
    fn one_that_opened_in_between_counts_from_the_start() {
        let mut ways = Ways::default();
        ways.failed();
        ways.opened();
        assert!(!ways.failed());
        ways.server_answers();
        assert_eq!(ways.now(), Way::Socket);
    }

    #[test]
    fn the_socket_is_tried_again_and_the_lesser_way_kept_meanwhile() {
        let mut ways = Ways::default();
        ways.failed();
        ways.failed();
        ways.server_answers();
        ways.opened();
        assert_eq!(ways.climb_ms(), Some(60_000.0));
        ways.climb();
        assert!(ways.now() == Way::Socket && ways.is_climbing());
        assert!(!ways.failed());
        assert_eq!((ways.now(), ways.climb_ms()), (Way::Events, Some(120_000.0)));
        ways.climb();
        ways.opened();
        assert_eq!((ways.now(), ways.climb_ms()), (Way::Socket, None));
    }

    #[test]
    fn a_page_that_read_itself_anew_tries_once() {
        let mut ways = Ways::once_more_from(Way::Page);
        assert_eq!(ways.now(), Way::Socket);
        ways.failed();
        assert_eq!(ways.now(), Way::Page);
        assert_eq!(Ways::once_more_from(Way::Socket).now(), Way::Socket);
        assert_eq!(Way::parse("events"), Some(Way::Events));
    }
}
