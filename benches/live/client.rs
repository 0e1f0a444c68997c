//! One cheap live connection: it counts frames and reads no row.
//!
//! The project's own client folds every row; thousands of those on one thread would measure themselves. So this one looks
//! at a few bytes of each frame, by one read for all that has come, into a buffer that all connections of a thread share.
//! What it sends is the project's.

use std::cell::RefCell;
use std::fmt::{Display, Formatter};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;

use milepost::protocol::ClientFrame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use crate::Fault;
use crate::codec::{self, Codec, Kind};
use crate::websocket;

/// Bytes of the head of an answer to the handshake.
const HEAD_BYTES_MAX: usize = 4 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; websocket::FRAME_BYTES_MAX]);
}

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub codec: &'static Codec,
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    codec: &'static Codec,
    /// What has come of the next frame.
    rest: Vec<u8>,
}

/// Why a connection has ended.
pub enum End {
    /// The server said why.
    Closed { code: u16, reason: String },
    /// It did not.
    Cut(String),
}

impl Display for End {
    fn fmt(&self, form: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed { code, reason } => write!(form, "closed with {code}: {reason}"),
            Self::Cut(why) => write!(form, "cut: {why}"),
        }
    }
}

impl Client {
    /// Connects from `from` and shakes hands. `name` is told to the server; `receive_bytes` bounds what the system
    /// takes in before it is read.
    pub async fn connect(
        endpoint: &Endpoint,
        token: &str,
        name: &str,
        from: Ipv4Addr,
        receive_bytes: Option<u32>,
    ) -> Result<Self, Fault> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::from((from, 0)))?;
        let mut stream = socket.connect(endpoint.address).await?;
        stream.set_nodelay(true)?;
        let request = websocket::request(
            &codec::path(),
            &endpoint.address.to_string(),
            token,
            endpoint.codec.subprotocol,
            name,
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(512);
        let end = loop {
            if let Some(end) = websocket::head_end(&head) {
                break end;
            }
            if stream.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
                return Err("the connection ended before it was upgraded".into());
            }
        };
        let rest = head.split_off(end);
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if !head.starts_with("http/1.1 101") || !head.contains(endpoint.codec.subprotocol) {
            return Err(format!("no upgrade: {}", head.lines().next().unwrap_or_default()).into());
        }
        Ok(Self { stream, codec: endpoint.codec, rest })
    }

    /// Asks for `topic`, of which revision `known` is shown.
    pub async fn subscribe(&mut self, topic: &str, known: Option<u64>) -> Result<(), Fault> {
        let payload = self.codec.payload(&ClientFrame::Subscribe { topic: topic.to_owned(), rev: known });
        Ok(self.stream.write_all(&websocket::from_client(self.codec.opcode, &payload)).await?)
    }

    /// Reads once, and shows every frame that is whole by then: kind, payload, bytes on the wire.
    pub async fn read(&mut self, mut seen: impl FnMut(Kind, &[u8], usize)) -> Result<(), End> {
        std::future::poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let held = self.rest.len();
                buffer[..held].copy_from_slice(&self.rest);
                let mut into = ReadBuf::new(&mut buffer[held..]);
                let polled = Pin::new(&mut self.stream).poll_read(context, &mut into);
                let came = into.filled().len();
                match polled {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(fault)) => Poll::Ready(Err(End::Cut(fault.to_string()))),
                    Poll::Ready(Ok(())) if came == 0 => {
                        Poll::Ready(Err(End::Cut("no more bytes".to_owned())))
                    }
                    Poll::Ready(Ok(())) => Poll::Ready(self.take(&buffer[..held + came], &mut seen)),
                }
            })
        })
        .await
    }

    /// Reads one byte and forgets it; for a client that is slow on purpose.
    pub async fn read_byte(&mut self) -> Result<(), End> {
        match self.stream.read(&mut [0; 1]).await {
            Ok(0) => Err(End::Cut("no more bytes".to_owned())),
            Ok(_) => Ok(()),
            Err(fault) => Err(End::Cut(fault.to_string())),
        }
    }

    fn take(&mut self, mut bytes: &[u8], seen: &mut impl FnMut(Kind, &[u8], usize)) -> Result<(), End> {
        while let Some(frame) = websocket::split(bytes) {
            bytes = &bytes[frame.bytes..];
            if frame.opcode == websocket::CLOSE {
                let (code, reason) = frame.payload.split_at(frame.payload.len().min(2));
                let code = code.try_into().map_or(0, u16::from_be_bytes);
                return Err(End::Closed { code, reason: String::from_utf8_lossy(reason).into_owned() });
            }
            let kind = (self.codec.kind)(frame.payload);
            if kind == Kind::Ping {
                let pong =
                    websocket::from_client(self.codec.opcode, &self.codec.payload(&ClientFrame::Pong {}));
                // Where not even that can be written, the server is right to cut.
                let _written = self.stream.try_write(&pong);
            }
            seen(kind, frame.payload, frame.bytes);
        }
        if bytes.len() >= websocket::FRAME_BYTES_MAX {
            return Err(End::Cut("a frame that is too long to read".to_owned()));
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        Ok(())
    }
}
