//! HTTP by hand, one request after the other on one connection.
//!
//! Used where it counts when a connection ends, and how slowly an answer is taken. What is sent is what a test says;
//! an answer is read to its end and no further.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{PATIENCE, TestServer};

/// What a client's system takes unread: as little as can be had.
const RECEIVE_BYTES: u32 = 4 * 1024;

/// One connection.
pub struct Plain {
    socket: TcpStream,
    came: Vec<u8>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct PlainAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl PlainAnswer {
    /// True where it says that the connection ends.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Plain {
    pub async fn dial(server: &TestServer) -> Self {
        Self { socket: TcpStream::connect(server.authority()).await.unwrap(), came: Vec::new() }
    }

    /// One whose system takes next to nothing that is not read.
    pub async fn dial_narrow(server: &TestServer) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
        let socket = socket.connect(server.authority().parse().unwrap()).await.unwrap();
        Self { socket, came: Vec::new() }
    }

    /// Sends bytes as they are; false where nobody takes them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// Sends one chunk of a chunked body.
    pub async fn chunk(&mut self, bytes: &[u8]) -> bool {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.send(&framed).await
    }

    /// Reads a little; false at the end.
    pub async fn sip(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                self.came.extend_from_slice(&buffer[..count]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// All that has come and was not taken.
    pub fn came(&self) -> String {
        String::from_utf8_lossy(&self.came).into_owned()
    }

    /// Waits until the head of an answer has come; its status.
    pub async fn status(&mut self) -> u16 {
        let reading = async {
            while !self.came.windows(4).any(|four| four == b"\r\n\r\n") {
                assert!(self.sip().await, "it ended: {:?}", String::from_utf8_lossy(&self.came));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer");
        String::from_utf8_lossy(&self.came).split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Reads on to the end of the connection; all that has come.
    pub async fn drained(mut self) -> String {
        let reading = async { while self.sip().await {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("it ends");
        String::from_utf8_lossy(&self.came).into_owned()
    }

    /// Sends a request while it reads the answer; none where the connection ended before a whole one had come.
    pub async fn ask(&mut self, request: &[u8]) -> Option<PlainAnswer> {
        let Self { socket, came } = self;
        let (mut reader, mut writer) = socket.split();
        let sending = async {
            let _refused = writer.write_all(request).await;
            std::future::pending::<()>().await;
        };
        let reading = async {
            let mut buffer = [0; 16 * 1024];
            loop {
                if let Some(answer) = taken(came) {
                    return Some(answer);
                }
                match reader.read(&mut buffer).await {
                    Ok(count) if count > 0 => came.extend_from_slice(&buffer[..count]),
                    Ok(_) | Err(_) => return None,
                }
            }
        };
        let both = async {
            tokio::select! {
                answer = reading => answer,
                () = sending => None,
            }
        };
        tokio::time::timeout(PATIENCE, both).await.expect("an answer, or an end")
    }
}

/// Takes a whole answer out of what has come. Those with neither length nor chunks have no body here.
fn taken(came: &mut Vec<u8>) -> Option<PlainAnswer> {
    let split = came.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&came[..split]).into_owned();
    let rest = &came[split..];
    let length = if header(&head, "transfer-encoding").is_some() {
        rest.windows(5).position(|five| five == b"0\r\n\r\n")? + 5
    } else {
        header(&head, "content-length").map_or(0, |length| length.parse().unwrap())
    };
    if rest.len() < length {
        return None;
    }
    let body = String::from_utf8_lossy(&rest[..length]).into_owned();
    came.drain(..split + length);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(PlainAnswer { status, head, body })
}
