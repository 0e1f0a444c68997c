//! Counts the frames that one message comes in, as the bytes of a socket pass.
//!
//! The library hands over whole messages and bounds their bytes; frames that carry none could go on for ever in the
//! middle of one.

use std::io;

/// Frames that may continue one message; one more closes the connection with 4429.
const CONTINUATIONS_MAX: u32 = 256;

/// Why a socket is not read on.
#[derive(Debug, thiserror::Error)]
#[error("more than {CONTINUATIONS_MAX} frames continue one message")]
pub struct TooManyFragments;

/// Where in a frame the next byte is (RFC 6455, section 5.2).
#[derive(Debug)]
enum FramePlace {
    /// Whether it ends its message, and what it is.
    Start,
    /// Whether it is masked, and how long it is.
    Length,
    /// So many bytes more of a long length; the length so far, and the bytes of the mask.
    LongLength { left: u8, length: u64, mask: u64 },
    /// So many bytes more of mask and payload.
    Rest(u64),
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub struct FragmentMeter {
    place: FramePlace,
    continuations: u32,
}

impl Default for FragmentMeter {
    fn default() -> Self {
        Self { place: FramePlace::Start, continuations: 0 }
    }
}

impl FragmentMeter {
    /// Follows the next bytes.
    ///
    /// # Errors
    /// [`TooManyFragments`], once: what comes after is not counted into that message.
    pub fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((byte, rest)) = bytes.split_first() {
            if let FramePlace::Rest(left) = self.place {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[here..];
                let left = left - here as u64;
                self.place = if left == 0 { FramePlace::Start } else { FramePlace::Rest(left) };
                continue;
            }
            bytes = rest;
            self.header(*byte)?;
        }
        Ok(())
    }

    fn header(&mut self, byte: u8) -> io::Result<()> {
        match self.place {
            FramePlace::Start => {
                self.place = FramePlace::Length;
                match byte & 0x0f {
                    0 => self.continuations += 1,
                    1 | 2 => self.continuations = 0,
                    // Those between are no part of a message.
                    _control => {}
                }
                if self.continuations > CONTINUATIONS_MAX {
                    self.continuations = 0;
                    return Err(io::Error::other(TooManyFragments));
                }
            }
            FramePlace::Length => {
                let mask = if byte & 0x80 == 0 { 0 } else { 4 };
                match byte & 0x7f {
                    126 => self.place = FramePlace::LongLength { left: 2, length: 0, mask },
                    127 => self.place = FramePlace::LongLength { left: 8, length: 0, mask },
                    length => self.rest(u64::from(length) + mask),
                }
            }
            FramePlace::LongLength { left, length, mask } => {
                let length = length << 8 | u64::from(byte);
                if left == 1 {
                    self.rest(length.saturating_add(mask));
                } else {
                    self.place = FramePlace::LongLength { left: left - 1, length, mask };
                }
            }
            FramePlace::Rest(_) => unreachable!("what is left of a frame is passed over by `follow`"),
        }
        Ok(())
    }

    fn rest(&mut self, bytes: u64) {
        self.place = if bytes == 0 { FramePlace::Start } else { FramePlace::Rest(bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(0x80 | u8::try_from(payload).unwrap()),
            126..=65_535 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0xff);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        // Mask and payload of what would count as frames, were it read as such.
        frame.extend(std::iter::repeat_n(0, 4 + payload));
        frame
    }

    #[test]
    fn frames_that_continue_a_message_are_counted_however_they_come() {
        for chunk in [1, 2, 3, 7, 1_000_000] {
            let mut meter = FragmentMeter::default();
            let mut follow = |bytes: &[u8]| bytes.chunks(chunk).try_for_each(|part| meter.follow(part));
            for _message in 0..3 {
                for payload in [0, 1, 125, 126, 65_535, 65_536] {
                    follow(&frame(0x01, payload)).unwrap();
                    follow(&frame(0x00, 0).repeat(100)).unwrap();
                    follow(&frame(0x89, 3).repeat(400)).unwrap();
                    follow(&frame(0x00, 200).repeat(155)).unwrap();
                    follow(&frame(0x80, 0)).unwrap();
                }
            }
            follow(&frame(0x01, 1)).unwrap();
            follow(&frame(0x00, 0).repeat(256)).unwrap();
            let refused = follow(&frame(0x00, 0)).unwrap_err();
            assert!(refused.get_ref().is_some_and(|fault| fault.is::<TooManyFragments>()), "{refused}");
        }
    }
}
