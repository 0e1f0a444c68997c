//! The accept loop: connections in, bounded in number and in time, and out again at the stop.
//!
//! A connection that says nothing is closed; a stop lets the answers under way end and takes no new ones.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::connections::OPEN_CONNECTIONS;
use super::connections::{OpenConnection, OpenConnections};
use super::held_body::HeldBody;
use super::paced::PacedStream;
use crate::fault::Loop;

/// How long a request's head may take, from the first byte to the last.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's head; a larger one is answered 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections that may wait to be accepted: after a restart thousands come within a second or two. The system holds
/// it to its own bound; one more has to try again.
const BACKLOG: u32 = 4096;
/// Pause after the system had no connection to give (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes as many file descriptors as the system gives this process: each connection is one.
pub fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Accepts until `stop`; every connection is a task of `tracker`. One that is over a bound of `connections` is closed.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Arc<OpenConnections>,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    loop {
        Loop::Accept.turn();
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(open) = connections.open(peer.ip()) else {
                    tracing::debug!(%peer, "too many connections");
                    continue;
                };
                tracker.spawn(serve(stream, peer, open, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, to its end. An upgraded one lives on in a task of its own.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    open: Arc<OpenConnection>,
    router: Router,
    stop: CancellationToken,
) {
    let _counted = Counted::one_more();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let asked = Arc::clone(&open);
    let service = TowerToHyperService::new(tower::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&asked));
        let (answer, asked) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&asked));
        async move {
            let answered = Answered(asked);
            Ok::<_, Infallible>(answer.await?.map(|body| HeldBody::new(body, answered)))
        }
    }));
    let stream = TokioIo::new(PacedStream::new(stream, Arc::clone(&open)));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(stream, service)
            .with_upgrades()
    );
    let ending = async {
        tokio::select! {
            ended = &mut connection => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let ended = tokio::select! {
        ended = ending => ended,
        () = open.cut().cancelled() => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke");
    }
}

/// One that is counted in the figures, until dropped.
struct Counted;

impl Counted {
    fn one_more() -> Self {
        OPEN_CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN_CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Held by an answer: the connection waits for a request again once it has left.
struct Answered(Arc<OpenConnection>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.answered();
    }
}
