//! HTTP: every URL, who may reach it, and how the process starts and stops.
//!
//! ```text
//! router     every URL on one screen, with its policy       state, extract   what handlers may use
//! gate       what every request passes                      problem, health  refusals for programs, readiness
//! pages      the app, its files, its functions              api, results     programs and downloads
//! live       the live connection                            webhooks         messages about the ends of batches
//! transport  connections, listening                         lock             one process per folder
//! ```
//!
//! No route without a policy. Nothing is decided here: the service does.

pub mod api;
mod assets;
mod extract;
mod gate;
pub mod health;
pub mod live;
mod lock;
mod open_store;
mod start_error;
mod pages;
mod policy;
pub mod problem;
pub mod results;
pub mod router;
mod share;
pub mod state;
mod transport;
#[cfg(test)]
mod tests;
mod webhooks;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use open_store::{open_store_parallel, shown_url};
pub use start_error::StartError;
pub use state::AppState;
pub use transport::outgoing_tls;

use self::gate::{HeaderSignIn, OpenId, Revocations, watch_revocations};
use self::live::{FrameBudget, PermitLimits, Permits, ReadShare, TopicBudget};
use self::lock::{FolderLock, LockError};
use self::open_store::{is_shared, open_store, store_options};
use self::state::{Limits, LiveOptions, Site};
use self::transport::TrustedProxies;
use self::transport::{ConnectionLimits, OpenConnections};
use self::webhooks::{AddressGuard, Sender};
use crate::config::{Config, ConfigError, FolderConfig, PermissionConfig, PermittedConfig};
use crate::engine::{Engine, EngineOptions};
use crate::fault::Loop;
use crate::formats::file_sources::folder::ServerFolder;
use crate::hub::Hub;
use crate::protocol::Role;
use crate::service::{Parts, People, Permitted, Service, TaskPermission, TaskPermissions};
use crate::store::Store;
use crate::tasks::{Redeclared, Registry};

/// Bytes of a posted form.
const FORM_BODY_BYTES_MAX: usize = 64 * 1024;
/// How long answers and sockets may take to end at a stop.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(5);
/// Name of the lock in the data folder.
const LOCK_NAME: &str = "milepost.lock";

/// What a process holds of its data folder, for as long as it lives.
struct Ground {
    _lock: FolderLock,
    /// Where attempts work.
    work: PathBuf,
    /// Whether that folder goes with the process.
    shared: bool,
}

impl Ground {
    /// On SQLite the whole folder is one process's. On a shared database several may share it, and each has a folder of
    /// its own to work in.
    fn take(config: &Config) -> Result<Self, LockError> {
        let data = &config.server.data;
        if is_shared(&config.database_url()) {
            let (lock, work) = FolderLock::fresh_within(&data.join("work"))?;
            return Ok(Self { _lock: lock, work, shared: true });
        }
        Ok(Self { _lock: FolderLock::take(data, LOCK_NAME)?, work: data.join("work"), shared: false })
    }

    /// Nothing runs any more.
    fn clear(self) {
        if self.shared
            && let Err(fault) = std::fs::remove_dir_all(&self.work)
        {
            tracing::debug!(%fault, "the folder of this process stays behind");
        }
    }
}

/// Runs the process from start to stop: store → hub → engine → service → router, and back on SIGTERM or SIGINT.
///
/// # Errors
/// Why it did not start. After the start it ends well.
pub async fn run(config: &Config, tasks: Registry, reread: Reread) -> Result<(), StartError> {
    if config.server.role != Role::All && !is_shared(&config.database_url()) {
        return Err(StartError::Refused(
            "the roles web and worker need several nodes on one database: set database.url to a Postgres, or use the \
             role all"
                .to_owned(),
        ));
    }
    store_options(config)?;
    config.inputs.check()?;
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let ground = Ground::take(config)?;
    let store = open_store(config).await?;
    let ended = run_with(config, (tasks, reread), store.clone(), ground.work.clone(), &mut signals).await;
    store.close().await;
    ground.clear();
    ended
}

