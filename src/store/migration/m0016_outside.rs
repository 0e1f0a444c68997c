//! Step 16: people who come in from outside. How each person comes in, what they are elsewhere, and the sign-ins that were
//! used.
//!
//! `seen_at` and `expires_at` are by the steady clock. Of a sign-in only a hash is kept.

use sea_orm_migration::prelude::*;

use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE people ADD COLUMN sign_in TEXT NOT NULL DEFAULT 'password'",
    "ALTER TABLE people ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE people ADD COLUMN seen_from TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE person_identities (issuer TEXT NOT NULL, subject TEXT NOT NULL, person TEXT NOT NULL,
        PRIMARY KEY (issuer, subject))",
    "CREATE UNIQUE INDEX person_identities_person ON person_identities (person)",
    "CREATE TABLE used_sign_ins (hash TEXT NOT NULL PRIMARY KEY, expires_at BIGINT NOT NULL)",
    "CREATE INDEX used_sign_ins_end ON used_sign_ins (expires_at)",
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
        Err(DbErr::Migration("step 16 cannot be taken back: restore a copy from before".to_owned()))
    }
}
