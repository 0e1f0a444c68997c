//! What work is: the trait that a task implements, the registry, and the tasks that come with Milepost.
//!
//! ```text
//! task      one trait, typed parameters     registry  name → task, built once at start
//! context   what a running item may use     checksum, image, csv_check, demo   one file each
//! ```
//!
//! Called by engine (runs items) and service (lists tasks, checks parameters). Invariant: a task sees neither
//! the database nor a socket: an item comes in, a result goes out. Deliberately knows nothing of leases or retries.

pub mod context;
pub mod registry;
pub mod task;

pub use context::{LogLevel, TaskContext, WorkCell};
pub use registry::Registry;
pub use task::{Again, Item, ItemInput, Prepared, Task, TaskError};
