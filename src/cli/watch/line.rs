//! A batch as one line, drawn to a width.
//!
//! Where it is narrow, what matters least is left out first. A line never reaches the last column, and nothing a name
//! holds can move the cursor.

use std::time::Duration;

use super::bar::{Ink, bar, inked};
use super::sentences::{failures, retry, whole_seconds};
use crate::cli::columns::{columns, plain, shortened};
use crate::client::words;
use crate::protocol::{Batch, BatchState};

/// Columns that stay free: a terminal may go on to the next line once the last is written, and it shows `^C` there.
const FREE_COLUMNS: usize = 3;
/// Cells of the bar at least; where they do not fit there is none.
const BAR_CELLS_MIN: usize = 8;
/// Cells of the bar at most: a wider terminal shows more of the name.
const BAR_CELLS_MAX: usize = 60;
/// Columns of a shortened name at least; where they do not fit there is none.
const NAME_COLUMNS_MIN: usize = 6;
/// Columns that the name may take before the bar grows.
const NAME_COLUMNS_FIRST: usize = 24;
/// Columns that a percent and a rate have at least: the bar should not move with a digit more.
const FIGURE_COLUMNS: usize = 6;
/// Columns of a notice at least, for the same reason.
const NOTICE_COLUMNS: usize = 20;

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    Held,
    /// A try is under way.
    Tries,
    /// Until the next try, and why there is none.
    Waits {
        wait: Duration,
        reason: String,
    },
}

/// Where a piece stands in the line; the order is that of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LinePart {
    Number,
    Name,
    Bar,
    Counts,
    Percent,
    Rate,
    Outlook,
    Failures,
    Retry,
    Notice,
    Reason,
}

impl LinePart {
    /// Columns between it and what stands before it.
    fn gap(self) -> usize {
        match self {
            Self::Number => 0,
            Self::Name | Self::Bar => 1,
            Self::Counts
            | Self::Percent
            | Self::Rate
            | Self::Outlook
            | Self::Failures
            | Self::Retry
            | Self::Notice
            | Self::Reason => 2,
        }
    }

    /// Colour, as a parameter of SGR; empty = the terminal's own.
    fn colour(self) -> &'static str {
        match self {
            Self::Number => "1",
            Self::Failures => "31",
            Self::Notice => "33",
            Self::Name
            | Self::Bar
            | Self::Counts
            | Self::Percent
            | Self::Rate
            | Self::Outlook
            | Self::Retry
            | Self::Reason => "",
        }
    }
}

/// Pieces of a line, and the columns that are left.
struct Pieces {
    taken: Vec<(LinePart, String)>,
    left: usize,
}

impl Pieces {
    /// Adds a piece if it fits.
    fn add(&mut self, place: LinePart, text: String) {
        let columns = place.gap() + columns(&text);
        if !text.is_empty() && columns <= self.left {
            self.left -= columns;
            self.taken.push((place, text));
        }
    }

    /// Puts a longer text where a piece is, if it fits.
    fn lengthen(&mut self, place: LinePart, text: String) {
        if let Some((_, held)) = self.taken.iter_mut().find(|(taken, _)| *taken == place) {
            let more = columns(&text).saturating_sub(columns(held));
            if more <= self.left {
                self.left -= more;
                *held = text;
            }
        }
    }

    fn print(mut self, ink: Ink, bar: &str) -> String {
        self.taken.sort_by_key(|(place, _)| *place);
        let mut line = String::new();
        for (place, text) in self.taken {
            let gap = if line.is_empty() { 0 } else { place.gap() };
            line.push_str(&" ".repeat(gap));
            line.push_str(&if place == LinePart::Bar {
                bar.to_owned()
            } else {
                inked(&text, place.colour(), ink)
            });
        }
        line
    }
}

