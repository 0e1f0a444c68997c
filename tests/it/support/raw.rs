//! A connection by hand: bodies that stop in the middle.
//!
//! Used where a client must do what no client library does. Exactly the bytes that the test says are sent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, TestServer};

/// A request that is being sent.
pub struct RawRequest {
    socket: TcpStream,
}

impl RawRequest {
    /// Sends the head of a POST with these headers, one a line.
    pub async fn post(server: &TestServer, path: &str, headers: &[&str]) -> Self {
        Self::post_to(server, &format!("/api/v1{path}"), headers).await
    }

    /// As [`RawRequest::post`], anywhere on the server.
    pub async fn post_to(server: &TestServer, path: &str, headers: &[&str]) -> Self {
        Self::begin(server, "POST", path, headers).await
    }

    /// As [`RawRequest::post_to`], by another method.
    pub async fn begin(server: &TestServer, method: &str, path: &str, headers: &[&str]) -> Self {
        let mut socket = TcpStream::connect(server.authority()).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
            server.authority(),
            server.token
        );
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        Self { socket }
    }

    /// Sends bytes of the body as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    /// Waits until the server reads the body of a request that expects to be told so.
    pub async fn told_to_go_on(&mut self) {
        let mut text = Vec::new();
        let mut byte = [0u8; 1];
        while !text.ends_with(b"\r\n\r\n") {
            let read = tokio::time::timeout(PATIENCE, self.socket.read_exact(&mut byte));
            read.await.expect("an interim answer").unwrap();
            text.extend_from_slice(&byte);
        }
        assert!(text.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&text));
    }

    /// Sends one chunk of a chunked body.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.send(&framed).await;
    }

    /// As [`RawRequest::chunk`]; false where the server takes no more.
    pub async fn try_chunk(&mut self, bytes: &[u8]) -> bool {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        let mut left = framed.as_slice();
        let (read, mut write) = self.socket.split();
        while !left.is_empty() {
            // An answer that comes before the end of the body is looked for while the body waits.
            tokio::select! {
                biased;
                ready = read.readable() => {
                    ready.unwrap();
                    return false;
                }
                written = write.write(left) => match written {
                    Ok(count) => left = &left[count..],
                    Err(_gone) => return false,
                },
            }
        }
        true
    }

    /// Goes away in the middle.
    pub async fn cut(mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Reads the answer: status and all that came.
    pub async fn answer(mut self) -> (u16, String) {
        let mut text = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        let read = async {
            loop {
                let count = self.socket.read(&mut buffer).await.unwrap();
                text.extend_from_slice(&buffer[..count]);
                let whole = String::from_utf8_lossy(&text).into_owned();
                if count == 0 || is_whole(&whole) {
                    return whole;
                }
            }
        };
        let whole = tokio::time::timeout(PATIENCE, read).await.expect("an answer");
        let status = whole.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no answer: {whole:?}")), whole)
    }
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}
