//! Acts on a batch: at once, in steps, and the batch that follows.

mod act_rows;
mod act_steps;
mod follow_up;
mod retry;
mod verbs;

#[cfg(test)]
pub use self::act_rows::STEP_ROWS;
pub use self::follow_up::Followed;
