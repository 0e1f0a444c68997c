//! Numbers, times and states as words and figures.
//!
//! Every form that people read, in pages and in a terminal. No clock and no locale, so that both sides of hydration
//! print the same text; no markup.

mod errors;
mod figures;
mod many;

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::errors::{ErrorWords, Undertaking, error_words, may_pass};
pub use self::figures::{absolute, bytes, counted, duration, eta, per_mille, rate, relative, zoned};
pub use self::many::many;
use crate::protocol::text::is_unseen;
pub use crate::protocol::text::thousands;
use crate::protocol::{AttemptOutcome, Batch, BatchRetry, BatchState, ItemState, Json, Timestamp};

/// Characters of an input or result shown in one cell of a list; the item's page shows all.
const CELL_CHARS_MAX: usize = 160;
/// Characters of one text beside others (a name, a message, a setting); of a longer one the start is shown. Far below
/// the 65,536 units at which browsers break the text of a page they read into several nodes.
const TEXT_CHARS_MAX: usize = 8_000;

/// Items that were run to an end: all that have ended, but those that a cancel ended.
#[must_use]
pub fn ran(batch: &Batch) -> u64 {
    batch.succeeded + batch.failed
}

/// How much of a batch has ended, as `24.8 %`; of one that is cancelled, how much was run. None while more items may come: never a
/// false percent.
#[must_use]
pub fn percent(batch: &Batch) -> Option<String> {
    let cancelled = matches!(batch.state, BatchState::Cancelling | BatchState::Cancelled);
    let ended = if cancelled { ran(batch) } else { batch.ended() };
    let tenths = per_mille(ended, batch.total).filter(|_| batch.sealed)?;
    if tenths == 1_000 && !batch.state.is_finished() {
        return Some("99.9 %".into());
    }
    Some(if tenths == 1_000 { "100 %".into() } else { format!("{}.{} %", tenths / 10, tenths % 10) })
}

/// The last retry of a batch, as of `now`: `Retry of 48 by ada, 2 min ago: 41 succeeded · 4 failed again · 3 to go`. Its time
/// is absolute without a `now`. Empty before the first.
#[must_use]
pub fn retried(batch: &Batch, now: Option<Timestamp>) -> String {
    let Some(retry) = &batch.retry else { return String::new() };
    let by = if retry.by.is_empty() { "" } else { " by " };
    let when = now.map_or_else(|| absolute(retry.at), |now| relative(retry.at, now));
    format!("Retry of {}{by}{}, {when}: {}", thousands(retry.items), shown(&retry.by), retry_ends(retry))
}

/// What has become of the items of a retry: `41 succeeded · 4 failed again · 3 to go`.
#[must_use]
pub fn retry_ends(retry: &BatchRetry) -> String {
    let mut ends = thousands(retry.succeeded) + " succeeded";
    for (count, word) in
        [(retry.failed, " failed again"), (retry.cancelled, " cancelled"), (retry.open(), " to go")]
    {
        if count > 0 {
            ends = ends + " · " + &thousands(count) + word;
        }
    }
    ends
}

/// Where a batch stands, in words: `running`, `finished`, `finished, 37 failed`, `failed` where nothing else came of it.
#[must_use]
pub fn batch_state(batch: &Batch) -> String {
    match batch.state {
        BatchState::Succeeded => "finished".into(),
        BatchState::Failed if batch.failed == batch.total => "failed".into(),
        BatchState::Failed => format!("finished, {} failed", thousands(batch.failed)),
        state => state.as_str().into(),
    }
}

/// What was done, said after the act of this name; none for a name that is no act.
#[must_use]
pub fn done(act: &str) -> Option<&'static str> {
    match act {
        "pause" => Some("Paused. What runs goes on to its end, and nothing new starts."),
        "resume" => Some("Resumed."),
        "cancel" => Some("Cancelled. What had ended stays as it is."),
        "retry" => Some("They run again."),
        "delete" => Some("The batch and its results are deleted."),
        "change" => Some("Saved."),
        "many" => Some("It is under way, and goes on whether or not you stay."),
        "abort" => Some("It goes no further. What was done stays done."),
        "seal" => Some("No more items are waited for. What came is run."),
        "drain" => Some("The node finishes what it has and takes no more."),
        _ => None,
    }
}

/// How an attempt ended, in words.
#[must_use]
pub fn attempt_outcome(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::TimedOut => "timed out",
        AttemptOutcome::Released => "handed back",
        other => other.as_str(),
    }
}

/// Why a batch is paused or was ended, in words.
#[must_use]
pub fn reason(word: &str) -> String {
    match word {
        "tried_first" => "the first items have been tried; resume to run the rest".into(),
        "budget" => "too many failures; resume to go on".into(),
        Batch::UPLOAD_STOPPED => "the upload stopped".into(),
        other => shown(other),
    }
}

/// What is to come, in words: the range of the end, or why there is none. Empty for finished batches.
#[must_use]
pub fn outlook(batch: &Batch) -> String {
    match batch.state {
        BatchState::Succeeded | BatchState::Failed | BatchState::Cancelled => String::new(),
        BatchState::Scheduled => match batch.start_at {
            Some(at) => format!("starts {}", absolute(at)),
            None => "waits for its start".into(),
        },
        BatchState::Cancelling => "cancelling".into(),
        BatchState::Paused => match &batch.reason {
            Some(word) => format!("paused: {}", reason(word)),
            None => "paused".into(),
        },
        BatchState::Pending | BatchState::Running => under_way(batch),
    }
}

