//! Step 6: what is read all the time is found by its key, however many batches there are.
//!
//! `rate_due` says when a batch with a rate may hand out again. `batch_counts` holds how many batches there are of each
//! kind, as changes to be summed: triggers write them, so that they hold for whoever writes a batch, a node of an earlier
//! version too. `owner` is that of private batches, null for all others. Rows of earlier versions are counted once, here.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use crate::fault::Point;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE batches ADD COLUMN rate_due BIGINT",
    // As a claim would set it. Of a rate below one in a thousand seconds it is only looked for the sooner.
    "UPDATE batches SET rate_due = rate_at + CASE WHEN {rate} > 0.001
        THEN CAST((1 - rate_tokens) * 1000 / {rate} AS BIGINT) + 1 ELSE 1000000 END
        WHERE finished_at IS NULL AND rate_tokens < 1 AND {rate} > 0",
    "CREATE INDEX batches_rate_due ON batches (rate_due) WHERE rate_due IS NOT NULL",
    "CREATE INDEX batches_start ON batches (state, start_at) WHERE start_at IS NOT NULL",
    "CREATE INDEX batches_turn ON batches (priority DESC, served, id)
        WHERE state IN ('pending', 'running') AND NOT deleted",
    "CREATE TABLE batch_counts (id {key}, owner TEXT, state TEXT NOT NULL, failing BOOLEAN NOT NULL,
        change BIGINT NOT NULL)",
    "INSERT INTO batch_counts (owner, state, failing, change)
        SELECT CASE WHEN private THEN owner END, state, failed > 0, COUNT(*) FROM batches WHERE NOT deleted
        GROUP BY CASE WHEN private THEN owner END, state, failed > 0",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let words = column_words(manager.get_database_backend());
        // The first statement locks the table to the end, so no change falls between the count and the triggers.
        for text in STATEMENTS.iter().chain(words.counting) {
            let text = text.replace("{key}", words.key).replace("{rate}", words.rate);
            manager.get_connection().execute_unprepared(&text).await?;
            Point::MigrationBetween.visit();
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 6 cannot be taken back: restore a copy from before".to_owned()))
    }
}
