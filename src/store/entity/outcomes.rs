//! Table `outcomes`: how items ended.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outcomes")]
pub struct Model {
    /// Of which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch: i64,
    /// First item.
    #[sea_orm(primary_key, auto_increment = false)]
    pub first: i64,
    /// Last item.
    pub last: i64,
    /// In which generation.
    pub generation: i64,
    /// `succeeded`, `failed`, `cancelled`.
    pub state: String,
    /// Attempts made in this generation.
    pub attempts: i64,
    /// What the task returned, as JSON.
    pub result: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Family of a failure; none otherwise.
    pub family: Option<String>,
    /// How long the last attempt took.
    pub ms: Option<i64>,
    /// When the last attempt started, in ms.
    pub started_at: Option<i64>,
    /// When it was recorded, in ms.
    pub ended_at: i64,
    /// Who ran it.
    pub node: Option<String>,
    /// Revision of the row.
    pub rev: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
