//! The signals of one topic, and what is shown of it.
//!
//! One row's change sets that row's signal only; the list of keys changes only when rows come, go or move.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leptos::prelude::*;

use super::observers::TopicObserver;
use crate::client::fold::{Changes, Delta, Listing, TopicView};
use crate::client::live_row::LiveRow;
use crate::protocol::{ErrorCode, Rev};

/// The signals of one topic, and what is shown of it.
pub(super) struct Feed<R: LiveRow> {
    shown: Mutex<TopicView<R>>,
    /// Made when somebody looks at the row; goes with it.
    rows: Mutex<HashMap<R::Key, ArcRwSignal<R>>>,
    pub(super) order: ArcRwSignal<Vec<R::Key>>,
    pub(super) version: ArcRwSignal<u64>,
    pub(super) unseen: ArcRwSignal<usize>,
    pub(super) gone: ArcRwSignal<bool>,
    /// Why the topic cannot be had, while it cannot.
    pub(super) refused: ArcRwSignal<Option<ErrorCode>>,
    /// Which rows that are not listed would be, were the list read now.
    pub(super) belongs: Box<dyn Fn(&R) -> bool + Send + Sync>,
}

impl<R: LiveRow> Feed<R> {
    pub(super) fn new(rev: Rev, initial: Vec<R>, listing: Listing) -> Arc<Self> {
        Self::counting(rev, initial, listing, |_| true)
    }

    pub(super) fn counting(
        rev: Rev,
        initial: Vec<R>,
        listing: Listing,
        belongs: impl Fn(&R) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        let shown = TopicView::new(rev, initial, listing);
        let order = ArcRwSignal::new(shown.order().to_vec());
        Arc::new(Self {
            shown: Mutex::new(shown),
            rows: Mutex::default(),
            order,
            version: ArcRwSignal::new(0),
            unseen: ArcRwSignal::new(0),
            gone: ArcRwSignal::new(false),
            refused: ArcRwSignal::new(None),
            belongs: Box::new(belongs),
        })
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, TopicView<R>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<R::Key, ArcRwSignal<R>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn row(&self, key: &R::Key) -> Option<ArcRwSignal<R>> {
        let row = self.shown().row(key)?.clone();
        Some(self.rows().entry(key.clone()).or_insert_with(|| ArcRwSignal::new(row)).clone())
    }

    /// Folds with `fold`, then sets the signals: no lock is held meanwhile. False where what came did not fit.
    pub(super) fn change(&self, fold: impl FnOnce(&mut TopicView<R>) -> Changes<R::Key>) -> bool {
        let mut shown = self.shown();
        let changes = fold(&mut shown);
        let mut changed = Vec::new();
        {
            let mut rows = self.rows();
            for key in &changes.removed {
                rows.remove(key);
            }
            for key in &changes.touched {
                if let (Some(signal), Some(row)) = (rows.get(key), shown.row(key)) {
                    changed.push((signal.clone(), row.clone()));
                }
            }
        }
        let order = changes.reordered.then(|| shown.order().to_vec());
        let unseen = shown.unseen().filter(|row| (self.belongs)(row)).count();
        drop(shown);
        for (signal, row) in changed {
            signal.set(row);
        }
        if let Some(order) = order
            && self.order.with_untracked(|held| *held != order)
        {
            self.order.set(order);
        }
        if self.unseen.get_untracked() != unseen {
            self.unseen.set(unseen);
        }
        if !changes.removed.is_empty() {
            self.gone.set(true);
        }
        if !(changes.touched.is_empty() && changes.removed.is_empty()) {
            self.version.update(|version| *version += 1);
        }
        !changes.torn
    }
}

impl<R: LiveRow> TopicObserver for Feed<R> {
    fn rev(&self) -> Option<Rev> {
        Some(self.shown().rev()).filter(|rev| *rev > 0)
    }

    fn is_unfinished(&self) -> bool {
        self.shown().unfinished()
    }

    fn receive(&self, delta: Delta) -> bool {
        if self.refused.get_untracked().is_some() {
            self.refused.set(None);
        }
        self.change(|shown| shown.apply(delta))
    }

    fn refuse(&self, code: ErrorCode) {
        if code == ErrorCode::NotFound {
            self.gone.set(true);
        } else {
            self.refused.set(Some(code));
        }
    }
}
