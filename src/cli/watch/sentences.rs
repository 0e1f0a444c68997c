//! A batch in sentences: for a log, at its end, and what is said of a connection.
//!
//! Pure; one line each, whatever a name holds.

use std::time::Duration;

use crate::cli::columns::{plain, shortened};
use crate::client::words;
use crate::protocol::{Batch, ItemState};

/// Columns of a name in a line that has no width.
const NAME_COLUMNS_MAX: usize = 60;

/// The batch in a log: one sentence.
pub(super) fn calm(batch: &Batch) -> String {
    let mut parts = vec![format!(
        "{}: {} of {}",
        title(batch),
        words::thousands(batch.ended()),
        words::counted(batch.total, "item")
    )];
    parts.extend(words::percent(batch));
    parts.extend(failures(batch));
    parts.extend(retry(batch));
    parts.extend(batch.rate_per_s.map(words::rate));
    parts.extend(Some(plain(&words::outlook(batch))).filter(|words| !words.is_empty()));
    parts.join(", ")
}

/// A finished batch: how it ended, what became of its items, how long it took.
pub(super) fn summary(batch: &Batch) -> String {
    let reason = batch.reason.as_deref().map(|word| format!(" ({})", plain(&words::reason(word))));
    let ends = [ItemState::Succeeded, ItemState::Failed, ItemState::Cancelled];
    let counts: Vec<_> = ends
        .into_iter()
        .filter(|state| batch.count(*state) > 0)
        .map(|state| format!("{} {}", words::thousands(batch.count(state)), state.as_str()))
        .collect();
    let counts = if counts.is_empty() { "no items".to_owned() } else { counts.join(", ") };
    let took = batch.took_ms().map(|ms| format!(" in {}", words::duration(ms)));
    let retry = retry(batch).map(|retry| format!("; {retry}"));
    format!(
        "{}: {}{}; {counts}{}{}",
        title(batch),
        words::batch_state(batch),
        reason.unwrap_or_default(),
        took.unwrap_or_default(),
        retry.unwrap_or_default()
    )
}

/// The batch after an act: how it ended, or how it stands.
pub(in crate::cli) fn summary_or_state(batch: &Batch) -> String {
    if batch.state.is_finished() {
        summary(batch)
    } else {
        format!("{} ({})", calm(batch), words::batch_state(batch))
    }
}

/// What is said of a connection that was lost.
pub(super) fn lost(reason: &str, wait: Duration) -> String {
    format!("no contact ({}), reconnecting in {} s", plain(reason), whole_seconds(wait))
}

fn title(batch: &Batch) -> String {
    format!("#{} {}", batch.number, shortened(&plain(&batch.name), NAME_COLUMNS_MAX))
}

/// How many items have failed, if any.
pub(super) fn failures(batch: &Batch) -> Option<String> {
    (batch.failed > 0).then(|| format!("{} failed", words::thousands(batch.failed)))
}

/// What the last retry has come to, if there was one.
pub(super) fn retry(batch: &Batch) -> Option<String> {
    let retry = batch.retry.as_ref()?;
    Some(format!("retry of {}: {}", words::thousands(retry.items), words::retry_ends(retry)))
}

/// A wait as people count it down: never 0.
pub(super) fn whole_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::line::tests::{batch, full};
    use crate::protocol::{BatchRetry, BatchState, Timestamp};

    #[test]
    fn logs_get_sentences() {
        let mut row = full();
        let words = "#128 June photos: 12,410 of 50,000 items, 24.8 %, 10 failed, 41/s, done in 14–19 min";
        assert_eq!(calm(&row), words);
        (row.state, row.reason) = (BatchState::Paused, Some("budget".into()));
        assert!(calm(&row).ends_with("paused: too many failures; resume to go on"));
        row.state = BatchState::Failed;
        (row.reason, row.finished_at) = (None, Some(Timestamp(1_204_000)));
        assert_eq!(
            summary(&row),
            "#128 June photos: finished, 10 failed; 12,400 succeeded, 10 failed in 20 min 3 s"
        );
        let retry = BatchRetry { items: 18, succeeded: 8, failed: 10, ..BatchRetry::default() };
        (row.retry, row.rested_ms) = (Some(retry), 60_000);
        assert!(summary(&row).ends_with(
            "; 12,400 succeeded, 10 failed in 19 min 3 s; retry of 18: 8 succeeded · 10 failed again"
        ));
        (row.state, row.finished_at) = (BatchState::Running, None);
        let words = "10 failed, retry of 18: 8 succeeded · 10 failed again, 41/s, done in 14–19 min";
        assert!(calm(&row).ends_with(words), "{}", calm(&row));
        let mut none = batch(0, 0, 0);
        (none.state, none.started_at) = (BatchState::Cancelled, None);
        none.reason = Some("the upload was cut off".into());
        assert_eq!(summary(&none), "#128 June photos: cancelled (the upload was cut off); no items");
    }

    #[test]
    fn a_sentence_stays_on_its_line() {
        let mut hostile = full();
        hostile.name = "a\r\nb\x1b[2J".into();
        assert!(calm(&hostile).starts_with("#128 a··b·[2J: 12,410 of"));
        assert_eq!(lost("a\nb", Duration::ZERO), "no contact (a·b), reconnecting in 1 s");
    }
}
