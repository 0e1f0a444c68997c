//! Step 10: several files may name one content.
//!
//! A key is found by the hash of its content, so that equal contents are stored once; it goes when no row names it.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "DROP INDEX files_key",
    "CREATE INDEX files_key ON files (\"key\")",
    "CREATE INDEX files_content ON files (blake3)",
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
        Err(DbErr::Migration("step 10 cannot be taken back: restore a copy from before".to_owned()))
    }
}
