//! The accept loop: connections in, bounded in number and in time, and out again at the stop.
//!
//! Owns connections. Called by [`super::run`]. Invariant: a connection that says nothing is closed; a stop lets the
//! answers under way end and takes no new ones. Deliberately knows no URL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::health::CONNECTIONS;
use super::limits::{HEAD_BYTES_MAX, HEAD_MAX};
use crate::fault::Loop;

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

/// Accepts until `stop`; every connection is a task of `tracker`. At most `connections_max` at once: whoever comes
/// beyond waits in the system's queue.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    loop {
        Loop::Accept.turn();
        let place = tokio::select! {
            () = stop.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                tracker.spawn(async move {
                    serve(stream, peer, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, to its end. An upgraded one lives on in a task of its own.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service =
        TowerToHyperService::new(router.map_request(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        }));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke");
    }
    CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
}
