//! What is shown of one topic, folded from frames: the newest row wins, per key.
//!
//! The only fold of the project: pages, `milepost watch`, tests and benches show what it holds. A row is never replaced
//! by an older one (by its own `rev`; an equal one replaces, for progress alone does not raise it), whatever the order
//! and number of frames. The one exception is a snapshot of a server whose history was set back.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::live_row::LiveRow;
use crate::protocol::binary::{Change, FieldSet};
use crate::protocol::{Key, Rev, Row};

/// Which rows of a topic are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All, in their order.
    Whole,
    /// Those that were there at first, in the order in which they came; others are only counted.
    Pinned,
}

/// What a frame says, for one topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// All rows.
    Snapshot {
        /// Revision that the rows show.
        rev: Rev,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Changed rows.
    Update {
        /// Revision that the rows show.
        rev: Rev,
        /// What of them.
        changes: Vec<Change>,
        /// Keys that left.
        gone: Vec<Key>,
    },
}

/// What a fold changed: what those who show the rows must update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<K> {
    /// Rows that are new or differ.
    pub touched: Vec<K>,
    /// Rows that left.
    pub removed: Vec<K>,
    /// True where the list of keys differs.
    pub reordered: bool,
    /// True where a part of a row came that is not shown: all must be asked for anew.
    pub torn: bool,
}

/// What is shown of one topic.
#[derive(Clone, Debug)]
pub struct TopicView<R: LiveRow> {
    rev: Rev,
    /// True once the server has answered for what is shown: from then on parts of rows fit what is here.
    answered: bool,
    listing: Listing,
    rows: HashMap<R::Key, R>,
    order: Vec<R::Key>,
    /// Rows of the topic above a pinned listing; bounded as the topic is.
    unseen: HashMap<R::Key, R>,
    /// Highest row of a pinned listing: what places before it is news.
    head: Option<R>,
}

impl<R: LiveRow> TopicView<R> {
    /// What the page brought with it, as of `rev` (0: not known).
    #[must_use]
    pub fn new(rev: Rev, initial: Vec<R>, listing: Listing) -> Self {
        let order = initial.iter().map(R::key).collect();
        let head = initial.first().cloned();
        let rows = initial.into_iter().map(|row| (row.key(), row)).collect();
        Self { rev, answered: false, listing, rows, order, unseen: HashMap::new(), head }
    }

    /// Revision of the topic that is shown; 0: not known.
    #[must_use]
    pub fn rev(&self) -> Rev {
        self.rev
    }

    /// Keys in order.
    #[must_use]
    pub fn order(&self) -> &[R::Key] {
        &self.order
    }

