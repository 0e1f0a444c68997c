//! What holds for the body of every request and of every answer.
//!
//! [`read_or_close`]: an answer that leaves before its request was read to the end says `Connection: close`, or what is
//! left of it is read. [`paced`]: a body that comes too slowly, or is still coming a while after the stop, ends in an error.
//! A connection that was not said to close takes the next request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::limits::{BODY_BYTES_PER_S_MIN, BODY_WAIT_MAX, STREAM_BYTES_PER_S_MIN};
use crate::server::extract::essence;
use crate::server::transport::{OpenConnection, TransferDebt};

/// Bytes of a body that nobody wanted which are read so that its connection can go on; where there are more, it ends.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
/// How long that may take: the answer waits for it.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// What has become of the body of a request.
enum Leftover {
    /// Somebody still holds it.
    Held,
    /// It was read to its end.
    Read,
    /// It was dropped before its end.
    Unread(Body),
}

/// A body that comes back here when it is dropped.
struct ReturningBody {
    /// None once it has gone back.
    body: Option<Body>,
    leftover: Arc<Mutex<Leftover>>,
}

impl HttpBody for ReturningBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ReturningBody {
    fn drop(&mut self) {
        let left = match self.body.take() {
            Some(body) if !body.is_end_stream() => Leftover::Unread(body),
            Some(_) | None => Leftover::Read,
        };
        *self.leftover.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

/// Reads what was left of a body, where that is little, or says that the connection ends. Goes before every other layer.
pub async fn read_or_close(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let open = request.extensions().get::<Arc<OpenConnection>>().cloned();
    // Whoever waits to be told to go on has sent nothing, and is told by the answer not to.
    let waits = request.headers().contains_key(header::EXPECT);
    let leftover = Arc::new(Mutex::new(Leftover::Held));
    let returned = Arc::clone(&leftover);
    let request = request.map(|body| Body::new(ReturningBody { body: Some(body), leftover: returned }));
    let mut response = next.run(request).await;
    let left = {
        let mut leftover = leftover.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *leftover, Leftover::Held)
    };
    let is_read = match left {
        Leftover::Read => true,
        Leftover::Held => false,
        Leftover::Unread(body) => !waits && drain(body).await,
    };
    if !is_read && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(open) = open {
            open.linger();
        }
    }
    response
}

/// Reads a body to its end; false where it is too long, or takes too long.
async fn drain(mut body: Body) -> bool {
    let reading = async {
        let mut bytes = 0;
        loop {
            match body.frame().await {
                None => return true,
                Some(Err(_cut)) => return false,
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
            }
            if bytes > DRAIN_BYTES_MAX {
                return false;
            }
        }
    };
    tokio::time::timeout(DRAIN_MAX, reading).await.unwrap_or(false)
}

/// How long after the stop a body may still come; what has not come by then is answered 503. Less than the connections are
/// given to end.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A body that must come at a least rate, and before the end of the process.
struct PacedBody {
    body: Body,
    debt: TransferDebt,
    /// Ready once no more of it is waited for.
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.stopped.as_mut().poll(cx).is_ready() {
            let stopping = io::Error::new(io::ErrorKind::ResourceBusy, "the server is stopping");
            return Poll::Ready(Some(Err(axum::Error::new(stopping))));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                let bytes =
                    frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                this.debt.moved(bytes);
                Poll::Ready(frame)
            }
            Poll::Pending => {
                ready!(this.debt.poll_overdue(cx));
                let late = io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly");
                Poll::Ready(Some(Err(axum::Error::new(late))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Holds the body of a request to a least rate: what carries items may come as it is made, all else is at hand. At `stop`
/// it ends soon.
pub async fn paced(State(stop): State<CancellationToken>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let bytes_per_s_min = match essence(request.headers()).as_str() {
        "application/json" | "application/x-www-form-urlencoded" => BODY_BYTES_PER_S_MIN,
        _ => STREAM_BYTES_PER_S_MIN,
    };
    let debt = TransferDebt::new(bytes_per_s_min, BODY_WAIT_MAX);
    let stopped = after(stop);
    next.run(request.map(|body| Body::new(PacedBody { body, debt, stopped }))).await
}

fn after(stop: CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(parts: usize, bytes: usize) -> Body {
        let part = Bytes::from(vec![0_u8; bytes]);
        Body::from_stream(stream::iter((0..parts).map(move |_| Ok::<_, io::Error>(part.clone()))))
    }

    #[tokio::test]
    async fn little_is_read_to_its_end_and_much_is_not() {
        assert!(drain(body(4, 1_000)).await);
        assert!(!drain(body(200, 1_000)).await);
        let endless = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        assert!(!drain(endless).await);
    }

    #[tokio::test]
    async fn a_body_that_says_nothing_ends_in_an_error() {
        let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"name=a"))]);
        let body = Body::from_stream(futures_util::StreamExt::chain(first, stream::pending()));
        let debt = TransferDebt::new(10, Duration::from_millis(50));
        let mut slow = Body::new(PacedBody { body, debt, stopped: after(CancellationToken::new()) });
        assert!(slow.frame().await.is_some_and(|frame| frame.is_ok()));
        let cut = slow.frame().await.unwrap().unwrap_err();
        assert!(cut.to_string().contains("too slowly"), "{cut}");
    }

    #[test]
    fn a_body_comes_back_when_it_is_dropped() {
        let leftover = Arc::new(Mutex::new(Leftover::Held));
        let returned = Arc::clone(&leftover);
        drop(ReturningBody { body: Some(body(1, 1)), leftover: returned });
        assert!(matches!(*leftover.lock().unwrap(), Leftover::Unread(_)));
    }
}
