//! Table `strip`: ended items by cell.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "strip")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// Position, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cell: i64,
    /// Items ended well.
    pub succeeded: i64,
    /// Items ended badly.
    pub failed: i64,
    /// Items ended by a cancel.
    pub cancelled: i64,
    /// Revision of the row.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
