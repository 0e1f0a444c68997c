//! What the slots have done, collected into groups, committed, and then published.

mod audit_queue;
mod recorder;
mod report_collector;

pub use self::audit_queue::{AuditQueue, audit_loop};
#[cfg(test)]
pub use self::recorder::catch_up;
pub use self::recorder::{AfterCommit, Recorder};
#[cfg(test)]
pub use self::report_collector::{Group, ReportCollector};
