//! Leases in, chunks out to the slots.
//!
//! `claim_loop` asks the store for leases as far as `demand` says; `dispatcher` holds them (`lease`) and hands `chunk`s to
//! the slots of `slot_table`. What the slots have done leaves as reports (`lease_report`, `report_collector`).

mod chunk;
pub mod claim_loop;
mod demand;
mod dispatcher;
mod lease;
mod lease_report;
mod report_collector;
mod slot_table;

pub use self::chunk::{Chunk, Done, Load, Piece};
#[cfg(test)]
pub use self::claim_loop::prepare;
pub use self::dispatcher::Desk;
#[cfg(test)]
pub use self::lease::Lease;
pub use self::lease::{Course, REFRESH};
pub use self::report_collector::Group;
pub use self::slot_table::{Board, Why};
