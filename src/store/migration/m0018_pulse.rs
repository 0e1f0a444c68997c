//! Step 18: ends of a batch by time.
//!
//! What ended in an earlier version has no bucket: when it did is in its outcome only.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE pulse (batch BIGINT NOT NULL, bucket BIGINT NOT NULL, starts_at BIGINT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, rev BIGINT NOT NULL, PRIMARY KEY (batch, bucket))",
    "ALTER TABLE batches ADD COLUMN pulse_ms BIGINT NOT NULL DEFAULT 1000",
    "ALTER TABLE batches ADD COLUMN pulse_buckets BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN pulse_at BIGINT NOT NULL DEFAULT 0",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, STATEMENTS).await?;
        execute_all(manager, column_words(manager.get_database_backend()).settle_pulse).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 18 cannot be taken back: restore a copy from before".to_owned()))
    }
}