/// The batch at a terminal `width` columns wide: what matters most stays where not all fits.
pub(super) fn drawn(batch: &Batch, contact: &Contact, width: usize, ink: Ink) -> String {
    let mut pieces = Pieces { taken: Vec::new(), left: width.saturating_sub(FREE_COLUMNS) };
    pieces.add(LinePart::Number, format!("#{}", batch.number));
    let notice = notice(contact);
    if !notice.is_empty() {
        pieces.add(LinePart::Notice, format!("{notice:<NOTICE_COLUMNS$}"));
    }
    let (ended, total) = (words::thousands(batch.ended()), words::thousands(batch.total));
    pieces.add(LinePart::Counts, format!("{ended:>digits$}/{total}", digits = total.len()));
    let figure = |text: String| format!("{text:>FIGURE_COLUMNS$}");
    pieces.add(LinePart::Percent, words::percent(batch).map(figure).unwrap_or_default());
    let stands = *contact == Contact::Held && !batch.state.hands_out() && !batch.state.is_finished();
    if stands {
        pieces.add(LinePart::Outlook, batch.state.as_str().to_owned());
    }
    pieces.add(LinePart::Bar, " ".repeat(BAR_CELLS_MIN));
    pieces.add(LinePart::Failures, failures(batch).unwrap_or_default());
    match contact {
        Contact::Held if stands => pieces.lengthen(LinePart::Outlook, outlook(batch)),
        Contact::Held => {
            pieces.add(LinePart::Outlook, outlook(batch));
            pieces.add(LinePart::Rate, batch.rate_per_s.map(words::rate).map(figure).unwrap_or_default());
        }
        Contact::Waits { reason, .. } => pieces.add(LinePart::Reason, format!("({})", plain(reason))),
        Contact::Tries => {}
    }
    // Once it has ended there is the summary.
    let under_way = batch.retry.as_ref().is_some_and(|retry| retry.open() > 0);
    pieces.add(LinePart::Retry, retry(batch).filter(|_| under_way).unwrap_or_default());
    let first = pieces.left.min(NAME_COLUMNS_FIRST).max(pieces.left / 2);
    if let Some(columns) =
        first.checked_sub(LinePart::Name.gap()).filter(|columns| *columns >= NAME_COLUMNS_MIN)
    {
        pieces.add(LinePart::Name, shortened(&plain(&batch.name), columns));
    }
    let cells = (BAR_CELLS_MIN + pieces.left).min(BAR_CELLS_MAX);
    pieces.print(ink, &bar(batch, cells, ink))
}

/// Before anything is known of the batch.
pub(super) fn connecting(server: &str, contact: &Contact, width: usize) -> String {
    let line = match contact {
        Contact::Held | Contact::Tries => format!("connecting to {server}"),
        Contact::Waits { reason, .. } => format!("{}: {server}: {}", notice(contact), plain(reason)),
    };
    shortened(&line, width.saturating_sub(FREE_COLUMNS))
}

fn notice(contact: &Contact) -> String {
    match contact {
        Contact::Held => String::new(),
        Contact::Tries => "reconnecting".to_owned(),
        Contact::Waits { wait, .. } => format!("reconnecting in {} s", whole_seconds(*wait)),
    }
}

