//! Step 12: the life of people and programs. What a login came from, links that set a password, browsers that are known, what a
//! token reaches, and the log of who did what.
//!
//! A secret is never a column, only its hash. What ends does so by the steady clock; what is shown is by the wall clock.

use sea_orm_migration::prelude::*;

use super::column_words::column_words;
use super::execute_all;

/// This step.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// `{key}` is the word of the database for a counting key.
const TABLES: &[&str] = &[
    "CREATE TABLE person_links (hash TEXT NOT NULL PRIMARY KEY, person TEXT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE TABLE known_browsers (hash TEXT NOT NULL PRIMARY KEY, person TEXT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE TABLE token_names (name TEXT NOT NULL PRIMARY KEY, used BIGINT NOT NULL)",
    "CREATE TABLE audit_log (id {key}, at BIGINT NOT NULL, who TEXT NOT NULL, via TEXT NOT NULL, address TEXT NOT NULL,
        act TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL)",
];

const CHANGES: &[&str] = &[
    "ALTER TABLE logins ADD COLUMN device TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE logins ADD COLUMN address TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tokens ADD COLUMN owner TEXT",
    "ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tokens ADD COLUMN task TEXT",
    "ALTER TABLE tokens ADD COLUMN batch TEXT",
    "ALTER TABLE tokens ADD COLUMN expires_at BIGINT",
    "UPDATE tokens SET owner = COALESCE(person, 'token:' || name)",
    // Names that own batches were given once, whether or not their token is still there.
    "INSERT INTO token_names (name, used) SELECT name, 1 FROM tokens
        UNION SELECT SUBSTR(owner, 7), 1 FROM batches WHERE owner LIKE 'token:%'",
    "CREATE INDEX person_links_person ON person_links (person)",
    "CREATE INDEX known_browsers_person ON known_browsers (person)",
    "CREATE INDEX known_browsers_end ON known_browsers (expires_at)",
    "CREATE INDEX audit_log_who ON audit_log (who, id)",
    "CREATE INDEX audit_log_object ON audit_log (object, id)",
    "CREATE INDEX audit_log_at ON audit_log (at)",
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
        execute_all(manager, CHANGES).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("step 12 cannot be taken back: restore a copy from before".to_owned()))
    }
}
