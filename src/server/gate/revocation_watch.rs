//! Bodies and answers that take their time end when whoever sends or reads them may no longer come in.
//!
//! Goes right after the layer that knows who asks. Within about a second of a revocation, a sign-out or a disabled
//! person, no more of a body is taken and no more of an answer leaves. A body ends in an error of the kind
//! `PermissionDenied`, so that whoever reads it can say why; a stream of events ends by itself; any other answer
//! breaks off, so that nobody takes it for whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::server::gate::RevocationGuard;
use crate::server::state::AppState;
use crate::server::transport::OpenConnection;
use crate::service::Caller;

/// Bytes of an answer that has left before anything can be taken away: all at hand, and little.
const SHORT_BYTES_MAX: u64 = 64 * 1024;
/// How long an answer may take to end by itself; then its connection is cut.
const END_MAX: Duration = Duration::from_millis(100);

/// A body that ends in an error once its caller is gone.
struct WatchedBody {
    body: Body,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    _stay: RevocationGuard,
    /// Ends the watch over the connection, where there is one.
    _over: Option<DropGuard>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.gone.as_mut().poll(cx).is_ready() {
            let gone = io::Error::new(io::ErrorKind::PermissionDenied, "whoever asked may no longer come in");
            return Poll::Ready(Some(Err(axum::Error::new(gone))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ties the body of a request and its answer to what its caller came in by.
pub async fn watch(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return next.run(request).await;
    };
    let open = request.extensions().get::<Arc<OpenConnection>>().cloned();
    let request = if request.body().is_end_stream() {
        request
    } else {
        let stay = state.revocations.arrive(&caller);
        request.map(|body| watched(body, stay, None))
    };
    let response = next.run(request).await;
    let is_short = response.body().size_hint().upper().is_some_and(|bytes| bytes <= SHORT_BYTES_MAX);
    if is_short || response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let stay = state.revocations.arrive(&caller);
    // Where its reader takes nothing, an answer is not asked for more: only the connection itself can end it.
    let over = open.map(|open| cut_when_gone(open, stay.gone().clone()));
    let is_events = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    response.map(|body| {
        if is_events {
            Body::new(crate::server::transport::HeldBody::new(body, (stay, over)))
        } else {
            watched(body, stay, over)
        }
    })
}

fn watched(body: Body, stay: RevocationGuard, over: Option<DropGuard>) -> Body {
    let gone = Box::pin(stay.gone().clone().cancelled_owned());
    Body::new(WatchedBody { body, gone, _stay: stay, _over: over })
}

/// Cuts the connection a moment after its caller is gone, unless the answer is over by then.
fn cut_when_gone(open: Arc<OpenConnection>, gone: CancellationToken) -> DropGuard {
    let over = CancellationToken::new();
    let until = over.clone();
    tokio::spawn(async move {
        let cutting = async {
            gone.cancelled().await;
            tokio::time::sleep(END_MAX).await;
        };
        tokio::select! {
            () = until.cancelled() => {}
            () = cutting => open.cut().cancel(),
        }
    });
    over.drop_guard()
}
