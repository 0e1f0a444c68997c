//! This node among the others of a shared database: its heartbeat, what it takes back from the gone, and what it relays.

mod change_relay;
mod heartbeat;
mod hints;
mod lease_recovery;
mod membership;
mod remote_progress;
mod watchdog;

pub use self::change_relay::{ChangeRelay, Outbox};
pub use self::heartbeat::Heartbeat;
pub use self::lease_recovery::LeaseRecovery;
pub use self::membership::{Membership, becomes};
pub use self::remote_progress::RemoteProgress;
pub use self::watchdog::{clock_loop, start_watchdog, turn_loop};
