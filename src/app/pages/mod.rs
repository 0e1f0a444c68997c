//! The screens: one file or folder each.
//!
//! The server's HTML is complete; what is live starts from the same rows.

mod batch;
mod batches;
mod bulk_acts;
mod item;
mod item_log;
mod item_ways;
mod new_batch;
mod node_slots;
mod nodes;
mod not_found;
mod shared;
mod title;

pub use batch::{BatchPage, COURSE_TAB, TABS, tab_address};
pub use batches::BatchesPage;
pub use item::ItemPage;
pub use new_batch::{CsvDraft, LOOK_PATH, NewBatchPage};
pub use nodes::NodesPage;
pub use not_found::{NotFoundPage, refused_page};
pub use shared::SharedPage;
pub use title::titled;
