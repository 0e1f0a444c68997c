//! What the slots have done, committed in groups, and then told.

pub mod audit;
mod estimate;
mod publish;
pub mod recorder;

pub use self::audit::Audits;
pub use self::estimate::Estimates;
#[cfg(test)]
pub use self::recorder::catch_up;
