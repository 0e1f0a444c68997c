//! Items run: one attempt at a time in each slot, and what is to be recorded of it.

mod attempt;
mod failure_family;
pub mod retry_policy;
pub mod slot_loop;
mod verdict;

pub use self::attempt::FileInput;
pub use self::retry_policy::RetryPlan;
