//! Messages about the ends of batches: written with the end, claimed by whoever sends, and the log of their attempts.
//!
//! ```text
//! announce   the row of a message, in the transaction that ends a batch     deliveries  lists, claims, what came of them
//! secrets    what the messages of each person are signed with
//! ```
//!
//! A message is delivered at least once: it is sent, and then recorded. Who claims one keeps others from it for a while.

mod announce;
mod deliveries;
mod secrets;

pub use self::announce::announce;
pub use self::deliveries::{ClaimedDelivery, DeliveryFilter, DeliveryList, DeliveryOutcome, Next};
pub use self::secrets::WebhookSecretRecord;
