//! The course of a batch: what ended when, and what people asked of it meanwhile.

use serde::{Deserialize, Serialize};

use super::ids::Rev;
use super::time::Timestamp;

/// Ends of a stretch of time, as they were recorded: a retry takes nothing back. Rows of `batch/{id}/pulse`.
///
/// A batch has at most 512; where more are needed, all get twice as wide. Stretches in which nothing ended have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulseBucket {
    /// Position, from 0, in the order of time.
    pub bucket: u32,
    /// When it begins: a multiple of its width.
    pub starts_at: Timestamp,
    /// Its width in ms, the same for all of a batch: 1,000 times a power of two.
    pub ms: u64,
    /// Items that ended well in it.
    pub succeeded: u64,
    /// Items that ended badly in it.
    pub failed: u64,
    /// Revision of the batch at which this row was written.
    pub rev: Rev,
}

/// Bars of the course of a batch in a list at most.
pub const SPARK_BARS_MAX: u64 = 24;

/// Ends of a stretch of time: how long it is in ms, how many items ended well in it, and how many badly.
pub type SparkBar = [u64; 3];

/// Something that was asked of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchActEntry {
    /// When.
    pub at: Timestamp,
    /// Name of who asked.
    pub who: String,
    /// What, as the audit log has it without `batch.`: `pause`, `retry`.
    pub act: String,
    /// What else the log says of it; may be empty.
    pub detail: String,
}
