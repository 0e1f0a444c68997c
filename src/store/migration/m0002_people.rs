//! Step 2: who may come in. People, logins and tokens.
//!
//! A secret is never a column, only its hash. Times are milliseconds.

use sea_orm_migration::prelude::*;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE people (name TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT NOT NULL,
        disabled BOOLEAN NOT NULL, created_at BIGINT NOT NULL)",
    "CREATE TABLE logins (hash TEXT NOT NULL PRIMARY KEY, person TEXT NOT NULL, role TEXT,
        created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE TABLE tokens (hash TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, person TEXT,
        created_at BIGINT NOT NULL, used_at BIGINT)",
    "CREATE INDEX logins_person ON logins (person)",
    "CREATE INDEX logins_end ON logins (expires_at)",
    "CREATE UNIQUE INDEX tokens_name ON tokens (name)",
    "CREATE INDEX tokens_person ON tokens (person)",
];

const NAMES: &[&str] = &["people", "logins", "tokens"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for text in STATEMENTS {
            manager.get_connection().execute_unprepared(text).await?;
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
