//! Step 13: files that come in pieces, and can be gone on with after a cut.
//!
//! A row stands for a file from the moment that it is announced until a batch has taken it. `touched` is by the steady
//! clock; `parts` is what a bucket has said of the pieces so far.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE uploads (id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, bytes BIGINT NOT NULL, \
     received BIGINT NOT NULL, \"key\" TEXT NOT NULL, parts TEXT, writer TEXT NOT NULL, blake3 TEXT, \
     media_type TEXT, claim TEXT, touched BIGINT NOT NULL)",
    "CREATE INDEX uploads_owner ON uploads (owner)",
    "CREATE INDEX uploads_key ON uploads (\"key\")",
    "CREATE INDEX uploads_touched ON uploads (touched)",
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
        manager.get_connection().execute_unprepared("DROP TABLE uploads").await?;
        Ok(())
    }
}
