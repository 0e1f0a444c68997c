//! Step 8: schedules, and which of them made a batch.
//!
//! `next_at`, `waiting_for` and `wake_at` are by the wall clock: a schedule follows the clock as it is. `slot` bounds how
//! many a person has: each of theirs has another one. `once_key` is the
//! key under which it was asked for, and `once_hash` the hash of that request. Inputs that a schedule keeps lie in `blocks` and `files` under its
//! negative key.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLE: &str = "CREATE TABLE schedules (id {key}, uuid TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,
    slot BIGINT, private BOOLEAN NOT NULL, cron TEXT NOT NULL, time_zone TEXT NOT NULL, window_from BIGINT,
    window_until BIGINT, overlap TEXT NOT NULL, paused BOOLEAN NOT NULL, task TEXT NOT NULL, items BIGINT NOT NULL,
    body TEXT NOT NULL, columns TEXT NOT NULL, from_batch TEXT, next_at BIGINT, waiting_for BIGINT, wake_at BIGINT,
    last_due_at BIGINT, last_batch BIGINT, last_error TEXT, last_error_at BIGINT, version BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL, once_key TEXT, once_hash TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)";

const OTHERS: &[&str] = &[
    "CREATE UNIQUE INDEX schedules_uuid ON schedules (uuid)",
    "CREATE UNIQUE INDEX schedules_slot ON schedules (owner, slot)",
    "CREATE UNIQUE INDEX schedules_once ON schedules (owner, once_key)",
    "CREATE INDEX schedules_wake ON schedules (wake_at) WHERE wake_at IS NOT NULL",
    "CREATE INDEX schedules_deleted ON schedules (id) WHERE deleted",
    "ALTER TABLE batches ADD COLUMN schedule TEXT",
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

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 8 cannot be taken back: restore a copy from before".to_owned()))
    }
}