async fn run_with(
    config: &Config,
    (tasks, reread): (Registry, Reread),
    store: Store,
    work: PathBuf,
    signals: &mut Signals,
) -> Result<(), StartError> {
    let serves = config.server.role != Role::Worker;
    if serves {
        refuse_open_house(config, &People::new(store.clone())).await?;
    }
    let address = config.server.listen;
    transport::raise_descriptors();
    let listener = transport::bind(address).map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;

    let hub = Hub::new(Duration::from_millis(u64::from(config.live.tick_ms)));
    let tasks = Arc::new(tasks);
    let engine = Engine::start(store.clone(), Arc::clone(&tasks), hub.clone(), engine_options(config, work))
        .await
        .map_err(StartError::Engine)?;
    let service = Service::new(Parts {
        store,
        engine: engine.clone(),
        tasks: Arc::clone(&tasks),
        hub,
        upload_bytes_max: config.limits.upload_bytes_max,
        permissions: permissions(config, &tasks),
        folders: folders(config),
    });
    let mut first = None;
    if serves {
        first = service.people().open_first_link().await.map_err(StartError::People)?;
    }
    let state = state(config, service)?;
    let (stop, tracker) = (state.stop.clone(), state.tracker.clone());
    let routes = if serves {
        engine.feed_windows();
        keep_watching_revocations(&engine, &state);
        keep_making_schedules(&engine, &state);
        keep_sending_webhooks(config, &engine, &state)?;
        router::router(state)
    } else {
        router::probes(state)
    };
    let connections = Arc::new(OpenConnections::new(ConnectionLimits {
        all_max: config.server.connections_max,
        per_address_max: config.server.connections_per_address_max,
        trusted_proxies: config.server.trusted_proxies.clone(),
    }));
    let mut accepting =
        tokio::spawn(transport::accept(listener, routes, connections, stop.clone(), tracker.clone()));
    announce(config, address, first.as_deref());

    let redeclare = || redeclare(&reread, &tasks, &engine);
    let broke = until_stopped(signals, &mut accepting, redeclare).await;
    tracing::info!("stopping: a second signal stops at once");
    stop.cancel();
    tracker.close();
    let calm = async {
        let connections = tokio::time::timeout(CONNECTIONS_END_MAX, tracker.wait());
        let ((), ended) = tokio::join!(engine.drain(), connections);
        if ended.is_err() {
            tracing::warn!(open = tracker.len(), "connections did not end in time");
        }
        if broke.is_none()
            && let Err(error) = accepting.await
        {
            tracing::error!(%error, "the listener ended badly");
        }
    };
    tokio::select! {
        () = calm => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("stopped at once: what ran is taken back at the next start"),
    }
    broke.map_or(Ok(()), Err)
}

/// Reads the tasks of the file anew and declares them.
pub type Reread = Box<dyn Fn(&Registry) -> Result<Redeclared, ConfigError> + Send + Sync>;

/// Waits for a signal to stop, and calls `redeclare` on each hangup; why the process had better stop by itself, if that
/// is so.
async fn until_stopped(
    signals: &mut Signals,
    accepting: &mut JoinHandle<()>,
    redeclare: impl Fn(),
) -> Option<StartError> {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signaled::Stop => return None,
                Signaled::Hangup => redeclare(),
            },
            // Before the stop it only ends by a panic: nobody can reach this process any more.
            ended = &mut *accepting => return Some(StartError::Deaf(ended.err())),
        }
    }
}

/// Takes the tasks as the file declares them now; where it is wrong, all stays as it is.
fn redeclare(reread: &Reread, tasks: &Registry, engine: &Engine) {
    match reread(tasks) {
        Ok(redeclared) => {
            engine.tasks_changed(&redeclared);
            let Redeclared { tasks, added, changed, removed, .. } = &redeclared;
            tracing::info!(tasks, ?added, ?changed, ?removed, "the tasks of the file are declared anew");
            tokio::spawn(redeclared.retire());
        }
        Err(error) => {
            tracing::error!(%error, "the tasks of the file cannot be declared anew: the old ones stay")
        }
    }
}

/// Looks whose login still holds, for as long as the server lives.
fn keep_watching_revocations(engine: &Engine, state: &AppState) {
    let watched = (state.revocations.clone(), state.service.clone(), state.stop.clone());
    engine.keep(Loop::Revocation, move || {
        let (revocations, service, stop) = watched.clone();
        watch_revocations(revocations, service, stop)
    });
}

/// Makes the batches of schedules, for as long as the server lives.
fn keep_making_schedules(engine: &Engine, state: &AppState) {
    let (service, stop) = (state.service.clone(), state.stop.clone());
    engine.keep(Loop::Schedules, move || service.clone().schedule_loop(stop.clone()));
}

/// Sends messages about the ends of batches, for as long as the server lives.
fn keep_sending_webhooks(config: &Config, engine: &Engine, state: &AppState) -> Result<(), StartError> {
    let guard = AddressGuard::new(&config.webhooks.allow);
    let sender = Sender::new(state.service.clone(), guard, state.stop.clone());
    let sender =
        sender.map_err(|reason| StartError::Refused(format!("TLS cannot be used here: {reason}")))?;
    engine.keep(Loop::Webhooks, move || sender.clone().run());
    Ok(())
}

/// Beyond loopback there must be somebody who can sign in, and nobody else who could.
async fn refuse_open_house(config: &Config, people: &People) -> Result<(), StartError> {
    let address = config.server.listen;
    let from_outside = config.sign_in.is_set();
    if address.ip().to_canonical().is_loopback()
        || from_outside
        || people.can_sign_in().await.map_err(StartError::People)?
    {
        return Ok(());
    }
    Err(StartError::Refused(format!(
        "listening on {address}, beyond this machine, needs somebody who can sign in: first run \
         `milepost user add NAME --role admin --password-stdin`"
    )))
}

