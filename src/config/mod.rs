//! Typed settings: defaults, then `milepost.toml`, then `MILEPOST_<TABLE>_<KEY>`, then flags.
//!
//! A setting that is unknown, of the wrong type or out of range stops the start, and the message names the place and
//! what was expected.

mod error;
mod fields;
mod files;
mod inputs;
mod people;
mod raw;
mod read;
mod restrictions;
mod sign_in;
mod table;
mod tasks;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use error::ConfigError;
pub use files::{AddressStyle, FilesConfig, FilesUrl};
pub use inputs::{FolderConfig, InputsConfig};
pub use people::{PermissionConfig, PermittedConfig, QuotaConfig, QuotasConfig};
pub use read::Sources;
pub use restrictions::{SecretConfig, TaskLimitsConfig};
pub use sign_in::{GroupRoles, HeaderConfig, OpenIdConfig, SignInConfig};
pub use tasks::{RunConfig, TaskConfig};

use crate::protocol::Role;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[files]`
    pub files: FilesConfig,
    /// `[engine]`
    pub engine: EngineConfig,
    /// `[live]`
    pub live: LiveConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[webhooks]`
    pub webhooks: WebhooksConfig,
    /// `[sign_in]`
    pub sign_in: SignInConfig,
    /// `[inputs]`
    pub inputs: InputsConfig,
    /// `[quotas]`
    pub quotas: QuotasConfig,
    /// `[permissions.TASK]`, by the name of the task.
    pub permissions: BTreeMap<String, PermissionConfig>,
    /// `[[task]]`, in their order.
    pub tasks: Vec<TaskConfig>,
}

/// `[server]`: where the process listens and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Address and port to listen on; port 0 = any free one. `127.0.0.1:3000`.
    pub listen: SocketAddr,
    /// Where people reach it from outside, `https://host` or `http://host:port`, without a path. By default none: the
    /// `Host` of each request. With https, cookies are `Secure`.
    pub base_url: Option<String>,
    /// `all`, `web` or `worker`. `all`; the others need Postgres.
    pub role: Role,
    /// Items at once, 1 to 1,024. By default the number of processors.
    pub slots: u32,
    /// Name of the node, 1 to 64 characters. By default the host's name and a short suffix.
    pub name: Option<String>,
    /// Folder of the database, files and work. `data`.
    pub data: PathBuf,
    /// Addresses of proxies whose `X-Forwarded-For` is believed. None.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections at once, live ones not counted, 16 to 1,000,000; one more closes the one that has waited for a request
    /// for the longest. 12,000.
    pub connections_max: usize,
    /// Of those from one address, 1 to 1,000,000; one more is closed. By default a quarter of all, and on loopback and
    /// from trusted proxies as many as there are.
    pub connections_per_address_max: Option<usize>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3_000)),
            base_url: None,
            role: Role::All,
            slots: u32::try_from(processors).unwrap_or(1).clamp(1, 1_024),
            name: None,
            data: PathBuf::from("data"),
            trusted_proxies: Vec::new(),
            connections_max: 12_000,
            connections_per_address_max: None,
        }
    }
}

/// `[database]`: where the tape is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. By default `milepost.db` in the data folder.
    pub url: Option<String>,
    /// Connections that read, 1 to 64. 4.
    pub readers: u32,
    /// Connections that write, 1 to 64, on Postgres; on SQLite there is one. 8.
    pub writers: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, readers: 4, writers: 8 }
    }
}

/// `[engine]`: how work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// A node that has not beaten for so many seconds is lost, 1 to 3,600. 30.
    pub lease_seconds: u32,
    /// Seconds between two looks for lost nodes, 1 to 600. 5.
    pub reclaim_seconds: u32,
    /// Seconds that running items get on a stop, 0 to 3,600. 30.
    pub drain_seconds: u32,
    /// Attempts per item where a batch says nothing, 1 to 100. 3.
    pub attempts_max: u32,
    /// Days after which finished batches are deleted, 1 to 36,500. 30.
    pub retention_days: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { lease_seconds: 30, reclaim_seconds: 5, drain_seconds: 30, attempts_max: 3, retention_days: 30 }
    }
}

/// `[live]`: how the live connections are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// Seconds between two pings, 1 to 300. 20.
    pub ping_seconds: u32,
    /// Milliseconds between two updates of one topic under load, 10 to 10,000. 100. They are less while sending costs little.
    pub tick_ms: u32,
    /// Live connections at once, 1 to 1,000,000. 10,000.
    pub connections_max: usize,
    /// Live connections of one caller at once, 1 to 1,000,000. 100.
    pub connections_per_user_max: usize,
    /// Live connections from one address at once, 1 to 1,000,000. By default 1,000, and on loopback as many as there
    /// are.
    pub connections_per_address_max: Option<usize>,
    /// Bytes of one message from a client, 256 to 1,048,576. 8,192.
    pub message_bytes_max: usize,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            ping_seconds: 20,
            tick_ms: 100,
            connections_max: 10_000,
            connections_per_user_max: 100,
            connections_per_address_max: None,
            message_bytes_max: crate::protocol::limits::CLIENT_MESSAGE_BYTES_MAX,
        }
    }
}

/// `[limits]`: how much may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes of one body that carries items, 1,024 to 2^53. 17,179,869,184 (16 GiB).
    pub upload_bytes_max: u64,
    /// Items of one batch, 1 to 1,000,000,000. 100,000,000.
    pub items_per_batch_max: u64,
    /// Bytes of a JSON body, held in memory, 1,024 to 1,073,741,824. 16,777,216 (16 MiB).
    pub json_body_bytes_max: usize,
    /// Bytes of all files that an item leaves, where its task does not say otherwise, 0 to 2^50. 17,179,869,184 (16 GiB).
    pub files_bytes_per_item_max: u64,
    /// Bytes of all files that the items of a batch leave, 0 to 2^53; an item whose files go beyond fails.
    /// 1,099,511,627,776 (1 TiB).
    pub files_bytes_per_batch_max: u64,
    /// Seconds after which an upload that says how much is to come is sealed where nothing does, and what came is run: 0 to
    /// 604,800, 0 for never. 900.
    pub upload_idle_seconds: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            upload_bytes_max: 16 * 1024 * 1024 * 1024,
            items_per_batch_max: 100_000_000,
            json_body_bytes_max: 16 * 1024 * 1024,
            files_bytes_per_item_max: 16 * 1024 * 1024 * 1024,
            files_bytes_per_batch_max: 1024 * 1024 * 1024 * 1024,
            upload_idle_seconds: 900,
        }
    }
}

/// `[webhooks]`: where messages about the ends of batches may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// What may be reached beyond public addresses: addresses, networks like `10.0.0.0/8`, and names of hosts. None.
    pub allow: Vec<String>,
}

impl Config {
    /// Where the database is, in full.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database
            .url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.server.data.join("milepost.db").display()))
    }
}
