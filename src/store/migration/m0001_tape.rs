//! Step 1: the tape. Batches, blocks, leases, requeue, outcomes and what is counted from them.
//!
//! Owns these tables and their indexes. Called by the migrator. Invariant: every query of the store finds its rows
//! by one of the keys here; nothing scans. Times are milliseconds, JSON is text, ranges are text like `1-40,52`.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use crate::fault::Point;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// `{key}` and `{bytes}` are the words of the database for a counting key and for bytes.
const TABLES: &[&str] = &[
    "CREATE TABLE batches (id {key}, uuid TEXT NOT NULL, name TEXT NOT NULL, task TEXT NOT NULL,
        input TEXT NOT NULL, source TEXT NOT NULL, params TEXT NOT NULL, options TEXT NOT NULL,
        owner TEXT NOT NULL, private BOOLEAN NOT NULL, state TEXT NOT NULL, reason TEXT,
        generation BIGINT NOT NULL, sealed BOOLEAN NOT NULL, columns TEXT NOT NULL, result_columns TEXT NOT NULL,
        total BIGINT NOT NULL, next_seq BIGINT NOT NULL, running BIGINT NOT NULL, retrying BIGINT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, cancelled BIGINT NOT NULL, cell_items BIGINT NOT NULL,
        rev BIGINT NOT NULL, finishes BIGINT NOT NULL, deleted BOOLEAN NOT NULL, priority BIGINT NOT NULL,
        concurrency BIGINT, rate_tokens DOUBLE PRECISION NOT NULL, rate_at BIGINT NOT NULL, try_first BIGINT,
        start_at BIGINT, served BIGINT NOT NULL, created_at BIGINT NOT NULL, started_at BIGINT,
        finished_at BIGINT)",
    "CREATE TABLE blocks (batch BIGINT NOT NULL, first BIGINT NOT NULL, count BIGINT NOT NULL,
        payload {bytes} NOT NULL, PRIMARY KEY (batch, first))",
    "CREATE TABLE leases (id {key}, batch BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
        \"left\" TEXT NOT NULL, node TEXT NOT NULL, slots BIGINT NOT NULL, started TEXT NOT NULL,
        generation BIGINT NOT NULL, attempt BIGINT NOT NULL, crashes BIGINT NOT NULL, version BIGINT NOT NULL,
        rev BIGINT NOT NULL)",
    "CREATE TABLE requeue (batch BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
        generation BIGINT NOT NULL, attempt BIGINT NOT NULL, crashes BIGINT NOT NULL,
        not_before BIGINT NOT NULL, rev BIGINT NOT NULL, PRIMARY KEY (batch, first))",
    "CREATE TABLE outcomes (batch BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
        generation BIGINT NOT NULL, state TEXT NOT NULL, attempts BIGINT NOT NULL, result TEXT, error TEXT,
        family TEXT, ms BIGINT, started_at BIGINT, ended_at BIGINT NOT NULL, node TEXT, rev BIGINT NOT NULL,
        PRIMARY KEY (batch, first))",
    "CREATE TABLE attempts (id {key}, batch BIGINT NOT NULL, seq BIGINT NOT NULL, generation BIGINT NOT NULL,
        attempt BIGINT NOT NULL, outcome TEXT NOT NULL, error TEXT, log TEXT, started_at BIGINT,
        ended_at BIGINT, node TEXT)",
    "CREATE TABLE families (batch BIGINT NOT NULL, id TEXT NOT NULL, message TEXT NOT NULL,
        count BIGINT NOT NULL, first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, samples TEXT NOT NULL,
        rev BIGINT NOT NULL, PRIMARY KEY (batch, id))",
    "CREATE TABLE strip (batch BIGINT NOT NULL, cell BIGINT NOT NULL, succeeded BIGINT NOT NULL,
        failed BIGINT NOT NULL, cancelled BIGINT NOT NULL, rev BIGINT NOT NULL, PRIMARY KEY (batch, cell))",
    "CREATE TABLE files (id {key}, batch BIGINT NOT NULL, seq BIGINT NOT NULL, side TEXT NOT NULL,
        \"key\" TEXT NOT NULL, name TEXT NOT NULL, bytes BIGINT NOT NULL, media_type TEXT NOT NULL,
        blake3 TEXT NOT NULL)",
    "CREATE TABLE nodes (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL,
        version TEXT NOT NULL, slots BIGINT NOT NULL, busy BIGINT NOT NULL, state TEXT NOT NULL,
        heartbeat_at BIGINT NOT NULL, rate_per_s DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE meta (\"key\" TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE trash (\"key\" TEXT NOT NULL PRIMARY KEY)",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX batches_uuid ON batches (uuid)",
    "CREATE INDEX batches_state ON batches (state, id)",
    "CREATE INDEX batches_task ON batches (task, id)",
    "CREATE INDEX batches_owner ON batches (owner, id)",
    "CREATE INDEX batches_failing ON batches (id) WHERE failed > 0",
    "CREATE INDEX batches_deleted ON batches (id) WHERE deleted",
    "CREATE INDEX batches_served ON batches (served)",
    "CREATE INDEX leases_batch ON leases (batch)",
    "CREATE INDEX leases_node ON leases (node)",
    "CREATE INDEX requeue_batch_due ON requeue (batch, not_before, first)",
    "CREATE INDEX requeue_due ON requeue (not_before)",
    "CREATE INDEX outcomes_state ON outcomes (batch, state, first) WHERE state <> 'succeeded'",
    "CREATE INDEX outcomes_family ON outcomes (batch, family, first) WHERE family IS NOT NULL",
    "CREATE INDEX attempts_item ON attempts (batch, seq)",
    "CREATE INDEX files_item ON files (batch, seq)",
    "CREATE UNIQUE INDEX files_key ON files (\"key\")",
    "CREATE INDEX nodes_beat ON nodes (heartbeat_at)",
];

const NAMES: &[&str] = &[
    "batches", "blocks", "leases", "requeue", "outcomes", "attempts", "families", "strip", "files", "nodes",
    "meta", "trash",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let words = column_words(manager.get_database_backend());
        for text in TABLES.iter().chain(INDEXES) {
            let text = text.replace("{key}", words.key).replace("{bytes}", words.bytes);
            connection.execute_unprepared(&text).await?;
            Point::MigrationBetween.visit();
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in NAMES {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {name}")).await?;
        }
        Ok(())
    }
}
