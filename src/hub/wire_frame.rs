//! A message to a client, with the WebSocket frame head already in front of it.
//!
//! A server's frames carry no mask (RFC 6455 §5.1), so the head depends only on the opcode and the length, and is the same
//! for every connection. The hub therefore frames a message once for each codec, and all connections share the bytes.
//! Transports without WebSocket frames send [`WireFrame::payload`].

use bytes::Bytes;

use crate::protocol::Codec;

/// First byte of an unfragmented text frame: FIN and opcode 1.
const TEXT: u8 = 0x81;
/// First byte of an unfragmented binary frame: FIN and opcode 2.
const BINARY: u8 = 0x82;
/// Longest head of an unmasked frame, in bytes.
const HEAD_BYTES_MAX: usize = 10;

/// One message, framed. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug)]
pub struct WireFrame {
    whole: Bytes,
    head_bytes: u8,
}

impl WireFrame {
    /// Frames `payload`, which is text in [`Codec::Json`] and binary in [`Codec::Binary`].
    #[must_use]
    pub fn new(codec: Codec, payload: &[u8]) -> Self {
        let first_byte = match codec {
            Codec::Json => TEXT,
            Codec::Binary => BINARY,
        };
        let mut whole = Vec::with_capacity(HEAD_BYTES_MAX + payload.len());
        whole.push(first_byte);
        // RFC 6455 §5.2: the length in 7, 16 or 64 bits, in the shortest form.
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short), _) if short < 126 => whole.push(short),
            (_, Ok(medium)) => {
                whole.push(126);
                whole.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                whole.push(127);
                whole.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        let head_bytes = u8::try_from(whole.len()).expect("a head has at most 10 bytes");
        whole.extend_from_slice(payload);
        Self { whole: whole.into(), head_bytes }
    }

    /// Head and payload, as a WebSocket carries them.
    #[must_use]
    pub fn whole(&self) -> &Bytes {
        &self.whole
    }

    /// The message without its head.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.whole[usize::from(self.head_bytes)..]
    }

    /// Bytes of head and payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.whole.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_hold_the_length_in_the_shortest_form() {
        let head = |bytes: usize| {
            let frame = WireFrame::new(Codec::Json, &vec![b'x'; bytes]);
            assert!(frame.payload().len() == bytes && frame.payload().iter().all(|byte| *byte == b'x'));
            frame.whole()[..usize::from(frame.head_bytes)].to_vec()
        };
        assert_eq!(head(0), [0x81, 0]);
        assert_eq!(head(125), [0x81, 125]);
        assert_eq!(head(126), [0x81, 126, 0, 126]);
        assert_eq!(head(200), [0x81, 126, 0, 200]);
        assert_eq!(head(65_535), [0x81, 126, 255, 255]);
        assert_eq!(head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(WireFrame::new(Codec::Binary, &[7]).whole()[..], [0x82, 1, 7]);
    }
}
