//! Step 21: acts over many batches, each a row that says how far it has come, and the batches that it is still to go to.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLE: &str = "CREATE TABLE bulk_acts (id {key}, uuid TEXT NOT NULL, act TEXT NOT NULL, who TEXT NOT NULL,
    address TEXT NOT NULL, state TEXT NOT NULL, total BIGINT NOT NULL, place BIGINT NOT NULL, done BIGINT NOT NULL,
    refused BIGINT NOT NULL, refusals TEXT NOT NULL, failure TEXT, node TEXT, claimed_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL, ended_at BIGINT)";

const OTHERS: &[&str] = &[
    "CREATE UNIQUE INDEX bulk_acts_uuid ON bulk_acts (uuid)",
    "CREATE INDEX bulk_acts_who ON bulk_acts (who, id)",
    "CREATE INDEX bulk_acts_running ON bulk_acts (id) WHERE ended_at IS NULL",
    "CREATE INDEX bulk_acts_ended ON bulk_acts (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE TABLE bulk_act_batches (act BIGINT NOT NULL, place BIGINT NOT NULL, batch BIGINT NOT NULL, uuid TEXT NOT NULL, \
     PRIMARY KEY (act, place))",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let words = column_words(manager.get_database_backend());
        execute_all(manager, &[&TABLE.replace("{key}", words.key)]).await?;
        execute_all(manager, OTHERS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &["DROP TABLE bulk_act_batches", "DROP TABLE bulk_acts"]).await
    }
}
