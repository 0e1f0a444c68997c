//! Table `pulse`: ends as they were recorded, by time bucket.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "pulse")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// Position, from 0, in the order of time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i64,
    /// When it begins, in ms: a multiple of the batch's width.
    pub starts_at: i64,
    /// Ends well in it.
    pub succeeded: i64,
    /// Ends badly in it.
    pub failed: i64,
    /// Revision of the row.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
