//! Batches that belong together: one that was made of another's results, such as its failed rows once they are mended.

use serde::{Deserialize, Serialize};

use super::ids::BatchId;
use super::json::Json;

/// Another batch, by what people know it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedBatch {
    /// Its name for programs.
    pub id: BatchId,
    /// Its name for people.
    pub number: u64,
    /// Title.
    pub name: String,
}

/// The batches around one, as far as the caller may see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedBatches {
    /// The one it came from.
    pub parent: Option<RelatedBatch>,
    /// Those that came from it, newest first.
    pub children: Vec<RelatedBatch>,
}

/// A batch from which a new one is to come: how that one is likely to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentBatch {
    /// The batch.
    pub batch: RelatedBatch,
    /// Name of its task.
    pub task: String,
    /// Its parameters.
    pub params: Json,
}
