//! Where the parts play: settings, a data folder to start from, and servers on copies of it.
//!
//! Each server starts from the same data, in a folder of its own that goes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::client::Endpoint;
use crate::codec;
use crate::crowd::{After, Crowd, CrowdPlan, Group, Noting, WATCHER};
use crate::server::{Part, Server, make_token};
use crate::{Fault, Settings};

/// Items at once: two for a batch that ticks, the rest for single items beside it.
const SLOTS: u32 = 4;
/// Bounds that are not to be met; `tick_ms` comes beside them. A server refuses a setting that it does not know.
const UNBOUNDED: [(&str, &str); 4] = [
    ("MILEPOST_SERVER_CONNECTIONS_MAX", "100000"),
    ("MILEPOST_LIVE_CONNECTIONS_MAX", "100000"),
    ("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "100000"),
    ("MILEPOST_LIMITS_ITEMS_PER_BATCH_MAX", "1000000000"),
];

/// How a server is to run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Milliseconds between two updates of a topic.
    pub tick_ms: u64,
    /// The one core that it may use; none: all.
    pub core: Option<usize>,
    /// Where it listens.
    pub listen: &'a str,
}

impl Run<'_> {
    /// As a server runs by itself.
    pub const DEFAULT: Self = Self { tick_ms: 100, core: None, listen: "127.0.0.1:0" };
}

/// What all parts share.
pub struct Stage {
    /// Of the run.
    pub settings: Settings,
    seed: TempDir,
    /// Of as many callers as BENCH_CALLERS says.
    pub tokens: Arc<[String]>,
}

impl Stage {
    /// Makes the data that all servers start from.
    pub async fn set(settings: Settings) -> Result<Self, Fault> {
        let seed = tempfile::tempdir_in(&settings.folder)?;
        let mut tokens = Vec::with_capacity(settings.callers);
        for number in 0..settings.callers {
            let name = format!("bench-{number}");
            tokens.push(make_token(&settings.binary, seed.path(), Part::ALONE, &name).await?);
        }
        Ok(Self { settings, seed, tokens: tokens.into() })
    }

    /// A folder with the data that all servers start from.
    pub fn folder(&self) -> Result<TempDir, Fault> {
        let folder = tempfile::tempdir_in(&self.settings.folder)?;
        copy(&self.seed.path().join("data"), &folder.path().join("data"))?;
        Ok(folder)
    }

    /// Starts a server on the data in `folder`.
    pub async fn start(&self, folder: &Path, run: Run<'_>) -> Result<Server, Fault> {
        let tick_ms = run.tick_ms.to_string();
        let mut settings = UNBOUNDED.to_vec();
        settings.push(("MILEPOST_LIVE_TICK_MS", &tick_ms));
        let part = Part {
            slots: SLOTS,
            listen: run.listen,
            settings: &settings,
            core: run.core,
            token: self.tokens.first().map(String::as_str),
            ..Part::ALONE
        };
        let server = Server::start(&self.settings.binary, folder, part).await?;
        codec::learn_build(&server.base, &server.token).await?;
        Ok(server)
    }

    /// The way into a server, with the codec of this run.
    pub fn endpoint(&self, address: SocketAddr) -> Endpoint {
        Endpoint { address, codec: self.settings.codec }
    }

    /// Connects `watchers` to `watched`, and `idle` to a batch that has ended.
    pub async fn gather(
        &self,
        address: SocketAddr,
        watchers: (usize, &str),
        idle: (usize, &str),
        core: Option<usize>,
    ) -> Result<Crowd, Fault> {
        let group =
            |name, (count, topic): (usize, &str)| Group { name, count, topics: vec![topic.to_owned()] };
        let groups = vec![group(WATCHER, watchers), group("idle", idle)];
        let (endpoint, tokens) = (self.endpoint(address), Arc::clone(&self.tokens));
        let (after, noting) = (After::Stay, Noting::Counts);
        Crowd::gather(CrowdPlan { endpoint, tokens, groups, core, after, noting }).await
    }

    /// Connects `count` that watch `topics`, and note what `noting` says of each update.
    pub async fn watch(
        &self,
        address: SocketAddr,
        count: usize,
        topics: &[String],
        noting: Noting,
    ) -> Result<Crowd, Fault> {
        let groups = vec![Group { name: WATCHER, count, topics: topics.to_vec() }];
        let (endpoint, tokens) = (self.endpoint(address), Arc::clone(&self.tokens));
        Crowd::gather(CrowdPlan { endpoint, tokens, groups, core: None, after: After::Stay, noting }).await
    }
}

/// Where a server listens.
pub fn address(server: &Server) -> Result<SocketAddr, Fault> {
    Ok(server.base.trim_start_matches("http://").parse()?)
}

fn copy(from: &Path, to: &PathBuf) -> Result<(), Fault> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
