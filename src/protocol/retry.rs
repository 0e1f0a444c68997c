//! What a retry of a batch took, and what has become of it.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The last retry that somebody asked for. Other attempts of an item, which the engine makes by itself, are none.
///
/// What it took and has not ended yet waits or runs: `items` less the rest. All counts are committed state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BatchRetry {
    /// Name of who asked, or `token:NAME`; empty where that is not shown.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Items that it took. Of very many it takes some thousand at a time, and this grows meanwhile.
    pub items: u64,
    /// Those of them that ended well since.
    pub succeeded: u64,
    /// Those that ended badly again.
    pub failed: u64,
    /// Those that a cancel ended.
    pub cancelled: u64,
}

impl BatchRetry {
    /// Items that have not ended since.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.items.saturating_sub(self.succeeded + self.failed + self.cancelled)
    }
}
