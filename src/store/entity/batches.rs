//! Table `batches`: what was asked of a batch, and every counter of it.
//!
//! Read and written by the store only, by the statements of its acts. Holds no logic: what a value means is said
//! where records are made of rows.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "batches")]
pub struct Model {
    /// Number, and key in all other tables.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Public id, as text.
    pub uuid: String,
    /// Title.
    pub name: String,
    /// Name of the task.
    pub task: String,
    /// Kind of input: `file`, `line`, `record`.
    pub input: String,
    /// `blocks` or `generated`.
    pub source: String,
    /// Parameters as JSON.
    pub params: String,
    /// Options as JSON.
    pub options: String,
    /// Who it belongs to.
    pub owner: String,
    /// Seen by its owner and admins only.
    pub private: bool,
    /// The batch it came from; it may be gone.
    pub parent: Option<i64>,
    /// The schedule that made it, as text; it may be gone.
    pub schedule: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Counts retries, from 1.
    pub generation: i64,
    /// No more items can come.
    pub sealed: bool,
    /// Names of the input's columns, as a JSON list.
    pub columns: String,
    /// Names of the result's fields, as a JSON list.
    pub result_columns: String,
    /// Items so far.
    pub total: i64,
    /// All below has been handed out.
    pub next_seq: i64,
    /// Items in `started` of its leases.
    pub running: i64,
    /// Items that wait for attempt 2 or later.
    pub retrying: i64,
    /// Items ended well.
    pub succeeded: i64,
    /// Items ended badly.
    pub failed: i64,
    /// Items ended by a cancel.
    pub cancelled: i64,
    /// Items in one cell of the strip: a power of two.
    pub cell_items: i64,
    /// Grows with every commit.
    pub rev: i64,
    /// Times it has finished.
    pub finishes: i64,
    /// Hidden from everybody.
    pub deleted: bool,
    /// Higher first.
    pub priority: i64,
    /// Slots at once at most.
    pub concurrency: Option<i64>,
    /// Items that may be handed out at `rate_at`.
    pub rate_tokens: f64,
    /// When `rate_tokens` was true, in ms of the steady clock.
    pub rate_at: i64,
    /// When the bucket holds an item again, by the same clock; none where it holds one, or there is no rate.
    pub rate_due: Option<i64>,
    /// Nothing above is handed out before somebody resumes.
    pub try_first: Option<i64>,
    /// Nothing is handed out before, in ms.
    pub start_at: Option<i64>,
    /// Order in which batches were last served.
    pub served: i64,
    /// When it was submitted, in ms.
    pub created_at: i64,
    /// When its first item was handed out, in ms.
    pub started_at: Option<i64>,
    /// When its last item ended, in ms.
    pub finished_at: Option<i64>,
    /// The same by the steady clock; none where it has not, or did so in an earlier version.
    pub finished_steady: Option<i64>,
    /// The node that fills it, while it is neither sealed nor open.
    pub intake_node: Option<String>,
    /// Acts in steps that have not ended.
    pub acts: i64,
    /// A cancel lets the items in slots end as they will.
    pub cancel_drains: bool,
    /// Of a follow-up batch: `waits`, `due`, `done`, `failed`.
    pub follow: Option<String>,
    /// Items ended since the budget was last renewed.
    pub budget_ended: i64,
    /// Items failed since then.
    pub budget_failed: i64,
    /// Items failed in a row, up to now.
    pub budget_row: i64,
    /// The longest such row since then.
    pub budget_longest: i64,
    /// Bytes of the files that its items have left.
    pub left_bytes: i64,
    /// Width of its time buckets, in ms.
    pub pulse_ms: i64,
    /// How many time buckets it has.
    pub pulse_buckets: i64,
    /// When the last of them begins, in ms; 0 where there is none.
    pub pulse_at: i64,
    /// Who asked for its last retry; none where nobody signed it.
    pub retry_by: Option<String>,
    /// When that was, in ms; none before the first.
    pub retry_at: Option<i64>,
    /// Items that it took: those of the batch's generation.
    pub retry_items: i64,
    /// Those of them that ended well since.
    pub retry_succeeded: i64,
    /// Those that ended badly.
    pub retry_failed: i64,
    /// Those that a cancel ended.
    pub retry_cancelled: i64,
    /// How long it stood finished before its retries, in ms.
    pub rested_ms: i64,
}

/// None: rows are joined by hand where they are.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
