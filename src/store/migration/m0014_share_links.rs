//! Step 14: links that show one batch to whoever has them.
//!
//! A secret is never a column, only its hash. A link ends by the steady clock.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE share_links (hash TEXT NOT NULL PRIMARY KEY, batch TEXT NOT NULL, made_by TEXT NOT NULL,
        payloads BOOLEAN NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT)",
    "CREATE INDEX share_links_batch ON share_links (batch)",
    "CREATE INDEX share_links_end ON share_links (expires_at)",
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
        Err(DbErr::Migration("step 14 cannot be taken back: restore a copy from before".to_owned()))
    }
}
