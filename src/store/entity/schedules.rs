//! Table `schedules`: what is to be made again and again, and when.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "schedules")]
pub struct Model {
    /// Number; inputs that are kept for it lie under its negative.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Public id, as text.
    pub uuid: String,
    /// Title.
    pub name: String,
    /// Who it belongs to.
    pub owner: String,
    /// Seen by its owner and admins only.
    pub private: bool,
    /// When it is due.
    pub cron: String,
    /// Where that clock hangs.
    pub time_zone: String,
    /// Minute of the day from which runs may start.
    pub window_from: Option<i64>,
    /// Minute of the day from which they may not.
    pub window_until: Option<i64>,
    /// `skip` or `queue`.
    pub overlap: String,
    /// Makes no batches by itself.
    pub paused: bool,
    /// Name of the task.
    pub task: String,
    /// Items of one batch.
    pub items: i64,
    /// The body of a create, as JSON; empty where it was not read.
    pub body: String,
    /// Names of the input's columns, as a JSON list.
    pub columns: String,
    /// The batch whose inputs are kept for it, as text.
    pub from_batch: Option<String>,
    /// When it is due next, in ms.
    pub next_at: Option<i64>,
    /// When the run was due that waits, in ms.
    pub waiting_for: Option<i64>,
    /// When it is to be looked at, in ms.
    pub wake_at: Option<i64>,
    /// When the last run was due that made a batch by itself, in ms.
    pub last_due_at: Option<i64>,
    /// The batch that was made last; it may be gone.
    pub last_batch: Option<i64>,
    /// Why the last run that was due made none.
    pub last_error: Option<String>,
    /// When that was found, in ms.
    pub last_error_at: Option<i64>,
    /// Grows with every change.
    pub version: i64,
    /// When it was made, in ms.
    pub created_at: i64,
    /// When somebody last changed it, in ms.
    pub updated_at: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
