//! Table `blocks`: the inputs, compressed, never changed.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "blocks")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// Its first item.
    #[sea_orm(primary_key, auto_increment = false)]
    pub first: i64,
    /// Items in it.
    pub count: i64,
    /// LZ4 of NDJSON, with its size in front.
    pub payload: Vec<u8>,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
