//! One row that a channel retains: its newest state, and when each of its members last changed.
//!
//! What [`RetainedRow::since`] gives, laid over what a session was sent up to there, is the row. Knows no codec's bytes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::Audience;
use crate::protocol::binary::FieldSet;
use crate::protocol::{Rev, Row};

/// Ends of an item's log that are remembered; who was told one before the oldest gets the whole tail again.
const LOG_ENDS_MAX: usize = 64;

/// A row, or that there is none any more.
pub struct RetainedRow {
    /// Version of the channel at its last change.
    pub version: u64,
    /// Revision at which it was written.
    pub rev: Rev,
    /// None: gone.
    pub row: Option<Row>,
    /// Who may receive it.
    pub audience: Audience,
    /// Version at which it came, came back, or changed its audience: who knows less lacks all of it.
    whole_at: u64,
    /// Version at which each member last changed, by its bit.
    changed_at: Box<[u64]>,
    /// Its JSON, made when first told.
    json: Option<Arc<str>>,
    /// Ends of the log by version, oldest first. At most [`LOG_ENDS_MAX`].
    log_ends: VecDeque<(u64, u64)>,
}

impl RetainedRow {
    /// A row that has come.
    pub fn came(version: u64, row: Row, audience: Audience) -> Self {
        let mut held = Self {
            version,
            rev: row.rev(),
            whole_at: version,
            changed_at: vec![version; row.members()].into(),
            json: None,
            audience,
            log_ends: VecDeque::new(),
            row: None,
        };
        held.record_log(version, &row);
        held.row = Some(row);
        held
    }

    /// That a row has left.
    pub fn left(version: u64, rev: Rev, audience: Audience) -> Self {
        let (changed_at, log_ends) = (Box::default(), VecDeque::new());
        Self { version, rev, row: None, audience, whole_at: version, changed_at, json: None, log_ends }
    }

    /// Members in which `row` differs from what is held; none where nothing does, its `rev` and audience included.
    pub fn differs(&self, row: &Row, audience: &Audience) -> Option<FieldSet> {
        let which = self.row.as_ref().map_or(FieldSet::MAX, |held| held.differing(row));
        (which != 0 || self.rev != row.rev() || self.audience != *audience).then_some(which)
    }

    /// Takes `row` in place of what is held, which differs in `which`.
    pub fn replace(&mut self, version: u64, row: Row, audience: Audience, which: FieldSet) {
        if self.row.is_none() || self.audience != audience || which == FieldSet::MAX {
            *self = Self::came(version, row, audience);
            return;
        }
        for (at, changed) in self.changed_at.iter_mut().enumerate() {
            if which & (1 << at) != 0 {
                *changed = version;
            }
        }
        self.record_log(version, &row);
        (self.version, self.rev, self.json) = (version, row.rev(), None);
        self.row = Some(row);
    }

    /// Remembers where the log ends at this version; a log that is not the old one further on begins anew.
    fn record_log(&mut self, version: u64, row: &Row) {
        let Row::ItemLive(item) = row else { return };
        let goes_on = matches!(&self.row, Some(Row::ItemLive(held)) if held.log.goes_on_as(&item.log));
        if !goes_on {
            self.log_ends.clear();
        }
        self.log_ends.push_back((version, item.log.end()));
        if self.log_ends.len() > LOG_ENDS_MAX {
            self.log_ends.pop_front();
        }
    }

    /// What a session lacks that was told up to version `seen`: the row, and which members; none of these: all.
    pub fn since(&self, seen: u64) -> Option<(Cow<'_, Row>, Option<FieldSet>)> {
        let row = self.row.as_ref()?;
        if seen < self.whole_at {
            return Some((Cow::Borrowed(row), None));
        }
        let mut which = 0;
        for (at, changed) in self.changed_at.iter().enumerate() {
            which |= u32::from(*changed > seen) << at;
        }
        Some((self.cut(row, seen), Some(which)))
    }

    /// Of an item's log only what came after version `seen`.
    fn cut<'a>(&self, row: &'a Row, seen: u64) -> Cow<'a, Row> {
        let Row::ItemLive(item) = row else { return Cow::Borrowed(row) };
        let told = self.log_ends.iter().rev().find(|(version, _)| *version <= seen);
        let Some((_, end)) = told else { return Cow::Borrowed(row) };
        let mut item = item.clone();
        item.log = item.log.since(*end);
        Cow::Owned(Row::ItemLive(item))
    }

    /// Its JSON for a session that was told up to `seen`. Shared, except where an item's log goes on.
    pub fn json(&mut self, seen: u64) -> Option<Arc<str>> {
        if let (Cow::Owned(row), _) = self.since(seen)? {
            return Some(row.to_json().into());
        }
        let row = self.row.as_ref()?;
        Some(Arc::clone(self.json.get_or_insert_with(|| row.to_json().into())))
    }

    /// True for a batch that has finished.
    pub fn ended(&self) -> bool {
        matches!(&self.row, Some(Row::Batch(batch)) if batch.state.is_finished())
    }
}
