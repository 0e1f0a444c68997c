//! The schema, one file per step, in order.
//!
//! Stub.
