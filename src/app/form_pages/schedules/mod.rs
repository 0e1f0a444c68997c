//! Schedules: what is made again and again, when next, and how the last one went. All of them, or one whole.
//!
//! ```text
//! list   the page      entry   one schedule      form   a new one
//! ```

mod entry;
mod form;
mod list;

pub use self::list::SchedulesPage;
