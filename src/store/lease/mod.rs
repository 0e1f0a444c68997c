//! Leases: granted, reported on, taken back.

mod claim;
mod next_batch;
mod orphaned_leases;
mod outputs;
mod record;
mod recovery;
mod retry_policy;

pub use self::claim::{Claim, ClaimRequest};
pub use self::next_batch::RunnableTasks;
pub use self::record::cancel;
pub use self::recovery::{LOST, POISON, ReclaimScope};
pub use self::retry_policy::RetryPolicy;
