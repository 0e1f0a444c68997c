//! The screens: one file or folder each.
//!
//! The server's HTML is complete; what is live starts from the same rows.

mod batch;
mod batch_row;
mod batches;
mod first;
mod item;
mod item_log;
mod item_ways;
mod login;
mod new_batch;
mod nodes;
mod not_found;
mod schedules;
mod title;
mod webhooks;

pub use batch::BatchPage;
pub use batches::BatchesPage;
pub use first::FirstPage;
pub use item::ItemPage;
pub use login::LoginPage;
pub use new_batch::NewBatchPage;
pub use nodes::NodesPage;
pub use not_found::NotFoundPage;
pub use schedules::SchedulesPage;
pub use webhooks::{DeliveryDetailPage, WebhooksPage};
