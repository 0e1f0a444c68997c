//! Connections that go on, or say that they end; and what a request must say of where it goes.
//!
//! Whatever a request with a body is answered, and however early, its connection takes the next request unless the
//! answer said `Connection: close`.

use super::support::TestServer;
use super::support::plain::{Plain, PlainAnswer};

/// Requests.
const REQUESTS: usize = 200;
/// Bytes of their bodies: none is read, some are little enough to be read after all, some are more than any buffer.
const SIZES: [usize; 7] = [1, 100, 5_000, 60_000, 70_000, 400_000, 3_000_000];

/// The line and the headers of requests that are answered before their body is read, with the status.
fn kinds(server: &TestServer) -> Vec<(u16, String)> {
    let token = format!("Authorization: Bearer {}\r\n", server.token);
    let kind = |status: u16, line: &str, headers: &str| (status, format!("{line} HTTP/1.1\r\n{headers}"));
    let text = "Content-Type: text/plain\r\n";
    vec![
        kind(401, "POST /api/v1/batches?task=demo", text),
        kind(401, "POST /api/v1/batches?task=demo", &format!("Authorization: Bearer mp_no\r\n{text}")),
        kind(404, "POST /api/v1/nowhere", &token),
        kind(400, "POST /api/v1/batches/nonsense/items?first_seq=1", &format!("{token}{text}")),
        kind(405, "PUT /api/v1/batches", &token),
        kind(415, "POST /api/v1/batches", &format!("{token}Content-Type: image/png\r\n")),
        kind(422, "POST /api/v1/batches?task=nothing", &format!("{token}{text}")),
        kind(403, "POST /logout", "Origin: https://elsewhere.example\r\n"),
        kind(200, "POST /api/v1/batches/BATCH/cancel", &token),
        kind(405, "POST /healthz", ""),
        kind(404, "POST /api/load_nothing", &token),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunks,
    /// The client would wait to be told to go on, and sends nothing before.
    Expect,
}

fn request(server: &TestServer, head: &str, bytes: usize, framing: Framing) -> Vec<u8> {
    let mut request = format!("{head}Host: {}\r\n", server.authority()).into_bytes();
    let body = vec![b'x'; bytes];
    match framing {
        Framing::Length => {
            request.extend_from_slice(format!("Content-Length: {bytes}\r\n\r\n").as_bytes());
            request.extend_from_slice(&body);
        }
        Framing::Chunks => {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(50_000) {
                request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                request.extend_from_slice(part);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        }
        Framing::Expect => {
            request.extend_from_slice(
                format!("Content-Length: {bytes}\r\nExpect: 100-continue\r\n\r\n").as_bytes(),
            );
        }
    }
    request
}

#[tokio::test]
async fn no_connection_ends_without_saying_so() {
    let server = TestServer::start().await;
    let batch = server.demo(1, serde_json::json!({})).await;
    let batch = super::support::id(&server.finished(&batch).await).to_owned();
    let kinds = kinds(&server);
    let well = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.authority());
    let mut connection = Plain::dial(&server).await;
    let (mut closed, mut kept) = (0, 0);
    for at in 0..REQUESTS {
        let (status, head) = &kinds[at % kinds.len()];
        let bytes = SIZES[at / kinds.len() % SIZES.len()];
        let framing = [Framing::Length, Framing::Chunks, Framing::Expect][at % 3];
        let what = format!("request {at}: {status}, {bytes} bytes: {head}");
        let request = request(&server, &head.replace("BATCH", &batch), bytes, framing);
        let answer = connection.ask(&request).await.unwrap_or_else(|| panic!("no answer to {what}"));
        if answer.status == 100 {
            // It is told to go on where it is read: what it then says is another test's business.
            connection = Plain::dial(&server).await;
            continue;
        }
        let expected = if *status == 200 { [400, 415, 200, 413] } else { [*status; 4] };
        assert!(expected.contains(&answer.status), "{what}: {answer:?}");
        if answer.closes() {
            closed += 1;
            connection = Plain::dial(&server).await;
            continue;
        }
        kept += 1;
        assert!(framing != Framing::Expect, "whoever waits must not be left with half a request: {what}");
        let next = connection.ask(well.as_bytes()).await;
        let next = next.unwrap_or_else(|| panic!("the connection ended unannounced after {what}"));
        assert_eq!((next.status, next.body.as_str()), (200, "ok"), "after {what}");
    }
    println!("{kept} kept, {closed} closed and said so");
    assert!(kept >= REQUESTS / 10 && closed >= REQUESTS / 10, "{kept} kept, {closed} closed");
}

async fn asked(server: &TestServer, request: &str) -> PlainAnswer {
    Plain::dial(server).await.ask(request.as_bytes()).await.expect("an answer")
}

#[tokio::test]
async fn a_request_has_one_host_and_one_origin() {
    let server = TestServer::start().await;
    let (host, token) = (server.authority(), &server.token);
    let get = |headers: &str| format!("GET /healthz HTTP/1.1\r\n{headers}\r\n");
    let good = format!("Host: {host}\r\n");
    assert_eq!(asked(&server, &get(&good)).await.status, 200);
    for bad in
        ["", &good.repeat(2), &format!("{good}Host: other.example\r\n"), "Host: a b\r\n", "Host: /\r\n"]
    {
        assert_eq!(asked(&server, &get(bad)).await.status, 400, "{bad:?}");
    }
    assert_eq!(asked(&server, "GET /healthz HTTP/1.0\r\n\r\n").await.status, 200, "HTTP/1.0 names no host");

    let (own, other) = (format!("Origin: http://{host}\r\n"), "Origin: http://elsewhere.example\r\n");
    for origins in [own.repeat(2), format!("{own}{other}"), format!("{other}{own}"), other.repeat(2)] {
        let logout = format!("POST /logout HTTP/1.1\r\n{good}{origins}Content-Length: 0\r\n\r\n");
        assert_eq!(asked(&server, &logout).await.status, 403, "{origins:?}");
        let upgrade = format!(
            "GET /live HTTP/1.1\r\n{good}{origins}Authorization: Bearer {token}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert_eq!(asked(&server, &upgrade).await.status, 403, "{origins:?}");
        let events = format!(
            "GET /live/events?topic=batches HTTP/1.1\r\n{good}{origins}Authorization: Bearer {token}\r\n\r\n"
        );
        assert_eq!(asked(&server, &events).await.status, 403, "{origins:?}");
    }
}