/// Says where it listens, on standard output. Nobody may be reading any more: that stops nothing.
fn announce(config: &Config, address: SocketAddr, first: Option<&str>) {
    let mut lines = format!("listening on http://{address}\n");
    if let Some(code) = first {
        let base = config.server.base_url.clone().unwrap_or_else(|| format!("http://{address}"));
        lines = format!("{lines}sign in once: {base}/first/{code}\n");
    }
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "nobody reads the standard output");
    }
}

fn engine_options(config: &Config, work: PathBuf) -> EngineOptions {
    EngineOptions {
        node_name: config.server.name.clone().unwrap_or_else(default_node_name),
        role: config.server.role,
        slots: config.server.slots,
        lease_seconds: config.engine.lease_seconds,
        reclaim_seconds: config.engine.reclaim_seconds,
        drain_seconds: config.engine.drain_seconds,
        attempts_max: config.engine.attempts_max,
        retention_days: config.engine.retention_days,
        items_per_batch_max: config.limits.items_per_batch_max,
        upload_idle_seconds: config.limits.upload_idle_seconds,
        files_bytes_per_batch_max: config.limits.files_bytes_per_batch_max,
        work: std::path::absolute(&work).unwrap_or(work),
    }
}

/// The folders whose files may be items; whatever becomes of the working folder.
fn folders(config: &Config) -> Vec<ServerFolder> {
    let folder = |folder: &FolderConfig| ServerFolder {
        name: folder.name.clone(),
        path: std::path::absolute(&folder.path).unwrap_or_else(|_unknown| folder.path.clone()),
    };
    config.inputs.folders.iter().map(folder).collect()
}

/// Who may run and see a task, as the file says; a table for a task that there is not is told in the log.
fn permissions(config: &Config, tasks: &Registry) -> TaskPermissions {
    let permitted = |list: &Vec<PermittedConfig>| {
        let one = |entry: &PermittedConfig| match entry {
            PermittedConfig::Role(role) => Permitted::Role(*role),
            PermittedConfig::Name(name) => Permitted::Name(name.clone()),
        };
        list.iter().map(one).collect()
    };
    let permission = |(task, said): (&String, &PermissionConfig)| {
        if tasks.info(task).is_none() {
            tracing::warn!(task, "permissions are said of a task that there is not");
        }
        let run = said.run.as_ref().map(permitted);
        (task.clone(), TaskPermission { run, see: said.see.as_ref().map(permitted) })
    };
    TaskPermissions(config.permissions.iter().map(permission).collect())
}

/// The host's name and a short suffix.
fn default_node_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "node".to_owned());
    format!("{host}-{}", &crate::service::secret::fresh()[..4])
}

fn state(config: &Config, service: Service) -> Result<AppState, StartError> {
    let live = &config.live;
    let base_url = config.server.base_url.as_deref();
    // Nobody signs in on a node that only works.
    let openid = match config.server.role {
        Role::All | Role::Web => {
            OpenId::new(&config.sign_in.openid, base_url).map_err(StartError::Refused)?
        }
        Role::Worker => None,
    };
    Ok(AppState {
        service,
        limits: Limits {
            upload_bytes_max: config.limits.upload_bytes_max,
            json_body_bytes_max: config.limits.json_body_bytes_max,
            form_body_bytes_max: FORM_BODY_BYTES_MAX,
        },
        live: LiveOptions {
            ping_ms: u64::from(live.ping_seconds) * 1_000,
            tick_ms: u64::from(live.tick_ms),
            build: assets::addresses().build.into(),
            message_bytes_max: live.message_bytes_max,
        },
        places: Arc::new(Permits::new(PermitLimits {
            all_max: live.connections_max,
            per_person_max: live.connections_per_user_max,
            per_address_max: live.connections_per_address_max,
        })),
        revocations: Revocations::default(),
        downloads: Arc::new(Permits::new(PermitLimits {
            all_max: results::DOWNLOADS_MAX,
            per_person_max: results::DOWNLOADS_PER_PERSON_MAX,
            per_address_max: Some(usize::MAX),
        })),
        reads: ReadShare::new(config.database.readers),
        frames: FrameBudget::default(),
        topics: TopicBudget::default(),
        site: Arc::new(Site::new(base_url)),
        proxies: Arc::new(TrustedProxies::new(config.server.trusted_proxies.clone())),
        header_sign_in: HeaderSignIn::new(&config.sign_in.header).map(Arc::new),
        openid: openid.map(Arc::new),
        login_rate: Arc::default(),
        page_faults: Arc::default(),
        readiness: Arc::default(),
        stop: CancellationToken::new(),
        tracker: TaskTracker::new(),
    })
}

/// What a signal asks for.
enum Signaled {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Hangup,
}

/// The signals that are listened to.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Signaled {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signaled::Stop,
            _ = self.interrupt.recv() => Signaled::Stop,
            _ = self.hangup.recv() => Signaled::Hangup,
        }
    }

    /// The next one that asks for a stop. Cancel-safe.
    async fn stop(&mut self) {
        while let Signaled::Hangup = self.next().await {}
    }
}
