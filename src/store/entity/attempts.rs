//! Table `attempts`: attempts worth a row.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// Which row.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Of which batch.
    pub batch: i64,
    /// Which item.
    pub seq: i64,
    /// In which generation.
    pub generation: i64,
    /// From 1.
    pub attempt: i64,
    /// How it ended.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Tail of its log.
    pub log: Option<String>,
    /// When it started, in ms.
    pub started_at: Option<i64>,
    /// When it ended, in ms.
    pub ended_at: Option<i64>,
    /// Who ran it.
    pub node: Option<String>,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
