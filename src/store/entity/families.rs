//! Table `families`: failures by cause.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "families")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Message of its first failure.
    pub message: String,
    /// Items failed now for this cause, at least 1.
    pub count: i64,
    /// First seen, in ms.
    pub first_at: i64,
    /// Last seen, in ms.
    pub last_at: i64,
    /// Some of its items, as a JSON list.
    pub samples: String,
    /// Revision of the row.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
