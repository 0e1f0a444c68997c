//! Table `tokens`: bearer tokens, by the hash of their secret.
//!
//! Owns the shape of a row. Read and written by the store only, by the statements of its acts. Holds no logic:
//! what a value means is said where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub struct Model {
    /// SHA-256 of the token, hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// Unique name.
    pub name: String,
    /// `viewer`, `operator`, `admin`.
    pub role: String,
    /// Who made it; null = the command line.
    pub person: Option<String>,
    /// When it was made, in ms.
    pub created_at: i64,
    /// When it was last used, in ms, to about a minute.
    pub used_at: Option<i64>,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
