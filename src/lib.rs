//! Milepost runs a task over many items and shows, live, how far it has come.

pub mod protocol;
