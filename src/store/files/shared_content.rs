//! Equal contents under one key, however many files name it.
//!
//! The first row that names a key is written by whoever has stored its content. Every other one is written while a row
//! that names the key is held, in the same transaction. So once no row names a key, none ever will again, and whoever
//! finds that may remove the content without a lock: see [`super::sweep`].

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::store::Store;
use crate::store::backend::{Hold, LIST_MAX, list_value, one_for_each, rows};
use crate::store::error::StoreError;

impl Store {
    /// Keys of contents by their hashes (BLAKE3), of those that are stored. What is answered may go at any time: it is
    /// named by [`Store::append_sharing`] alone.
    ///
    /// # Errors
    /// Outages.
    pub async fn stored_contents(&self, hashes: &[&str]) -> Result<HashMap<String, String>, StoreError> {
        equal_contents(self.inner.backend.reader(), hashes, Hold::Free).await
    }
}

async fn equal_contents<C: ConnectionTrait>(
    connection: &C,
    hashes: &[&str],
    hold: Hold,
) -> Result<HashMap<String, String>, StoreError> {
    let text = one_for_each(connection, "files", ("blake3", "\"key\""), hold);
    let mut found = HashMap::new();
    for hashes in hashes.chunks(LIST_MAX) {
        for row in rows(connection, &text, vec![list_value(hashes)]).await? {
            if let Some(key) = row.try_get_by_index::<Option<String>>(1)? {
                found.insert(row.try_get_by_index(0)?, key);
            }
        }
    }
    Ok(found)
}

/// Keys of contents by their hashes (BLAKE3), of those that are stored, each held as by [`hold_contents`].
///
/// # Errors
/// Outages.
pub async fn hold_equal_contents(
    tx: &DatabaseTransaction,
    hashes: &[&str],
) -> Result<HashMap<String, String>, StoreError> {
    equal_contents(tx, hashes, Hold::Held).await
}

/// Holds a row of each key to the end of the transaction, so that more rows may name it.
///
/// # Errors
/// [`StoreError::ContentGone`] where a key has none, or its last is just being taken away.
pub async fn hold_contents(tx: &DatabaseTransaction, keys: &[String]) -> Result<(), StoreError> {
    let text = one_for_each(tx, "files", ("\"key\"", "id"), Hold::Held);
    for keys in keys.chunks(LIST_MAX) {
        let mut held = 0;
        for row in rows(tx, &text, vec![list_value(keys)]).await? {
            held += usize::from(row.try_get_by_index::<Option<i64>>(1)?.is_some());
        }
        if held != keys.len() {
            return Err(StoreError::ContentGone);
        }
    }
    Ok(())
}
