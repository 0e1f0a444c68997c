//! Schedules: saved batches that are made again and again.
//!
//! ```text
//! calendar  pattern and zone -> when       fields   what is wrong with a pattern     day_window  parts of a day
//! save      made, changed                  act      looked at, paused, asked to run, removed
//! saved     the body of the batch, read    owner    as whom a batch is made
//! run       one batch                      rounds   the loop that makes what is due
//! addresses of webhooks, kept from others  wire     a schedule as its readers see it
//! ```
//!
//! A schedule that is due makes one batch for each time at which it was due: on all nodes together, over restarts and
//! kills. Of several times that passed while no server ran the last one counts. Whether its owner may is asked at each
//! run.

mod act;
mod addresses;
mod calendar;
mod day_window;
mod fields;
mod owner;
mod rounds;
mod run;
mod save;
mod saved;
mod wire;

pub(super) use self::addresses::{MASK, without_addresses};

pub(super) use self::rounds::ScheduleWake;
pub use self::save::{SavedSchedule, ScheduleOnce};
