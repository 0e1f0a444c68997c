//! Connections: accepted within bounds, each with its address, its least rate, and what one message may come in.

mod client_address;
mod connections;
mod fragment_meter;
mod held_body;
mod listen;
mod outgoing_tls;
pub mod paced;

pub use self::client_address::{TrustedProxies, network};
pub use self::connections::{ConnectionLimits, OPEN_CONNECTIONS, OpenConnection, OpenConnections};
pub use self::fragment_meter::{FragmentMeter, TooManyFragments};
pub use self::held_body::HeldBody;
pub use self::listen::{accept, bind, raise_descriptors};
pub use self::outgoing_tls::outgoing_tls;
pub use self::paced::{PacedStream, TransferDebt};
