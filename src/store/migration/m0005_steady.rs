//! Step 5: when a batch finished by the clock that nobody sets.
//!
//! What finished before this step has none, and is as old as its wall clock says. The other times that something
//! waits for (`not_before`, `rate_at`, `heartbeat_at`, `claimed_at`, `seen_at`, `expires_at`, `until`, `at`) are by
//! the same clock from now on; until the wall clock is set for the first time the two are one.

use sea_orm_migration::prelude::*;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = "ALTER TABLE batches ADD COLUMN finished_steady BIGINT";
        manager.get_connection().execute_unprepared(text).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = "ALTER TABLE batches DROP COLUMN finished_steady";
        manager.get_connection().execute_unprepared(text).await?;
        Ok(())
    }
}
