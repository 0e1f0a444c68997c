//! Rows of tables, one file per table: the only place where column names have types.
//!
//! Owns the mapping of rows. Called by the other files of the store. Invariant: entities never leave the store.
//! Deliberately holds no logic and no relation.

pub mod attempts;
pub mod batches;
pub mod blocks;
pub mod families;
pub mod files;
pub mod leases;
pub mod logins;
pub mod nodes;
pub mod outcomes;
pub mod people;
pub mod requeue;
pub mod strip;
pub mod tokens;
