//! The limit: a server that only writes. The same bytes to as many sockets as often, by one plain loop.
//!
//! Where it stamps its frames, a client knows how old they are. One thread, one `write` a frame and socket, no queue;
//! what a socket does not take at once is left out.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use crate::codec::{self, Codec};
use crate::crowd::WATCHER;
use crate::{Fault, server, websocket};

/// The argument that makes this executable a bare server; subprotocol, tick in microseconds and [`Frames`] follow, the
/// payload is standard input.
pub const ARGUMENT: &str = "--bare";

/// Digits of a stamp: microseconds since 1970, at the end of the payload.
const STAMP_DIGITS: usize = 16;

/// When the bare server wrote this frame, in microseconds since 1970.
pub fn stamp_of(payload: &[u8]) -> Option<u64> {
    let (_, digits) = payload.split_at_checked(payload.len().checked_sub(STAMP_DIGITS)?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What stands in a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// The payload as it is.
    Same,
    /// The payload with the time of its writing in place of its last bytes.
    Stamped,
}

impl Frames {
    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Stamped => "stamped",
        }
    }
}

/// A bare server in a process of its own. Dropping it ends it.
pub struct Bare {
    child: Child,
    /// Its number.
    pub process: u32,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts one that sends `payload` at every tick.
    pub async fn start(
        codec: &Codec,
        payload: &[u8],
        tick: Duration,
        frames: Frames,
        core: Option<usize>,
    ) -> Result<Self, Fault> {
        let mut child = server::on_core(&std::env::current_exe()?, core)
            .args([ARGUMENT, codec.subprotocol, &tick.as_micros().to_string(), frames.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().ok_or("the bare server ended at once")?;
        let mut stdin = child.stdin.take().ok_or("the bare server has no standard input")?;
        stdin.write_all(payload).await?;
        drop(stdin);
        let stdout = child.stdout.take().ok_or("the bare server has no standard output")?;
        let address = BufReader::new(stdout).lines().next_line().await?.ok_or("the bare server ended")?;
        Ok(Self { child, process, address: address.parse()? })
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<(), Fault> {
        Ok(self.child.kill().await?)
    }
}

/// What the process started by [`Bare::start`] does, until it is ended.
pub fn serve(arguments: &[String]) -> Result<(), Fault> {
    let [subprotocol, tick_micros, frames] = arguments else {
        return Err("expected a subprotocol, a tick and what stands in a frame".into());
    };
    let codec = codec::named(subprotocol)?;
    let tick = Duration::from_micros(tick_micros.parse()?);
    let mut payload = Vec::new();
    std::io::stdin().read_to_end(&mut payload)?;
    let mut frame = websocket::from_server(codec.opcode, &payload);
    let answer = frame.clone();
    let stamped = frames == Frames::Stamped.name();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let watchers = RefCell::new(Vec::new());
        let broadcasting = async {
            // A tick that comes late is made up for: at its limit the loop never rests.
            let mut ticks = tokio::time::interval(tick);
            loop {
                ticks.tick().await;
                if stamped {
                    stamp(&mut frame)?;
                }
                broadcast(&mut watchers.borrow_mut(), &frame);
            }
        };
        let accepting = async {
            let mut others = Vec::new();
            loop {
                let (stream, _from) = listener.accept().await?;
                let (stream, is_watcher) = welcome(stream, codec, &answer).await?;
                if is_watcher { watchers.borrow_mut().push(stream) } else { others.push(stream) }
            }
        };
        tokio::select! {
            failed = broadcasting => failed,
            failed = accepting => failed,
        }
    })
}

/// Answers the handshake, and whatever will be subscribed to. Answers the socket, out of the runtime's hands, and
/// whether updates are to be sent to it.
async fn welcome(
    mut stream: TcpStream,
    codec: &Codec,
    frame: &[u8],
) -> Result<(std::net::TcpStream, bool), Fault> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(512);
    while websocket::head_end(&head).is_none() {
        if stream.read_buf(&mut head).await? == 0 {
            return Err("a client ended in the handshake".into());
        }
    }
    stream.write_all(websocket::response(codec.subprotocol).as_bytes()).await?;
    stream.write_all(frame).await?;
    let is_watcher = String::from_utf8_lossy(&head).contains(&format!("User-Agent: {WATCHER}\r\n"));
    Ok((stream.into_std()?, is_watcher))
}

/// Writes the time over the end of `frame`.
fn stamp(frame: &mut [u8]) -> Result<(), Fault> {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros();
    let digits = format!("{micros:0STAMP_DIGITS$}");
    let at = frame.len().checked_sub(STAMP_DIGITS).ok_or("no room for a stamp")?;
    frame[at..].copy_from_slice(digits.as_bytes());
    Ok(())
}

fn broadcast(watchers: &mut Vec<std::net::TcpStream>, frame: &[u8]) {
    watchers.retain(|stream| {
        let mut stream = stream;
        match stream.write(frame) {
            Ok(written) => written == frame.len(),
            Err(fault) => fault.kind() == ErrorKind::WouldBlock,
        }
    });
}
