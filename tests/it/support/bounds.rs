//! Where the frames of a stream begin and end.
//!
//! It looks at lengths and changes nothing.

/// The place: in the head of the answer, in the head of a frame, or in its payload.
#[derive(Default)]
pub struct Bounds {
    tail: u32,
    is_open: bool,
    head: Vec<u8>,
    left: u64,
}

impl Bounds {
    /// Follows the stream; the length of a start of `bytes` that ends inside a frame, about half of it.
    pub fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut inside = None;
        for (at, byte) in bytes.iter().enumerate() {
            if self.step(*byte) && (inside.is_none() || at < bytes.len() / 2) {
                inside = Some(at + 1);
            }
        }
        inside
    }

    /// Takes one byte; true where it is not the last of its frame.
    fn step(&mut self, byte: u8) -> bool {
        if !self.is_open {
            self.tail = self.tail << 8 | u32::from(byte);
            self.is_open = self.tail.to_be_bytes() == *b"\r\n\r\n";
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return self.left > 0;
        }
        self.head.push(byte);
        let (start, short) = match self.head.get(1).map(|second| second & 0x7f) {
            Some(126) => (4, 0),
            Some(127) => (10, 0),
            short => (2, u64::from(short.unwrap_or(0))),
        };
        if self.head.len() < start {
            return true;
        }
        self.left = self.head[2..].iter().fold(short, |length, byte| length << 8 | u64::from(*byte));
        self.head.clear();
        self.left > 0
    }
}
