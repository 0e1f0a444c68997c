//! Handshakes that are none: refused before the upgrade, as the client's fault.
//!
//! Whatever is asked at the address of the live connection, the answer is 101 or 4xx.

use super::super::support::TestServer;
use super::super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::none;

#[tokio::test]
async fn handshakes_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let good = head(server.authority(), &bearer(&server.token));
    let mut faults = Vec::new();
    for (name, head, least) in [
        ("an old version", good.replace("Version: 13", "Version: 12"), 400),
        ("no version", good.replace("Sec-WebSocket-Version: 13\r\n", ""), 400),
        ("no key", good.replace("Sec-WebSocket-Key:", "X-Key:"), 400),
        ("no upgrade", good.replace("Upgrade: websocket\r\n", ""), 400),
        ("another upgrade", good.replace("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"), 400),
        ("no connection header", good.replace("Connection: Upgrade\r\n", ""), 400),
        ("a POST", good.replace("GET /live", "POST /live"), 400),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("another origin", good.replace("Host:", "Origin: https://evil.example\r\nHost:"), 403),
        ("neither origin nor token", good.replace("Authorization:", "X-Authorization:"), 403),
        // Ended while it is still being sent: the answer may be lost with it.
        ("a head of 1 MiB", good.replace("Host:", &format!("X: {}\r\nHost:", "a".repeat(1024 * 1024))), 0),
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400),
    ] {
        let mut wire = RawWebSocket::dial(&server).await;
        let (status, answer) = wire.ask(&head).await;
        if status == 101 || !(least..500).contains(&status) {
            faults.push(format!("{name}: {status} {answer:?}"));
        }
    }
    // And the good one is.
    RawWebSocket::open(&server).await.part().await;
    none(faults);
}
