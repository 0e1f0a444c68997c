//! The name of a batch that nobody has named: the task's title until it is whole, then one after its input.
//!
//! Until then a mark stands before it in the row, which no name that is given can hold: whoever renames the batch takes it away.

use sea_orm::DatabaseTransaction;

use super::backend::{count, rows};
use super::entity::batches;
use super::error::StoreError;
use super::records::Naming;
use crate::protocol::{InputKind, default_name};

/// Stands before a name that is not final.
const PROVISIONAL: char = '\u{1}';

/// The name as it is stored.
pub fn stored_name(name: &str, naming: Naming) -> String {
    match naming {
        Naming::Given => name.to_owned(),
        Naming::ByInput => format!("{PROVISIONAL}{name}"),
    }
}

/// A stored name as it is shown.
pub fn shown_name(stored: &str) -> &str {
    stored.strip_prefix(PROVISIONAL).unwrap_or(stored)
}

/// The batch is whole: names it after its input, where nobody has named it.
pub async fn name_by_input(tx: &DatabaseTransaction, batch: &mut batches::Model) -> Result<(), StoreError> {
    if !batch.name.starts_with(PROVISIONAL) {
        return Ok(());
    }
    let items = count(batch.total)?;
    let input = match batch.input.as_str() {
        "file" => InputKind::File,
        "record" => InputKind::Record,
        _ => InputKind::Line,
    };
    batch.name = match input {
        InputKind::File if items > 0 => {
            let text =
                "SELECT name FROM files WHERE batch = $1 AND side = 'input' AND seq IN (1, $2) ORDER BY seq";
            let found = rows(tx, text, vec![batch.id.into(), batch.total.into()]).await?;
            let names = found.iter().map(|row| Ok(row.try_get_by_index::<String>(0)?));
            let names = names.collect::<Result<Vec<_>, StoreError>>()?;
            let (first, last) = (names.first(), names.last());
            first.zip(last).map(|(first, last)| default_name::after_files(first, last, items))
        }
        InputKind::File | InputKind::Line | InputKind::Record => None,
    }
    .unwrap_or_else(|| default_name::after_count(input, batch.columns != "[]", items));
    Ok(())
}
