//! This node among the others of a shared database.

pub mod change_relay;
pub mod heartbeat;
pub mod lease_recovery;
pub mod liveness;
pub mod membership;
pub mod remote_progress;

pub use self::change_relay::Outbox;
pub use self::liveness::Pulse;
