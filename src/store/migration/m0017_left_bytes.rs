//! Step 17: a batch knows how many bytes of files its items have left.
//!
//! Kept with the other counters of the batch, so that the bound on them is looked at without summing rows.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE batches ADD COLUMN left_bytes BIGINT NOT NULL DEFAULT 0",
    "UPDATE batches SET left_bytes = (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files \
     WHERE files.batch = batches.id AND files.side = 'output') \
     WHERE id IN (SELECT batch FROM files WHERE side = 'output')",
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
        Err(DbErr::Migration("step 17 cannot be taken back: restore a copy from before".to_owned()))
    }
}
