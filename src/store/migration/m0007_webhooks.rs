//! Step 7: messages about the ends of batches, the tries to deliver them, and what they are signed with.
//!
//! A row of `deliveries` is written by the transaction that ends its batch. `due` is by the steady clock, all other times by
//! the wall clock.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// `{key}` is the word of the database for a counting key.
const TABLES: &[&str] = &[
    "CREATE TABLE deliveries (id {key}, message TEXT NOT NULL, batch TEXT NOT NULL, owner TEXT NOT NULL,
        url TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL, attempts BIGINT NOT NULL,
        tries BIGINT NOT NULL, due BIGINT, claimed BOOLEAN NOT NULL, created_at BIGINT NOT NULL, ended_at BIGINT, status BIGINT, error TEXT)",
    "CREATE TABLE delivery_attempts (delivery BIGINT NOT NULL, number BIGINT NOT NULL, started_at BIGINT NOT NULL,
        ms BIGINT NOT NULL, status BIGINT, error TEXT, answer TEXT, PRIMARY KEY (delivery, number))",
    "CREATE TABLE webhook_secrets (owner TEXT NOT NULL PRIMARY KEY, secret TEXT NOT NULL, previous TEXT,
        previous_until BIGINT)",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX deliveries_message ON deliveries (message)",
    "CREATE INDEX deliveries_due ON deliveries (due) WHERE due IS NOT NULL",
    "CREATE INDEX deliveries_owner ON deliveries (owner, id)",
    "CREATE INDEX deliveries_waiting ON deliveries (owner) WHERE due IS NOT NULL",
    "CREATE INDEX deliveries_batch ON deliveries (batch, id)",
    "CREATE INDEX deliveries_end ON deliveries (ended_at) WHERE ended_at IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let key = column_words(manager.get_database_backend()).key;
        for text in TABLES {
            manager.get_connection().execute_unprepared(&text.replace("{key}", key)).await?;
        }
        execute_all(manager, INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(
            manager,
            &["DROP TABLE webhook_secrets", "DROP TABLE delivery_attempts", "DROP TABLE deliveries"],
        )
        .await
    }
}
