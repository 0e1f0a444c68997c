//! A WebSocket client by hand.
//!
//! For tests that send what no client library sends: exactly the bytes that a test names go out. Independent of the
//! project's client on purpose.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::raw_frames::{Inbox, RawMessage, close};
use super::{PATIENCE, TestServer};

/// The key of RFC 6455, 1.3, and the answer to it.
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// One connection.
pub struct RawWebSocket {
    pub socket: TcpStream,
    inbox: Inbox,
}

/// The head of a good handshake, with these headers more, one a line.
pub fn head(authority: &str, more: &str) -> String {
    format!(
        "GET /live HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: milepost.v1.json\r\n{more}\r\n",
        KEY.0
    )
}

impl RawWebSocket {
    /// A connection on which nothing was said.
    pub async fn dial(server: &TestServer) -> Self {
        Self::over(TcpStream::connect(server.authority()).await.unwrap())
    }

    pub fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self { socket, inbox: Inbox::default() }
    }

    /// A live connection of the admin.
    pub async fn open(server: &TestServer) -> Self {
        let mut wire = Self::dial(server).await;
        let (status, answer) = wire.ask(&head(server.authority(), &bearer(&server.token))).await;
        assert_eq!(status, 101, "{answer}");
        wire
    }

    /// Sends the head of a request; the status, and the head and body of the answer.
    pub async fn ask(&mut self, head: &str) -> (u16, String) {
        self.send(head.as_bytes()).await;
        let reading = async {
            loop {
                if let Some(answer) = self.inbox.answer() {
                    return answer;
                }
                if self.inbox.read(&mut self.socket).await.is_some() {
                    return (0, "the connection ended".to_owned());
                }
            }
        };
        let (status, answer) = tokio::time::timeout(PATIENCE, reading).await.expect("an answer");
        let lower = answer.to_ascii_lowercase();
        let accepted = format!("sec-websocket-accept: {}\r\n", KEY.1.to_ascii_lowercase());
        assert!(status != 101 || lower.contains(&accepted), "{answer}");
        (status, answer)
    }

    /// Sends bytes as they are. Where the server takes no more, what it has said still tells why.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _refused = self.socket.write_all(bytes).await;
    }

    /// The next thing that comes. Cancel-safe.
    pub async fn receive(&mut self) -> RawMessage {
        let heard = self.inbox.receive(&mut self.socket);
        tokio::time::timeout(PATIENCE, heard).await.expect("the server says something, or goes")
    }

    /// Sends `bytes` while it reads, until `enough` says so of what came, or the connection ends.
    pub async fn exchange(&mut self, bytes: &[u8], enough: impl Fn(&RawMessage) -> bool) -> RawMessage {
        let (mut reader, mut writer) = self.socket.split();
        let sending = async {
            let _refused = writer.write_all(bytes).await;
            std::future::pending().await
        };
        let hearing = async {
            loop {
                let heard = self.inbox.receive(&mut reader).await;
                if heard.is_end() || enough(&heard) {
                    return heard;
                }
            }
        };
        let both = async {
            tokio::select! {
                heard = hearing => heard,
                never = sending => never,
            }
        };
        tokio::time::timeout(PATIENCE, both).await.expect("the server says something, or goes")
    }

    /// Reads one byte and leaves it for later; false at the end.
    pub async fn trickle(&mut self) -> bool {
        self.inbox.trickle(&mut self.socket).await
    }

    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.inbox.received()
    }

    /// Says goodbye, or answers one, and waits until the server has ended the connection.
    pub async fn part(mut self) {
        self.send(&close(1000, b"")).await;
        let reading = async { while self.inbox.read(&mut self.socket).await.is_none() {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the server ends what is closed");
    }

    /// Goes with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

/// The header of a token.
pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}
