//! Rows of tables: the only place where column names have types. No logic and no relation; entities never leave the store.

mod access;
pub mod attempts;
pub mod batches;
pub mod blocks;
pub mod families;
pub mod files;
pub mod leases;
pub mod nodes;
pub mod outcomes;
pub mod pulse;
pub mod requeue;
pub mod schedules;
pub mod strip;
mod webhooks;

pub use self::access::{audit_log, logins, people};
pub use self::files::uploads;
pub use self::webhooks::{deliveries, delivery_attempts, webhook_secrets};
