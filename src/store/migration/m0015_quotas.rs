//! Step 15: what somebody has, for bounds on it; and counts of batches by task, for whoever does not see every task.
//!
//! `stored_bytes` has a row for each change of the bytes of somebody's files, as `batch_counts` has for batches: rows are only
//! added by triggers, and added up now and then. An index finds the batches of an owner that have not finished.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// `{key}` is the word of the database for a counting key.
const STORED_BYTES: &str =
    "CREATE TABLE stored_bytes (id {key}, owner TEXT NOT NULL, change BIGINT NOT NULL)";

const BEFORE: &[&str] = &[
    "CREATE INDEX stored_bytes_owner ON stored_bytes (owner)",
    "INSERT INTO stored_bytes (owner, change) SELECT b.owner, CAST(SUM(f.bytes) AS BIGINT) FROM files f
        JOIN batches b ON b.id = f.batch GROUP BY b.owner",
    "CREATE INDEX batches_owner_unfinished ON batches (owner) WHERE finished_at IS NULL",
    "ALTER TABLE batch_counts ADD COLUMN task TEXT NOT NULL DEFAULT ''",
];

const AFTER: &[&str] = &[
    "DELETE FROM batch_counts",
    "INSERT INTO batch_counts (owner, task, state, failing, change)
        SELECT CASE WHEN private THEN owner END, task, state, failed > 0, COUNT(*) FROM batches
        WHERE NOT deleted GROUP BY 1, 2, 3, 4",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let words = column_words(manager.get_database_backend());
        manager.get_connection().execute_unprepared(&STORED_BYTES.replace("{key}", words.key)).await?;
        execute_all(manager, BEFORE).await?;
        execute_all(manager, words.counting_by_task).await?;
        execute_all(manager, AFTER).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 15 cannot be taken back: restore a copy from before".to_owned()))
    }
}
