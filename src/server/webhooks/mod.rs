//! Webhooks on their way out: what is due is claimed, signed, sent and recorded, on every node that serves.
//!
//! ```text
//! sender   what is due, some at a time        post     one signed request, and what its answer means
//! guard    which addresses may be reached     retries  when to try again
//! ```
//!
//! Delivery is at least once: a process that stops between an answer and its record sends again, under the same
//! `webhook-id`. Nothing here reads a batch: its message was written when it ended.

mod guard;
mod post;
mod retries;
mod sender;

pub use self::guard::AddressGuard;
pub use self::sender::Sender;
