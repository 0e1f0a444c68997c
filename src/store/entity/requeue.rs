//! Table `requeue`: ranges that wait for another attempt.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "requeue")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// First item.
    #[sea_orm(primary_key, auto_increment = false)]
    pub first: i64,
    /// Last item.
    pub last: i64,
    /// Generation of the items.
    pub generation: i64,
    /// Attempt that each makes next, from 1.
    pub attempt: i64,
    /// Times a node was lost with them.
    pub crashes: i64,
    /// Not handed out before, in ms.
    pub not_before: i64,
    /// Revision of the row.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
