//! Leases in, chunks out to the slots.
//!
//! `claim_loop` asks the store for leases as far as `demand` says and has their batches prepared (`prepared_batch`);
//! `dispatcher` holds the leases (`lease_table`, `lease`, `lease_report`) and hands chunks to the slots (`slot_table`);
//! `input_loader` reads inputs ahead of them.

mod claim_loop;
mod demand;
mod dispatcher;
mod input_loader;
mod lease;
mod lease_report;
mod lease_table;
mod prepared_batch;
mod slot_table;

pub use self::claim_loop::ClaimLoop;
pub use self::dispatcher::Dispatcher;
pub use self::input_loader::InputLoader;
#[cfg(test)]
pub use self::lease::Lease;
pub use self::lease::{Disposition, REFRESH};
pub use self::lease_table::LeaseTable;
pub use self::prepared_batch::Preparer;
pub use self::slot_table::Slot;
