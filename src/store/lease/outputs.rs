//! What items left becomes rows: the last that a record does.
//!
//! A content that a row names already is named again, and its double goes to the trash.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sea_orm::DatabaseTransaction;

use crate::store::backend::insert_many;
use crate::store::error::StoreError;
use crate::store::files::hold_equal_contents;
use crate::store::records::{BatchKey, FileRecord};
use crate::store::tape::insert_files;

/// Names files of items of several batches, whose rows the transaction has locked.
///
/// Rows of any batch are held here to the end of the transaction, and whoever waits for them may hold the row of a batch: so
/// from here on the transaction waits for nobody.
pub async fn name_outputs(
    tx: &DatabaseTransaction,
    mut files: Vec<(BatchKey, FileRecord)>,
) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let hashes: Vec<&str> = files.iter().map(|(_batch, file)| file.blake3.as_str()).collect();
    let mut keys: HashMap<String, String> = hold_equal_contents(tx, &hashes).await?;
    let mut doubles = Vec::new();
    for (_batch, file) in &mut files {
        match keys.entry(file.blake3.clone()) {
            Entry::Vacant(new) => {
                new.insert(file.key.clone());
            }
            Entry::Occupied(known) if *known.get() != file.key => {
                let double = std::mem::replace(&mut file.key, known.get().clone());
                doubles.push(vec![double.into()]);
            }
            Entry::Occupied(_its_own) => {}
        }
    }
    insert_files(tx, &files).await?;
    insert_many(tx, "INSERT INTO trash (\"key\")", "ON CONFLICT DO NOTHING", doubles).await
}
