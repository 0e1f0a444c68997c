//! What people ask of a batch, and what comes due: acts at once, in steps and over many batches, the batches that follow others, schedules,
//! and the deletion of what is too old.

mod act_steps;
mod bulk_acts;
mod follow_ups;
mod idle_batches;
mod on_batch;
mod retention;
mod scheduler;

pub use self::act_steps::StepLoop;
pub use self::bulk_acts::BulkActs;
pub use self::follow_ups::FollowUps;
pub use self::on_batch::{ActWakes, Acts, not_filling, to_its_end};
pub use self::retention::{Retention, disk_loop};
pub use self::scheduler::schedule_loop;
