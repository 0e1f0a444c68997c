//! The WebSocket by hand: the handshake, and the heads of frames.
//!
//! For both sides: the connections and the bare server. A frame is handed on only when it is whole, and nothing is copied
//! to read it. No extension, no fragment and no fault of the other side is known beyond what it takes to stop: what is
//! measured is the server, not this.

/// Opcode of a frame that closes.
pub const CLOSE: u8 = 8;
/// Bytes of the longest frame that can be read.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A whole frame.
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Of head and payload.
    pub bytes: usize,
}

/// The first frame of `bytes`, as a server sends it; none while it is not whole.
pub fn split(bytes: &[u8]) -> Option<Frame<'_>> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, head): (usize, usize) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(head..head.checked_add(length)?)?;
    Some(Frame { opcode: first & 0x0f, payload, bytes: head + length })
}

fn head(opcode: u8, mask_bit: u8, length: usize) -> Vec<u8> {
    let mut head = vec![0x80 | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => head.push(mask_bit | short),
        (_, Ok(long)) => {
            head.push(mask_bit | 126);
            head.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// A frame as a server sends it.
pub fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// A frame as a client sends it. The mask is nought: it has to be there, not to hide anything.
pub fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, 0x80, payload.len());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// What a client says first. `name` tells the bare server what the connection is for.
pub fn request(path: &str, authority: &str, token: &str, subprotocol: &str, name: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\nAuthorization: Bearer {token}\r\nUser-Agent: {name}\r\n\r\n"
    )
}

/// What a server answers to the key of [`request`].
pub fn response(subprotocol: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
}

/// Where a head of HTTP ends in `bytes`; none while it does not.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
