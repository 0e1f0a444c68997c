//! Step 9: open batches that end by themselves when nothing is added to them.
//!
//! A row stands for an open batch with such a limit, from its creation until the limit passes. `due` is by the steady
//! clock.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE open_batches (batch BIGINT PRIMARY KEY, idle_ms BIGINT NOT NULL, due BIGINT NOT NULL)",
    "CREATE INDEX open_batches_due ON open_batches (due)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, STATEMENTS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE open_batches").await?;
        Ok(())
    }
}
