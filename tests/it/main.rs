//! What a program sees from outside: the real executable, over the wire, on a real database file.
//!
//! Owns nothing but the list. Run by `cargo test`. Invariant: tests know SURFACE.md, not the code. Deliberately one
//! binary: linking once is what takes long.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acts;
mod api_bodies;
mod api_forms;
mod api_once;
mod api_read;
mod api_refuse;
mod api_results;
#[path = "../cluster/mod.rs"]
mod cluster;
mod commands;
mod crash;
mod documented;
#[cfg(feature = "failpoints")]
mod faults;
mod golden;
mod live;
mod live_access;
mod live_cuts;
mod live_hostile;
mod live_limits;
mod live_slow;
mod live_storm;
mod live_vanished;
mod nodes;
mod pages;
mod support;
mod tidy;
mod watch;
