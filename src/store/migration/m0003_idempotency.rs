//! Step 3: idempotency keys.
//!
//! One row per caller and key.

use sea_orm_migration::prelude::*;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLE: &str = "CREATE TABLE idempotency (caller TEXT NOT NULL, \"key\" TEXT NOT NULL, state TEXT NOT NULL,
    holder TEXT NOT NULL, body_hash TEXT, batch TEXT, claimed_at BIGINT NOT NULL, PRIMARY KEY (caller, \"key\"))";
const INDEX: &str = "CREATE INDEX idempotency_claimed ON idempotency (claimed_at)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [TABLE, INDEX] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE idempotency").await?;
        Ok(())
    }
}
