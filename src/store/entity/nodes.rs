//! Table `nodes`: processes and their beats.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    /// Fresh at each start.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Name for people.
    pub name: String,
    /// `all`, `web`, `worker`.
    pub role: String,
    /// Version of its executable.
    pub version: String,
    /// Items at once.
    pub slots: i64,
    /// Items now.
    pub busy: i64,
    /// `up`, `draining`, `down`.
    pub state: String,
    /// Last beat, in ms.
    pub heartbeat_at: i64,
    /// Items ended per second.
    pub rate_per_s: f64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
