//! Table `logins`: signed-in cookies, by the hash of their id.
//!
//! Owns the shape of a row. Read and written by the store only, by the statements of its acts. Holds no logic:
//! what a value means is said where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    /// SHA-256 of the id, hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// Who.
    pub person: String,
    /// The role, where the person is nobody in `people`.
    pub role: Option<String>,
    /// When they signed in, in ms.
    pub created_at: i64,
    /// When it was last used, in ms, to about a minute.
    pub seen_at: i64,
    /// When it ends, whatever happens, in ms.
    pub expires_at: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