/// The outlook where the state stands beside it, which is not said again.
#[must_use]
pub fn outlook_beside_state(batch: &Batch) -> String {
    match (batch.state, &batch.reason) {
        (BatchState::Paused | BatchState::Cancelling, why) => {
            why.as_deref().map(self::reason).unwrap_or_default()
        }
        _ => outlook(batch),
    }
}

/// How many of the items that were announced came: `64 of 600 came`; none where nothing was announced, or all came.
#[must_use]
pub fn came(batch: &Batch) -> Option<String> {
    let expected = batch.expected.filter(|expected| *expected > batch.total)?;
    Some(format!("{} of {} came", thousands(batch.total), thousands(expected)))
}

/// Why fewer items were run than were announced; none where it was not so, or a cancel says enough.
#[must_use]
pub fn shortfall(batch: &Batch) -> Option<String> {
    let cancelled = matches!(batch.state, BatchState::Cancelling | BatchState::Cancelled);
    let expected = batch.expected.filter(|expected| *expected > batch.total && batch.sealed && !cancelled)?;
    let run = if batch.state.is_finished() { "what came was run" } else { "what came is run" };
    let (total, expected) = (thousands(batch.total), counted(expected, "item"));
    if batch.reason.as_deref() == Some(Batch::UPLOAD_STOPPED) {
        return Some(format!("The upload stopped after {total} of {expected}; {run}."));
    }
    Some(format!("{total} of {expected} came; {run}."))
}

fn under_way(batch: &Batch) -> String {
    match batch.eta_ms {
        Some(range) if batch.sealed => format!("done in {}", eta(range)),
        _ if let (false, Some(came)) = (batch.sealed, came(batch)) => came,
        _ if !batch.sealed && batch.ended() == batch.total => "waiting for more items".into(),
        _ if batch.running == 0 => "waiting for a slot".into(),
        _ if !batch.sealed => "still growing".into(),
        _ => "too early to say when".into(),
    }
}

/// What the outlook rests on: `last 10 s, 8 running`. None where there is no range.
///
/// The engine looks at ten seconds first, and at ten minutes where fewer than five items ended in those.
#[must_use]
pub fn ground(batch: &Batch) -> Option<String> {
    /// Ends per second from which on ten seconds are enough.
    const NEAR_RATE_MIN: f64 = 0.5;
    batch.eta_ms.filter(|_| batch.running > 0)?;
    let span = if batch.rate_per_s? >= NEAR_RATE_MIN { "last 10 s" } else { "last 10 min" };
    Some(format!("{span}, {} running", thousands(batch.running)))
}

/// Characters that the longest count of a batch takes, as the class `digits-7`: counts are given so much room from
/// the start.
#[must_use]
pub fn digits(batch: &Batch) -> String {
    format!("digits-{}", thousands(batch.total).len().min(DIGITS_MAX))
}

/// Most characters of a count for which there is a class.
const DIGITS_MAX: usize = 13;

/// What an item works on, as a person names it: a file by its name, a text by itself, else its JSON.
#[must_use]
pub fn input(json: &Json) -> String {
    let text = match json.members() {
        Some(members) => {
            let named = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            match (named("name"), named("bytes")) {
                (Some(given), Some(_bytes)) => name(&given.display_text()),
                _ => members.iter().map(|(_, value)| value.display_text()).collect::<Vec<_>>().join(" · "),
            }
        }
        None => json.display_text(),
    };
    shortened(&text)
}

/// A result in one cell.
#[must_use]
pub fn result(json: &Json) -> String {
    shortened(&json.display_text())
}

/// `text` in one cell: at most 160 characters.
#[must_use]
pub fn shortened(text: &str) -> String {
    start(text, CELL_CHARS_MAX)
}

/// `text` beside others on a page: at most 8,000 characters, as [`legible`] makes them.
///
/// Every text that is not this program's own goes through here, [`shortened`] or `components::long_text`.
#[must_use]
pub fn shown(text: &str) -> String {
    start(text, TEXT_CHARS_MAX)
}

/// The name of a batch, a schedule or a file on a page: as [`shown`], and what nobody sees is seen, as `U+FFFD`.
#[must_use]
pub fn name(text: &str) -> String {
    shown(text).chars().map(|c| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The first `chars_max` characters of `text`, and a mark where there are more.
fn start(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", legible(&text[..end])),
        None => legible(text).into_owned(),
    }
}

/// `text` such that a browser makes the same of it whether it comes in the server's HTML or from a script: NUL, which
/// the HTML parser drops, is shown as `␀`, and the line ends that it turns into line feeds are line feeds already.
///
/// Hydration looks for the text nodes that it expects: one that the parser dropped stops the page from coming alive.
#[must_use]
pub fn legible(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\r']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{2400}"))
}

/// `text` as the content of an element, where no view escapes it.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What RFC 3986 calls unreserved stays as it is.
const ESCAPED_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `name` as one segment of an address.
#[must_use]
pub fn path_segment(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED_IN_SEGMENT).to_string()
}

/// One character that tells a state apart without colour.
#[must_use]
pub fn item_mark(state: ItemState) -> &'static str {
    match state {
        ItemState::Succeeded => "✓",
        ItemState::Running => "▸",
        ItemState::Retrying => "↻",
        ItemState::Pending => "·",
        ItemState::Failed => "✕",
        ItemState::Cancelled => "⊘",
    }
}

#[cfg(test)]
mod tests;
