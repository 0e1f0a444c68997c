//! Step 19: a batch knows what its last retry has come to, and how long it stood finished before retries.
//!
//! Of a retry by an earlier version nothing is known: its items cannot be told from others that ran after it.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE batches ADD COLUMN retry_by TEXT",
    "ALTER TABLE batches ADD COLUMN retry_at BIGINT",
    "ALTER TABLE batches ADD COLUMN retry_items BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN retry_succeeded BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN retry_failed BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN retry_cancelled BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN rested_ms BIGINT NOT NULL DEFAULT 0",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, STATEMENTS).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 19 cannot be taken back: restore a copy from before".to_owned()))
    }
}
