//! Connections: accepted within bounds, each with its address and its least rate.

mod client_address;
mod connections;
mod held_body;
mod listen;
mod outgoing_tls;
pub mod paced;

pub use self::client_address::{TrustedProxies, network};
pub use self::connections::{ConnectionLimits, OPEN_CONNECTIONS, OpenConnection, OpenConnections};
pub use self::held_body::HeldBody;
pub use self::listen::{accept, bind, raise_descriptors};
pub use self::outgoing_tls::outgoing_tls;
pub use self::paced::{PacedStream, TransferDebt};
