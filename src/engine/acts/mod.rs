//! What people ask of a batch: at once, in steps, and what follows its end.

pub mod act_steps;
mod follow_up;
mod verbs;
