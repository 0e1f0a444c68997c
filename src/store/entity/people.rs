//! Table `people`: who may sign in.
//!
//! Owns the shape of a row. Read and written by the store only, by the statements of its acts. Holds no logic:
//! what a value means is said where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    /// Name to sign in with.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// `viewer`, `operator`, `admin`.
    pub role: String,
    /// Slow hash, as a PHC string.
    pub password_hash: String,
    /// May not come in.
    pub disabled: bool,
    /// When they were added, in ms.
    pub created_at: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