/// As [`words::outlook`], but a range alone where there is one: it stands beside the rate.
fn outlook(batch: &Batch) -> String {
    match (batch.state, batch.eta_ms) {
        (BatchState::Pending | BatchState::Running, Some(range)) if batch.sealed => words::eta(range),
        _ => plain(&words::outlook(batch)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::protocol::{BatchId, BatchRetry, Json, Timestamp};

    pub(in crate::cli::watch) fn batch(total: u64, succeeded: u64, failed: u64) -> Batch {
        Batch {
            id: BatchId::from_u128(1),
            number: 128,
            name: "June photos".into(),
            task: "thumbnail".into(),
            params: Json::default(),
            owner: "ada".into(),
            parent: None,
            schedule: None,
            state: BatchState::Running,
            reason: None,
            sealed: true,
            expected: None,
            rev: 1,
            total,
            pending: total - succeeded - failed,
            running: 0,
            retrying: 0,
            succeeded,
            failed,
            cancelled: 0,
            rate_per_s: None,
            eta_ms: None,
            created_at: Timestamp(0),
            start_at: None,
            started_at: Some(Timestamp(1_000)),
            finished_at: None,
            rested_ms: 0,
            retry: None,
        }
    }

    /// Under way, with all there is to say.
    pub(in crate::cli::watch) fn full() -> Batch {
        let mut batch = batch(50_000, 12_400, 10);
        (batch.running, batch.pending) = (8, batch.pending - 8);
        (batch.rate_per_s, batch.eta_ms) = (Some(41.2), Some((870_000, 1_140_000)));
        batch
    }

    fn held(batch: &Batch, width: usize) -> String {
        drawn(batch, &Contact::Held, width, Ink::Plain)
    }

    #[test]
    fn a_line_says_what_fits() {
        let full = full();
        for (width, line) in [
            (
                122,
                "#128 June photos ████████████▓░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░× 12,410/50,000 24.8 % 41/s 14–19 min 10 failed",
            ),
            (80, "#128 June phot… █▓░░░░░× 12,410/50,000 24.8 % 41/s 14–19 min 10 failed"),
            (62, "#128 ██▓░░░░░× 12,410/50,000 24.8 % 14–19 min 10 failed"),
            (40, "#128 ██▓░░░░░× 12,410/50,000 24.8 %"),
            (32, "#128 12,410/50,000 24.8 %"),
            (22, "#128 12,410/50,000"),
            (7, "#128"),
            (0, ""),
        ] {
            let drawn = held(&full, width);
            assert!(columns(&drawn) <= width.saturating_sub(FREE_COLUMNS), "{width}: {drawn}");
            assert_eq!(drawn.split_whitespace().collect::<Vec<_>>().join(" "), line, "{width}");
        }
    }

    #[test]
    fn a_retry_under_way_is_said_where_it_fits() {
        let mut retried = full();
        let retry = BatchRetry { items: 18, succeeded: 8, failed: 9, ..BatchRetry::default() };
        retried.retry = Some(retry.clone());
        let words = "  10 failed  retry of 18: 8 succeeded · 9 failed again · 1 to go";
        assert!(held(&retried, 140).ends_with(words), "{}", held(&retried, 140));
        assert_eq!(held(&retried, 80), held(&full(), 80));
        retried.retry = Some(BatchRetry { failed: 10, ..retry });
        assert_eq!(held(&retried, 140), held(&full(), 140), "it has ended");
    }

    #[test]
    fn a_batch_that_stands_says_so() {
        let mut paused = full();
        (paused.state, paused.reason) = (BatchState::Paused, Some("budget".into()));
        assert!(held(&paused, 122).contains("  paused: too many failures; resume to go on  "));
        for width in [40, 60] {
            assert!(held(&paused, width).contains("  paused"), "{}", held(&paused, width));
        }
    }

    #[test]
    fn lost_contact_is_said_first() {
        let waits =
            Contact::Waits { wait: Duration::from_millis(3_200), reason: "Connection refused".into() };
        let at = |width: usize| drawn(&full(), &waits, width, Ink::Plain);
        assert!(at(120).contains("reconnecting in 4 s   (Connection refused)"), "{}", at(120));
        assert!(!at(120).contains("41/s"), "a rate of now is not known");
        assert!(at(40).trim_end().ends_with("reconnecting in 4 s"), "{}", at(40));
        let server = "http://127.0.0.1:3000";
        assert_eq!(connecting(server, &Contact::Tries, 80), "connecting to http://127.0.0.1:3000");
        let words = "reconnecting in 4 s: http://127.0.0.1:3000: Connection refused";
        assert_eq!(connecting(server, &waits, 80), words);
        assert_eq!(columns(&connecting(server, &waits, 40)), 37);
    }

    #[test]
    fn names_cannot_move_the_cursor_or_widen_the_line() {
        let mut hostile = full();
        for name in
            ["\x1b[2J\r\n\u{9b}2J\u{202e}", "照片照片照片照片照片照片", "🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉", ""]
        {
            hostile.name = name.into();
            for width in 0..200 {
                let drawn = held(&hostile, width);
                assert!(columns(&drawn) <= width.saturating_sub(FREE_COLUMNS), "{width}: {drawn}");
                assert!(!drawn.chars().any(char::is_control), "{drawn:?}");
            }
        }
    }
}
