//! Frames of RFC 6455 by hand: what is sent down to the single bit, and what came.
//!
//! Independent of the project's client and of any library, on purpose: what the server sends is held to the RFC, frame by
//! frame, and what a test sends is held to nothing.

use tokio::io::{AsyncRead, AsyncReadExt};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The head of a frame to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    fin: bool,
    reserved: u8,
    opcode: u8,
    masked: bool,
    announced: Option<u64>,
}

impl Frame {
    /// As it should be: whole, nothing reserved, masked, as long as it says.
    pub const fn of(opcode: u8) -> Self {
        Self { fin: true, reserved: 0, opcode, masked: true, announced: None }
    }

    /// More of the message follows.
    pub const fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// With reserved bits, 1 to 7: RSV1 is 4.
    pub const fn reserved(self, bits: u8) -> Self {
        Self { reserved: bits, ..self }
    }

    pub const fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    /// Announces so many bytes, whatever follows.
    pub const fn announcing(self, bytes: u64) -> Self {
        Self { announced: Some(bytes), ..self }
    }

    /// The bytes of the frame.
    pub fn carrying(self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode];
        let mask = u8::from(self.masked) << 7;
        let length = self.announced.unwrap_or(payload.len() as u64);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => bytes.push(mask | short),
            (_, Ok(medium)) => {
                bytes.push(mask | 126);
                bytes.extend(medium.to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
            bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(payload);
        }
        bytes
    }
}

/// A whole text message.
pub fn text(words: &str) -> Vec<u8> {
    Frame::of(TEXT).carrying(words.as_bytes())
}

/// A close with a code.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    Frame::of(CLOSE).carrying(&[&code.to_be_bytes(), reason].concat())
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMessage {
    Text(String),
    Pong(Vec<u8>),
    Close {
        code: Option<u16>,
        reason: String,
    },
    /// The connection ended without a word.
    Fin,
    Reset,
}

impl RawMessage {
    pub fn is_end(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Pong(_))
    }
}

/// What has come of a connection.
#[derive(Default)]
pub struct Inbox {
    unread: Vec<u8>,
    /// The message that has begun.
    begun: Option<Vec<u8>>,
    received: u64,
}

impl Inbox {
    /// Reads what is there; something where the connection has ended.
    pub async fn read(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Option<RawMessage> {
        let mut buffer = [0; 16 * 1024];
        match reader.read(&mut buffer).await {
            Ok(0) => Some(RawMessage::Fin),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                self.received += count as u64;
                None
            }
            Err(_reset) => Some(RawMessage::Reset),
        }
    }

    /// Reads one byte and no more; false at the end.
    pub async fn trickle(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut byte = [0];
        let count = reader.read(&mut byte).await.unwrap_or(0);
        self.unread.extend_from_slice(&byte[..count]);
        self.received += count as u64;
        count > 0
    }

    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next thing that comes; an answered ping is none. Cancel-safe.
    pub async fn receive(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> RawMessage {
        loop {
            while let Some((fin, opcode, payload)) = self.frame() {
                if let Some(heard) = self.take(fin, opcode, payload) {
                    return heard;
                }
            }
            if let Some(end) = self.read(reader).await {
                return end;
            }
        }
    }

    /// The next frame, once it is there whole.
    fn frame(&mut self) -> Option<(bool, u8, Vec<u8>)> {
        let (&first, &second) = (self.unread.first()?, self.unread.get(1)?);
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (length, start) = match second & 0x7f {
            126 => {
                let length = u16::from_be_bytes(self.unread.get(2..4)?.try_into().unwrap());
                assert!(length > 125, "no shorter form");
                (u64::from(length), 4)
            }
            127 => {
                let length = u64::from_be_bytes(self.unread.get(2..10)?.try_into().unwrap());
                assert!(length > u64::from(u16::MAX), "no shorter form");
                (length, 10)
            }
            short => (u64::from(short), 2),
        };
        let end = start + usize::try_from(length).unwrap();
        let payload = self.unread.get(start..end)?.to_vec();
        self.unread.drain(..end);
        Some((first & 0x80 != 0, first & 0x0f, payload))
    }

    fn take(&mut self, fin: bool, opcode: u8, payload: Vec<u8>) -> Option<RawMessage> {
        match opcode {
            TEXT | CONTINUATION => {
                assert_eq!(opcode == CONTINUATION, self.begun.is_some(), "messages one after the other");
                let mut message = self.begun.take().unwrap_or_default();
                message.extend(payload);
                if fin {
                    return Some(RawMessage::Text(String::from_utf8(message).expect("text is UTF-8")));
                }
                self.begun = Some(message);
                None
            }
            CLOSE | PING | PONG => {
                assert!(fin && payload.len() <= 125, "control frames are whole and short");
                match opcode {
                    PONG => Some(RawMessage::Pong(payload)),
                    CLOSE => {
                        assert_ne!(payload.len(), 1, "half a code");
                        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                        let reason = String::from_utf8(payload.get(2..).unwrap_or_default().to_vec());
                        Some(RawMessage::Close { code, reason: reason.expect("a reason is UTF-8") })
                    }
                    _ => None,
                }
            }
            other => panic!("opcode {other}"),
        }
    }

    /// The answer to a request, once it is there whole. What follows an upgrade stays.
    pub fn answer(&mut self) -> Option<(u16, String)> {
        let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().unwrap());
        let body = String::from_utf8_lossy(self.unread.get(end..end + length)?).into_owned();
        self.unread.drain(..end + length);
        Some((status, head + &body))
    }
}
