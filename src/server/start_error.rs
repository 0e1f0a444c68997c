//! Why the process did not start, or could not go on.

use std::net::SocketAddr;

use super::lock::LockError;
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::protocol::ApiError;
use crate::store::StoreError;

/// Why the process did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder is not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be opened.
    #[error("cannot open the database {url}")]
    Database {
        /// Which one.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// The file store cannot be used.
    #[error("cannot use the file store of files.url")]
    Files(#[source] StoreError),
    /// The engine did not start.
    #[error("the engine did not start")]
    Engine(#[source] EngineError),
    /// The address is not to be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
    /// A setting that only now shows that it cannot be used.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// A configuration that is refused; what to do instead.
    #[error("{0}")]
    Refused(String),
    /// It had started, and then no connection was taken any more.
    #[error("no connection is taken any more")]
    Deaf(#[source] Option<tokio::task::JoinError>),
    /// Who may come in cannot be read.
    #[error("cannot read who may come in: {0}")]
    People(ApiError),
}
