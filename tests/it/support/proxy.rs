//! A network that does harm: TCP forwarded as a plan says, connection by connection.
//!
//! Used by the tests of bad networks. Bytes are late, few or cut off, never changed and never out of order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bounds::Bounds;

/// What a bad line does to every piece it delivers.
const DELAY: Duration = Duration::from_millis(300);
/// Bytes of a slow line in each [`SLICE`]: 20 kB a second.
const SLICE_BYTES: usize = 2_000;
const SLICE: Duration = Duration::from_millis(100);
/// How long a line that is to be cut inside a frame waits for one.
const FRAME_MAX: Duration = Duration::from_secs(1);

/// How bytes come to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    Plain,
    OneByte,
    Late,
    Slow,
    /// Taken, and nothing is forwarded.
    BlackHole,
    /// Reset at once.
    Refused,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    Fin,
    Reset,
    /// Reset after some bytes of a frame.
    InFrame,
}

/// What becomes of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    pub manner: Manner,
    pub cut: Cut,
    pub lives: Duration,
}

/// Says what becomes of the n-th connection.
pub type Plan = Box<dyn Fn(u64) -> Fate + Send + Sync>;

/// Nothing bad.
pub fn calm() -> Plan {
    Box::new(|_connection| Fate { manner: Manner::Plain, cut: Cut::Fin, lives: Duration::from_secs(86_400) })
}

/// Every connection is cut off soon; the same seed gives the same plan.
pub fn bad(seed: u64) -> Plan {
    Box::new(move |connection| {
        let mut random = StdRng::seed_from_u64(seed ^ connection.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let manner = match random.random_range(0..10) {
            0..=4 => Manner::Plain,
            5 => Manner::OneByte,
            6 => Manner::Late,
            7 => Manner::Slow,
            8 => Manner::BlackHole,
            _ => Manner::Refused,
        };
        let cut = match random.random_range(0..4) {
            0 => Cut::Fin,
            1 => Cut::Reset,
            _ => Cut::InFrame,
        };
        Fate { manner, cut, lives: Duration::from_millis(random.random_range(50..1_200)) }
    })
}

/// The proxy. Dropping it takes no new connections.
pub struct Proxy {
    pub address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: Mutex<String>,
    plan: Mutex<Plan>,
    /// True: what is established forwards nothing more, and is not cut.
    frozen: watch::Sender<bool>,
    tally: Mutex<BTreeMap<String, u64>>,
}

impl Proxy {
    /// Forwards to `target`, host and port.
    pub async fn start(target: &str, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            plan: Mutex::new(plan),
            frozen: watch::Sender::new(false),
            tally: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Forwards new connections to another server.
    pub fn aim(&self, target: &str) {
        target.clone_into(&mut self.shared.target.lock().unwrap());
    }

    /// Does so with new connections.
    pub fn follow(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = plan;
    }

    /// From now on no byte passes and no connection ends: a peer that has vanished.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// How many connections had which fate.
    pub fn tally(&self) -> BTreeMap<String, u64> {
        self.shared.tally.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    for connection in 0.. {
        let (client, _peer) = listener.accept().await.unwrap();
        let fate = (shared.plan.lock().unwrap())(connection);
        tokio::spawn(carry(client, fate, Arc::clone(&shared)));
    }
}

async fn carry(mut client: TcpStream, fate: Fate, shared: Arc<Shared>) {
    let cut_at = Instant::now() + fate.lives;
    let count = |what: String| *shared.tally.lock().unwrap().entry(what).or_default() += 1;
    count(format!("{:?}", fate.manner));
    match fate.manner {
        Manner::Refused => return client.set_zero_linger().unwrap(),
        Manner::BlackHole => {
            sleep_until(cut_at).await;
            return;
        }
        Manner::Plain | Manner::OneByte | Manner::Late | Manner::Slow => {}
    }
    let target = shared.target.lock().unwrap().clone();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    for socket in [&client, &server] {
        socket.set_nodelay(true).unwrap();
    }
    let mut frozen = shared.frozen.subscribe();
    let is_cut = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        tokio::select! {
            is_cut = down(&mut from_server, &mut to_client, fate, cut_at) => Some(is_cut),
            () = up(&mut from_client, &mut to_server) => Some(false),
            _vanished = frozen.wait_for(|frozen| *frozen) => None,
        }
    };
    let Some(is_cut) = is_cut else { return std::future::pending().await };
    if is_cut {
        count(format!("{:?} cut", fate.cut));
    }
    match (is_cut, fate.cut) {
        (true, Cut::Reset | Cut::InFrame) => {
            client.set_zero_linger().unwrap();
            server.set_zero_linger().unwrap();
        }
        _ => part(client, server).await,
    }
}

/// Ends both sides in order: unread bytes would turn the end into a reset.
async fn part(mut client: TcpStream, mut server: TcpStream) {
    for socket in [&mut client, &mut server] {
        // Where it has gone already there is nothing to end.
        let _gone = socket.shutdown().await;
    }
    let mut rest = vec![0; 64 * 1024];
    for socket in [&mut client, &mut server] {
        let emptied = async { while socket.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
        let _slow = timeout(Duration::from_secs(1), emptied).await;
    }
}

async fn up(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Forwards to the client until the connection ends, or (true) is to be cut.
async fn down(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, fate: Fate, cut_at: Instant) -> bool {
    let in_frame = fate.cut == Cut::InFrame;
    let gives_up_at = if in_frame { cut_at + FRAME_MAX } else { cut_at };
    let mut bounds = Bounds::default();
    let mut buffer = vec![0; if fate.manner == Manner::Slow { SLICE_BYTES } else { 64 * 1024 }];
    loop {
        let count = tokio::select! {
            () = sleep_until(gives_up_at) => return true,
            read = from.read(&mut buffer) => match read {
                Ok(count @ 1..) => count,
                Ok(_) | Err(_) => return false,
            },
        };
        match fate.manner {
            Manner::Late => sleep(DELAY).await,
            Manner::Slow => sleep(SLICE).await,
            Manner::Plain | Manner::OneByte | Manner::BlackHole | Manner::Refused => {}
        }
        let inside = bounds.pass(&buffer[..count]).filter(|_| in_frame && Instant::now() >= cut_at);
        let piece = &buffer[..inside.unwrap_or(count)];
        for bytes in piece.chunks(if fate.manner == Manner::OneByte { 1 } else { piece.len() }) {
            if to.write_all(bytes).await.is_err() {
                return false;
            }
        }
        if inside.is_some() {
            return true;
        }
    }
}
