//! Table `leases`: the rights of nodes to ranges.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// Which lease.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Of which batch.
    pub batch: i64,
    /// First item granted.
    pub first: i64,
    /// Last item granted.
    pub last: i64,
    /// Sub-ranges still owned, like `1-40,52`.
    pub left: String,
    /// Who holds it.
    pub node: String,
    /// Slots granted.
    pub slots: i64,
    /// Sub-ranges in slots.
    pub started: String,
    /// Generation of the items.
    pub generation: i64,
    /// Attempt that each of them makes, from 1.
    pub attempt: i64,
    /// Times a node was lost with them.
    pub crashes: i64,
    /// Compared at every record.
    pub version: i64,
    /// Revision of the last change.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
