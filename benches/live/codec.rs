//! The codecs, as far as the load generator reads them: of a frame its kind, its size and its revision.
//!
//! Telling frames apart looks at a few bytes, so that the generator is never the limit. What is sent is written by the
//! project's own client. A codec is chosen once for a run.

use std::sync::OnceLock;

use milepost::client::decoder::{Encoded, encode};
use milepost::protocol::binary::{Compact as _, Input};
use milepost::protocol::{self, ClientFrame};

use crate::Fault;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Welcome,
    Ping,
    Snapshot,
    Update,
    Error,
    /// None of these: nothing that a server should send.
    Strange,
}

/// One way of writing frames.
pub struct Codec {
    /// What is asked for at the handshake.
    pub subprotocol: &'static str,
    codec: protocol::Codec,
    /// Of a frame that carries it: 1 for text, 2 for binary.
    pub opcode: u8,
    /// What a payload is about.
    pub kind: fn(&[u8]) -> Kind,
    /// The revision of a snapshot or an update.
    pub revision: fn(&[u8]) -> Option<u64>,
}

impl Codec {
    /// The payload of a frame.
    pub fn payload(&self, frame: &ClientFrame) -> Vec<u8> {
        match encode(frame, self.codec) {
            Encoded::Text(text) => text.into_bytes(),
            Encoded::Bytes(bytes) => bytes,
        }
    }
}

/// Every codec that can be measured.
pub const CODECS: [&Codec; 2] = [&JSON, &BINARY];

/// `milepost.v1.json`.
pub const JSON: Codec = Codec {
    subprotocol: protocol::Codec::Json.subprotocol(),
    codec: protocol::Codec::Json,
    opcode: 1,
    kind: json_kind,
    revision: json_revision,
};

/// `milepost.v1.bin`, as the page speaks it.
pub const BINARY: Codec = Codec {
    subprotocol: protocol::Codec::Binary.subprotocol(),
    codec: protocol::Codec::Binary,
    opcode: 2,
    kind: binary_kind,
    revision: binary_revision,
};

/// The build of the server that is measured: its page's codec is for that one only. Learnt once for a run.
static BUILD: OnceLock<String> = OnceLock::new();

/// Asks a server for its build.
pub async fn learn_build(base: &str, token: &str) -> Result<(), Fault> {
    if BUILD.get().is_none() {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("{base}/live/frames?topic=")).bearer_auth(token).send().await?;
        let frames: serde_json::Value = answer.error_for_status()?.json().await?;
        let build = frames[0]["welcome"]["build"].as_str().ok_or("a welcome without a build")?;
        BUILD.get_or_init(|| build.to_owned());
    }
    Ok(())
}

/// Where a client connects.
pub fn path() -> String {
    format!("/live?build={}", BUILD.get().map_or("", String::as_str))
}

/// The codec of this subprotocol.
pub fn named(subprotocol: &str) -> Result<&'static Codec, Fault> {
    let codec = CODECS.into_iter().find(|codec| codec.subprotocol == subprotocol);
    codec.ok_or_else(|| format!("BENCH_CODEC: there is no {subprotocol}").into())
}

fn json_kind(payload: &[u8]) -> Kind {
    const STARTS: [(&[u8], Kind); 5] = [
        (br#"{"update""#, Kind::Update),
        (br#"{"snapshot""#, Kind::Snapshot),
        (br#"{"ping""#, Kind::Ping),
        (br#"{"welcome""#, Kind::Welcome),
        (br#"{"error""#, Kind::Error),
    ];
    STARTS.into_iter().find(|(start, _)| payload.starts_with(start)).map_or(Kind::Strange, |(_, kind)| kind)
}

/// The first `"rev":` is the frame's own: it stands before the rows.
fn json_revision(payload: &[u8]) -> Option<u64> {
    number_after(payload, br#""rev":"#)
}

fn number_after(payload: &[u8], name: &[u8]) -> Option<u64> {
    let at = payload.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = payload[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&payload[at..at + digits]).ok()?.parse().ok()
}

/// Items that have succeeded, of an update of one batch in JSON.
pub fn succeeded(payload: &[u8]) -> Option<u64> {
    number_after(payload, br#""succeeded":"#)
}

fn binary_kind(payload: &[u8]) -> Kind {
    match payload.first() {
        Some(1) => Kind::Welcome,
        Some(2) => Kind::Ping,
        // What is current is an answer, as a snapshot is.
        Some(3 | 4) => Kind::Snapshot,
        Some(5 | 6) => Kind::Update,
        Some(7) => Kind::Error,
        Some(_) | None => Kind::Strange,
    }
}

/// Of an answer after its topic and channel, of an update after its channel.
fn binary_revision(payload: &[u8]) -> Option<u64> {
    let mut input = Input(payload.get(1..)?);
    if binary_kind(payload) == Kind::Snapshot {
        String::take(&mut input).ok()?;
    }
    u64::take(&mut input).ok()?;
    u64::take(&mut input).ok()
}
