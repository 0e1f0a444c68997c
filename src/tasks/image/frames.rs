//! How many frames a picture has: counted by stepping over its chunks, nothing is decoded.

use std::io::{BufRead, Seek, SeekFrom};

use super::Format;

/// Chunks that are stepped over; a picture of more counts as one of as many frames as were seen.
const CHUNKS_MAX: usize = 100_000;

/// Frames of the picture, at least 1; what cannot be read has one.
pub(super) fn count(reader: &mut (impl BufRead + Seek), format: Format) -> u32 {
    let frames = match format {
        Format::Jpeg => None,
        Format::Png => apng_frames(reader),
        Format::Webp => webp_frames(reader),
    };
    frames.unwrap_or(1).max(1)
}

/// What the chunk `acTL` says; source: <https://www.w3.org/TR/png-3/#acTL-chunk>.
fn apng_frames(reader: &mut (impl BufRead + Seek)) -> Option<u32> {
    reader.seek(SeekFrom::Start(8)).ok()?;
    for _ in 0..CHUNKS_MAX {
        let (length, kind) = (number(reader)?, four(reader)?);
        match &kind {
            b"acTL" => return number(reader),
            b"IDAT" | b"IEND" => return None,
            _ => reader.seek_relative(i64::from(length) + 4).ok()?,
        }
    }
    None
}

/// Chunks `ANMF`; source: RFC 9649, section 2.7.1.1.
fn webp_frames(reader: &mut (impl BufRead + Seek)) -> Option<u32> {
    reader.seek(SeekFrom::Start(12)).ok()?;
    let mut frames = 0;
    for _ in 0..CHUNKS_MAX {
        let Some(kind) = four(reader) else { break };
        let length = u32::from_le_bytes(four(reader)?);
        frames += u32::from(&kind == b"ANMF");
        // Chunks are of even length.
        let padded = i64::from(length) + i64::from(length % 2);
        if reader.seek_relative(padded).is_err() {
            break;
        }
    }
    Some(frames)
}

fn four(reader: &mut impl BufRead) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn number(reader: &mut impl BufRead) -> Option<u32> {
    four(reader).map(u32::from_be_bytes)
}
