//! Step 4: many nodes, acts in steps, budgets that hold across nodes, follow-up batches.
//!
//! Rows of earlier versions read as having no act under way, no node that fills them, and nothing spent. `watches`
//! and `glimpses` hold what is only indicative and are lost with a crash of the database, on purpose.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use crate::fault::Point;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    // Who fills a batch that is not open: none once it is sealed.
    "ALTER TABLE batches ADD COLUMN intake_node TEXT",
    // Acts in steps that have not ended: while there are any, the batch does not end.
    "ALTER TABLE batches ADD COLUMN acts BIGINT NOT NULL DEFAULT 0",
    // A cancel that lets the items in slots end as they will.
    "ALTER TABLE batches ADD COLUMN cancel_drains BOOLEAN NOT NULL DEFAULT FALSE",
    // A follow-up batch: `waits`, `due`, `done`, `failed`; null = none.
    "ALTER TABLE batches ADD COLUMN follow TEXT",
    // The budget since the last resume: ended, failed, failed in a row, and the longest such row.
    "ALTER TABLE batches ADD COLUMN budget_ended BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN budget_failed BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN budget_row BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE batches ADD COLUMN budget_longest BIGINT NOT NULL DEFAULT 0",
    "CREATE TABLE acts (id {key}, batch BIGINT NOT NULL, kind TEXT NOT NULL, request TEXT NOT NULL,
        generation BIGINT NOT NULL, after BIGINT NOT NULL, done BIGINT NOT NULL, created_at BIGINT NOT NULL)",
    "CREATE {unlogged}TABLE watches (node TEXT NOT NULL, batch BIGINT NOT NULL, first BIGINT NOT NULL,
        last BIGINT NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (node, batch, first, last))",
    "CREATE {unlogged}TABLE glimpses (batch BIGINT NOT NULL, seq BIGINT NOT NULL, node TEXT NOT NULL,
        reports BIGINT NOT NULL, progress TEXT, log TEXT, at BIGINT NOT NULL, PRIMARY KEY (batch, seq))",
    "CREATE INDEX acts_batch ON acts (batch, id)",
    "CREATE INDEX batches_intake ON batches (intake_node) WHERE intake_node IS NOT NULL",
    "CREATE INDEX batches_follow ON batches (id) WHERE follow = 'due'",
    "CREATE INDEX batches_changing ON batches (id) WHERE finished_at IS NULL",
    "CREATE INDEX glimpses_at ON glimpses (at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let words = column_words(manager.get_database_backend());
        for text in STATEMENTS {
            let text = text.replace("{key}", words.key).replace("{unlogged}", words.unlogged);
            manager.get_connection().execute_unprepared(&text).await?;
            Point::MigrationBetween.visit();
        }
        for text in words.settle {
            manager.get_connection().execute_unprepared(text).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 4 cannot be taken back: restore a copy from before".to_owned()))
    }
}
