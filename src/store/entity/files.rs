//! Table `files`: files that came in or were left by items.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "files")]
pub struct Model {
    /// Which row.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Of which batch.
    pub batch: i64,
    /// Of which item.
    pub seq: i64,
    /// `input` or `output`.
    pub side: String,
    /// Key in the file store.
    pub key: String,
    /// Name as given.
    pub name: String,
    /// Size.
    pub bytes: i64,
    /// Media type by content.
    pub media_type: String,
    /// Hash of the content.
    pub blake3: String,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