    /// One row.
    #[must_use]
    pub fn row(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)
    }

    /// Rows that came above a pinned listing.
    pub fn unseen(&self) -> impl Iterator<Item = &R> {
        self.unseen.values()
    }

    /// True where any row will go on changing by itself.
    #[must_use]
    pub fn unfinished(&self) -> bool {
        self.rows.values().any(R::unfinished)
    }

    /// Takes what a frame says.
    pub fn apply(&mut self, delta: Delta) -> Changes<R::Key> {
        let mut done = Changes { touched: Vec::new(), removed: Vec::new(), reordered: false, torn: false };
        match delta {
            Delta::Snapshot { rev, rows } => {
                self.answered = true;
                self.replace(rev, rows, &mut done);
            }
            Delta::Update { rev, changes, gone } => {
                // An update without anything is an answer: what is shown is all there is.
                self.answered |= changes.is_empty() && gone.is_empty();
                for change in changes {
                    match change {
                        Change::Whole(row) => {
                            if let Some(row) = R::from_row(row) {
                                self.put(row, &mut done);
                            }
                        }
                        Change::Part { row, which } => {
                            if let Some(part) = R::from_row(row) {
                                self.lay_over(&part, which, &mut done);
                            }
                        }
                    }
                }
                for key in gone.iter().filter_map(R::from_key) {
                    self.remove(&key, rev, &mut done);
                }
                // A torn topic is asked for as one of which nothing is known.
                self.rev = if done.torn { 0 } else { self.rev.max(rev) };
            }
        }
        if done.reordered {
            self.arrange();
        }
        done
    }

    /// Lays a part of a row over the row that is shown. Before the answer it may not fit: then the answer says it all.
    fn lay_over(&mut self, part: &R, which: FieldSet, done: &mut Changes<R::Key>) {
        if !self.answered {
            return;
        }
        let key = part.key();
        match self.rows.get_mut(&key) {
            Some(held) if part.rev() < held.rev() => {}
            Some(held) => {
                let before = held.clone();
                held.assign(which, part);
                if *held != before {
                    done.reordered |=
                        self.listing == Listing::Whole && held.place(&before) != Ordering::Equal;
                    done.touched.push(key);
                }
            }
            None if self.listing == Listing::Pinned => {
                if let Some(held) = self.unseen.get_mut(&key).filter(|held| part.rev() >= held.rev()) {
                    held.assign(which, part);
                }
            }
            None => done.torn = true,
        }
    }

    /// A snapshot below what is shown means that the server's history was set back (a restored backup): it replaces
    /// all, as any other does except where a row shown is newer.
    fn replace(&mut self, rev: Rev, rows: Vec<Row>, changes: &mut Changes<R::Key>) {
        let set_back = rev < self.rev;
        let rows: Vec<R> = rows.into_iter().filter_map(R::from_row).collect();
        let keys: std::collections::HashSet<R::Key> = rows.iter().map(R::key).collect();
        if self.listing == Listing::Whole {
            let left: Vec<R::Key> = self.order.iter().filter(|key| !keys.contains(key)).cloned().collect();
            for key in left {
                self.remove(&key, Rev::MAX, changes);
            }
        }
        self.unseen.retain(|key, _| keys.contains(key));
        if set_back {
            for row in &rows {
                if let Some(held) = self.rows.get_mut(&row.key())
                    && held.rev() > row.rev()
                {
                    *held = row.clone();
                    changes.touched.push(row.key());
                    changes.reordered |= self.listing == Listing::Whole;
                }
            }
        }
        for row in rows {
            match self.rows.get_mut(&row.key()) {
                // All of it is told: nothing goes on from what was shown.
                Some(held) if row.rev() >= held.rev() && *held != row => {
                    changes.reordered |=
                        self.listing == Listing::Whole && held.place(&row) != Ordering::Equal;
                    changes.touched.push(row.key());
                    *held = row;
                }
                Some(_) => {}
                None => self.put(row, changes),
            }
        }
        self.rev = rev;
    }

    fn put(&mut self, row: R, changes: &mut Changes<R::Key>) {
        let key = row.key();
        match self.rows.get_mut(&key) {
            Some(held) if row.rev() < held.rev() || *held == row => {}
            Some(held) => {
                changes.reordered |= self.listing == Listing::Whole && held.place(&row) != Ordering::Equal;
                held.become_newer(row);
                changes.touched.push(key);
            }
            None if self.listing == Listing::Pinned => {
                let above = self.head.as_ref().is_none_or(|head| row.place(head) == Ordering::Less);
                if above && self.unseen.get(&key).is_none_or(|held| held.rev() <= row.rev()) {
                    self.unseen.insert(key, row);
                }
            }
            None => {
                self.rows.insert(key.clone(), row);
                self.order.push(key.clone());
                changes.touched.push(key);
                changes.reordered = true;
            }
        }
    }

    fn remove(&mut self, key: &R::Key, rev: Rev, changes: &mut Changes<R::Key>) {
        self.unseen.remove(key);
        // Gone from the topic `batches` may only mean: beyond the newest. A pinned row stays to be read.
        if self.listing == Listing::Pinned || self.rows.get(key).is_none_or(|held| held.rev() > rev) {
            return;
        }
        self.rows.remove(key);
        self.order.retain(|held| held != key);
        changes.removed.push(key.clone());
        changes.reordered = true;
    }

    fn arrange(&mut self) {
        if self.listing == Listing::Whole {
            let rows = &self.rows;
            self.order.sort_by(|left, right| match (rows.get(left), rows.get(right)) {
                (Some(left), Some(right)) => left.place(right),
                _ => Ordering::Equal,
            });
        }
    }

    /// Drops rows that `keep` refuses: those that a moved window no longer shows.
    pub fn retain(&mut self, keep: impl Fn(&R::Key) -> bool) -> Changes<R::Key> {
        let removed: Vec<R::Key> = self.order.iter().filter(|key| !keep(key)).cloned().collect();
        self.rows.retain(|key, _| keep(key));
        self.order.retain(|key| keep(key));
        Changes { touched: Vec::new(), reordered: !removed.is_empty(), removed, torn: false }
    }

    /// Forgets the revision: what follows is another topic (a moved window).
    pub fn forget_rev(&mut self) {
        self.rev = 0;
        self.answered = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::StripCell;
    use crate::protocol::binary::Fields as _;

    fn cell(cell: u32, succeeded: u64, rev: Rev) -> StripCell {
        StripCell { cell, first: 1, last: 9, succeeded, failed: 0, cancelled: 0, rev }
    }

    fn update(rev: Rev, cells: &[StripCell], gone: &[u64]) -> Delta {
        Delta::Update {
            rev,
            changes: cells.iter().cloned().map(Row::Cell).map(Change::Whole).collect(),
            gone: gone.iter().map(|at| Key::Number(*at)).collect(),
        }
    }

    fn snapshot(rev: Rev, cells: &[StripCell]) -> Delta {
        Delta::Snapshot { rev, rows: cells.iter().cloned().map(Row::Cell).collect() }
    }

    #[test]
    fn the_newest_row_is_shown_and_equal_revisions_replace() {
        let mut view = TopicView::new(5, vec![cell(0, 5, 5)], Listing::Whole);
        assert!(view.apply(update(4, &[cell(0, 4, 4)], &[])).touched.is_empty());
        assert_eq!(view.row(&0), Some(&cell(0, 5, 5)));
        assert_eq!(view.apply(update(5, &[cell(0, 6, 5)], &[])).touched, [0]);
        assert!(view.apply(update(6, &[cell(0, 6, 5)], &[])).touched.is_empty(), "an equal row tells nobody");
        assert_eq!((view.rev(), view.row(&0).unwrap().succeeded), (6, 6));
    }

    #[test]
    fn rows_come_in_order_and_one_change_touches_one_row() {
        let mut view = TopicView::new(1, vec![cell(1, 0, 1), cell(3, 0, 1)], Listing::Whole);
        let changes = view.apply(update(2, &[cell(2, 0, 2)], &[]));
        assert!(changes.reordered && changes.touched == [2]);
        assert_eq!(view.order(), [1, 2, 3]);
        let changes = view.apply(update(3, &[cell(2, 1, 3)], &[]));
        assert!(!changes.reordered && changes.touched == [2]);
        let changes = view.apply(update(4, &[], &[1]));
        assert_eq!((changes.removed.as_slice(), view.order()), ([1].as_slice(), [2, 3].as_slice()));
        assert!(view.apply(update(1, &[], &[2])).removed.is_empty(), "an older frame takes nothing away");
    }

    #[test]
    fn a_snapshot_replaces_and_a_set_back_server_is_believed() {
        let mut view = TopicView::new(5, vec![cell(0, 5, 5), cell(1, 5, 5)], Listing::Whole);
        let changes = view.apply(snapshot(6, &[cell(0, 4, 4), cell(2, 6, 6)]));
        assert_eq!((changes.removed.as_slice(), view.order()), ([1].as_slice(), [0, 2].as_slice()));
        assert_eq!(view.row(&0), Some(&cell(0, 5, 5)), "a newer row is kept");
        view.apply(snapshot(2, &[cell(0, 1, 1)]));
        assert_eq!((view.row(&0), view.order(), view.rev()), (Some(&cell(0, 1, 1)), [0].as_slice(), 2));
    }

    #[test]
    fn parts_fit_what_the_server_has_answered_for() {
        let part = |succeeded, rev, at| {
            let row = cell(at, succeeded, rev);
            Delta::Update { rev, changes: vec![Change::Part { row: Row::Cell(row), which: 1 }], gone: vec![] }
        };
        let mut view = TopicView::new(5, vec![cell(0, 5, 5)], Listing::Whole);
        assert!(view.apply(part(7, 7, 0)).touched.is_empty(), "what is shown may be older than it fits");
        assert_eq!((view.row(&0).unwrap().succeeded, view.rev()), (5, 7));
        view.apply(update(5, &[], &[]));
        assert_eq!(view.apply(part(8, 8, 0)).touched, [0]);
        let row = view.row(&0).unwrap();
        assert_eq!((row.succeeded, row.last, row.rev), (8, 9, 8), "the other members stay");
        assert_eq!(cell(0, 8, 8).differing(row), 0);
        let changes = view.apply(part(9, 9, 3));
        assert!(changes.torn && view.rev() == 0, "a part of what is not shown: all is asked for anew");
        view.apply(snapshot(9, &[cell(0, 9, 9), cell(3, 9, 9)]));
        assert_eq!((view.order().len(), view.rev()), (2, 9));
    }

    #[test]
    fn a_pinned_list_counts_what_comes_above_it() {
        let mut view = TopicView::new(0, vec![cell(3, 0, 1), cell(5, 0, 1)], Listing::Pinned);
        let changes = view.apply(snapshot(9, &[cell(1, 0, 1), cell(5, 1, 2), cell(7, 0, 1)]));
        assert_eq!((view.order(), view.unseen().count()), ([3, 5].as_slice(), 1));
        assert_eq!((changes.touched.as_slice(), changes.reordered), ([5].as_slice(), false));
        let part = Change::Part { row: Row::Cell(cell(1, 4, 9)), which: 1 };
        view.apply(Delta::Update { rev: 9, changes: vec![part], gone: vec![] });
        assert_eq!(view.unseen().map(|row| row.succeeded).collect::<Vec<_>>(), [4], "it is kept true");
        view.apply(update(10, &[], &[3, 1]));
        assert_eq!((view.order(), view.unseen().count()), ([3, 5].as_slice(), 0));
    }

    #[test]
    fn a_moved_window_drops_what_it_no_longer_shows() {
        let mut view = TopicView::new(7, vec![cell(1, 0, 1), cell(2, 0, 1)], Listing::Whole);
        view.forget_rev();
        let changes = view.retain(|at| *at > 1);
        assert_eq!(
            (changes.removed.as_slice(), view.order(), view.rev()),
            ([1].as_slice(), [2].as_slice(), 0)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// Updates may be merged with later ones, repeated, or come late: what is shown is the newest row per key.
        #[test]
        fn order_and_repetition_do_not_matter(
            rows in prop::collection::vec((0u32..5, 1u64..30), 0..40),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let cells: Vec<StripCell> = rows.iter().map(|(at, rev)| cell(*at, *rev, *rev)).collect();
            let mut view = TopicView::<StripCell>::new(0, Vec::new(), Listing::Whole);
            for one in cells.iter().rev().chain(picks.iter().filter(|_| !cells.is_empty()).map(|pick| pick.get(&cells))) {
                view.apply(update(one.rev, std::slice::from_ref(one), &[]));
            }
            let mut newest: HashMap<u32, u64> = HashMap::new();
            for (at, rev) in rows {
                let held = newest.entry(at).or_default();
                *held = (*held).max(rev);
            }
            prop_assert_eq!(view.order().len(), newest.len());
            for (at, rev) in newest {
                prop_assert_eq!(view.row(&at).map(|row| row.succeeded), Some(rev));
            }
        }
    }
}
