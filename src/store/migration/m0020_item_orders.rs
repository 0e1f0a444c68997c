//! Step 20: the outcomes of a batch by how long they took, and by when they were recorded.
//!
//! One row tells of many quick items at once, so the second is short where there are many of those, and the first has none
//! of them.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE INDEX outcomes_took ON outcomes (batch, ms, first) WHERE ms IS NOT NULL",
    "CREATE INDEX outcomes_ended ON outcomes (batch, ended_at, first)",
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
        Err(DbErr::Migration("step 20 cannot be taken back: restore a copy from before".to_owned()))
    }
}
