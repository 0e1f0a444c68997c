//! The live connection: one per tab or program, for everything it looks at.
//!
//! ```text
//! admission        who may come in, and how many at once      handshake      the upgrade, and which codec
//! reader, writer   one socket: messages in, frames out         socket         its connection, from welcome to close
//! events, poll     the same frames without a WebSocket         subscriptions  topics read and answered
//! ping_schedule    when pings are due                          read_share     a fair share of the database
//! frame_budget     bytes that wait to be taken                 topic_budget   bytes that are kept for subscribers
//! ```
//!
//! The session is the hub's, the answers are the service's. Nothing waits for a slow client but its own task. A caller who may
//! no longer come in is cut when callers are next looked up, at least every quarter of a second while the database answers.

mod admission;
mod events;
mod frame_budget;
mod handshake;
mod ping_schedule;
mod poll;
mod read_share;
mod reader;
mod socket;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topic_budget;
mod writer;

use std::time::Duration;

pub use self::admission::{Full, Permit, PermitLimits, Permits};
pub use events::events;
pub use frame_budget::FrameBudget;
pub use poll::frames;
pub use read_share::ReadShare;
pub use socket::live;
pub use topic_budget::TopicBudget;

use crate::protocol::limits::{CLIENT_MESSAGES_PER_SECOND_MAX, SUBSCRIPTIONS_MAX, WINDOW_ITEMS_MAX};
use crate::protocol::{ServerFrame, WelcomeLimits};
use crate::server::state::AppState;

/// Least of the longest hint when to come back.
const HINT_MS_MIN: u64 = 3_000;
/// Most of it.
const HINT_MS_MAX: u64 = 30_000;

/// The first frame of a connection.
fn welcome(state: &AppState) -> ServerFrame {
    ServerFrame::Welcome {
        server: concat!("milepost ", env!("CARGO_PKG_VERSION")).to_owned(),
        ping_ms: state.live.ping_ms,
        build: state.live.build.to_string(),
        limits: WelcomeLimits {
            message_bytes_max: state.live.message_bytes_max as u64,
            subscriptions_max: SUBSCRIPTIONS_MAX as u64,
            messages_per_second_max: u64::from(CLIENT_MESSAGES_PER_SECOND_MAX),
            window_items_max: WINDOW_ITEMS_MAX,
            tick_ms: state.live.tick_ms,
        },
    }
}

/// When one of `connections` is to come back after a stop: a millisecond for each of them, drawn evenly, so that they
/// do not all come at once.
fn hint(connections: usize) -> Duration {
    let longest = u64::try_from(connections).unwrap_or(u64::MAX).clamp(HINT_MS_MIN, HINT_MS_MAX);
    Duration::from_millis(rand::random_range(0..=longest))
}
