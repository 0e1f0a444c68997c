//! Counts what goes to the driver, for tests that hold an act or a read to a number of statements.
//!
//! The ORM calls back for each statement that it hands to the driver, whichever connection of the pools it takes and
//! whether it fails or not. `BEGIN`, `COMMIT` and `ROLLBACK` are not among them.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::DatabaseConnection;

/// Statements that a store has sent, while somebody counts them.
#[derive(Clone, Default)]
pub(in crate::store) struct Statements(Arc<Mutex<Option<Vec<String>>>>);

impl Statements {
    /// Has the connections of a pool tell what they send.
    pub(super) fn watch(&self, pool: &mut DatabaseConnection) {
        let statements = self.clone();
        pool.set_metric_callback(move |info| {
            if let Some(sent) = statements.lock().as_mut() {
                sent.push(info.statement.sql.clone());
            }
        });
    }

    /// Begins to count.
    pub(in crate::store) fn start(&self) {
        *self.lock() = Some(Vec::new());
    }

    /// What was sent since the start, in order.
    pub(in crate::store) fn stop(&self) -> Vec<String> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
