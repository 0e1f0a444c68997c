//! The segments of a JPEG before its first scan: stepped over, and freed of what does not belong there.
//!
//! Cameras and editors leave stray bytes between segments; viewers skip them, and so does this. Only what is asked for is
//! held, however long the file. Source of the layout: ITU-T T.81, annex B.

use std::io::{BufRead, Seek, SeekFrom};
use std::ops::Range;

const FILL: u8 = 0xff;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
/// Adobe's own segment, which says how colours are written.
const APP14: u8 = 0xee;
/// Bytes of an `APP14` segment that holds all it should, its length included.
const APP14_BYTES_MIN: u64 = 14;
/// What EXIF data begins with.
const EXIF: &[u8] = b"Exif\0\0";
/// What a part of a colour profile begins with; its number and the number of all parts follow.
const PROFILE: &[u8] = b"ICC_PROFILE\0";
/// Stretches that stray bytes may cut a file into; one of more is taken for damaged.
const STRETCHES_MAX: usize = 10_000;
/// Bytes that a start of frame may hold: four components.
const FRAME_BYTES_MAX: usize = 64;

/// Why a JPEG is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JpegFault {
    /// It ends before its picture does: decoders would paint the rest grey and say nothing.
    CutShort,
    /// Its segments make no sense.
    Damaged,
    /// The file cannot be read.
    Unreadable(std::io::ErrorKind),
}

impl From<std::io::Error> for JpegFault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::CutShort,
            kind => Self::Unreadable(kind),
        }
    }
}

/// What lies where in a JPEG, in bytes from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JpegSegments {
    /// What belongs to the picture, in order; the last stretch begins or ends with the scans.
    pub(super) kept: Vec<Range<u64>>,
    /// Bytes of `kept` before the first scan's data.
    pub(super) head_bytes: u64,
    /// Marker and content of the first start of frame.
    pub(super) frame: Option<(u8, Vec<u8>)>,
    /// Components in the first scan.
    pub(super) scan_components: u8,
    /// EXIF data, without what it begins with.
    pub(super) exif: Option<Range<u64>>,
    /// Parts of the colour profile, by their number.
    pub(super) profile: Vec<(u8, Range<u64>)>,
}

/// Steps over all segments of a file of `bytes` bytes up to its first scan.
///
/// # Errors
/// [`JpegFault::CutShort`] where no scan comes; [`JpegFault::Damaged`]; [`JpegFault::Unreadable`].
pub(super) fn segments(content: &mut (impl BufRead + Seek), bytes: u64) -> Result<JpegSegments, JpegFault> {
    let mut found = JpegSegments::default();
    content.seek(SeekFrom::Start(2))?;
    found.keep(0..2)?;
    let mut at = 2;
    loop {
        let Segment { marker, from, end } = next(content, at, bytes)?;
        at = end;
        if marker == APP14 && end - from - 2 < APP14_BYTES_MIN {
            content.seek_relative(signed(end - from - 4)?)?;
            continue;
        }
        found.keep(from..end)?;
        let left = end - from - 4;
        let read = found.look(content, marker, from + 4..end)?;
        content.seek_relative(signed(left - read)?)?;
        if marker == START_OF_SCAN {
            found.head_bytes = found.kept.iter().map(|range| range.end - range.start).sum();
            found.keep(at..bytes)?;
            return Ok(found);
        }
    }
}

impl JpegSegments {
    /// Keeps one more stretch; the next one to the last makes it longer.
    fn keep(&mut self, range: Range<u64>) -> Result<(), JpegFault> {
        let full = self.kept.len() == STRETCHES_MAX;
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if full => return Err(JpegFault::Damaged),
            _ => self.kept.push(range),
        }
        Ok(())
    }

    /// Notes what is of use in the segment whose content is `place`; answers how many bytes of it were read.
    fn look(&mut self, content: &mut impl BufRead, marker: u8, place: Range<u64>) -> Result<u64, JpegFault> {
        let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        let mut start = vec![
            0;
            length.min(match marker {
                APP1 => EXIF.len(),
                APP2 => PROFILE.len() + 2,
                START_OF_SCAN => 1,
                marker if is_frame(marker) && self.frame.is_none() => FRAME_BYTES_MAX,
                _ => 0,
            })
        ];
        content.read_exact(&mut start)?;
        let read = start.len() as u64;
        match marker {
            APP1 if start == EXIF && self.exif.is_none() => self.exif = Some(place.start + read..place.end),
            APP2 => {
                if let Some([number, _count]) = start.strip_prefix(PROFILE)
                    && self.profile.iter().all(|(known, _)| known != number)
                {
                    self.profile.push((*number, place.start + read..place.end));
                }
            }
            START_OF_SCAN => self.scan_components = start.first().copied().unwrap_or(0),
            marker if is_frame(marker) && self.frame.is_none() => self.frame = Some((marker, start)),
            _ => {}
        }
        Ok(read)
    }
}

/// True for starts of frames: 0xc0 to 0xcf, less the three that share their block.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn signed(bytes: u64) -> Result<i64, JpegFault> {
    i64::try_from(bytes).map_err(|_too_long| JpegFault::Damaged)
}

/// A marker with its length and what it carries.
struct Segment {
    marker: u8,
    from: u64,
    end: u64,
}

/// The first segment at or after `at`, where `content` stands; leaves it behind the segment's length.
fn next(content: &mut (impl BufRead + Seek), mut at: u64, bytes: u64) -> Result<Segment, JpegFault> {
    let byte = |content: &mut dyn BufRead| -> Result<u8, JpegFault> {
        let mut byte = [0];
        content.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    loop {
        let mut marker = byte(content)?;
        at += 1;
        if marker != FILL {
            continue;
        }
        // No marker yet: fill bytes.
        while marker == FILL {
            marker = byte(content)?;
            at += 1;
        }
        match marker {
            // A value that data may hold, and markers that carry nothing and have no place here.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            END_OF_IMAGE => return Err(JpegFault::CutShort),
            marker => {
                let length = u16::from_be_bytes([byte(content)?, byte(content)?]);
                if length < 2 {
                    // No segment: what looks like its length may be a marker.
                    content.seek_relative(-2)?;
                    continue;
                }
                let end = at + u64::from(length);
                if end > bytes {
                    return Err(JpegFault::CutShort);
                }
                return Ok(Segment { marker, from: at - 2, end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use proptest::prelude::*;

    use super::*;

    const COMMENT: &[u8] = &[0xff, 0xfe, 0, 4, b'h', b'i'];
    const SCAN: &[u8] = &[0xff, 0xda, 0, 3, 1, 2, 0xff, 0, 3, 0xff, 0xd9];

    fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
        [&[0xff, 0xd8][..], &parts.concat()].concat()
    }

    /// What is kept of the file.
    fn cleaned(content: &[u8]) -> Result<Vec<u8>, JpegFault> {
        let mut reader = Cursor::new(content);
        let found = segments(&mut reader, content.len() as u64)?;
        let mut kept = Vec::new();
        for Range { start, end } in found.kept {
            reader.seek(SeekFrom::Start(start)).unwrap();
            (&mut reader).take(end - start).read_to_end(&mut kept).unwrap();
        }
        Ok(kept)
    }

    #[test]
    fn stray_bytes_go_and_nothing_else() {
        let whole = jpeg(&[COMMENT, COMMENT, SCAN]);
        for stray in [&b""[..], b"\0", b"\0\0junk", b"\xff", b"\xff\xff\xff", b"x\xff\0y", b"\xff\xe5\0\x01"]
        {
            assert_eq!(
                cleaned(&jpeg(&[COMMENT, stray, COMMENT, stray, SCAN])),
                Ok(whole.clone()),
                "{stray:?}"
            );
        }
        let after = jpeg(&[COMMENT, SCAN, b"more"]);
        assert_eq!(cleaned(&after), Ok(after.clone()), "what follows the picture is left alone");
        let many = [&b"\0"[..], COMMENT].concat().repeat(STRETCHES_MAX + 1);
        assert_eq!(cleaned(&jpeg(&[&many, SCAN])), Err(JpegFault::Damaged));
    }

    #[test]
    fn a_cut_adobe_segment_goes() {
        let cut = [0xff, 0xee, 0, 7, b'A', b'd', b'o', b'b', b'e'];
        assert_eq!(cleaned(&jpeg(&[&cut, COMMENT, SCAN])), Ok(jpeg(&[COMMENT, SCAN])));
        let whole = [&[0xff, 0xee, 0, 14][..], b"Adobe\0\x64\0\0\0\0\x01"].concat();
        assert_eq!(cleaned(&jpeg(&[&whole, SCAN])), Ok(jpeg(&[&whole, SCAN])));
    }

    #[test]
    fn what_ends_before_its_scan_is_cut_short() {
        let whole = jpeg(&[COMMENT, SCAN]);
        for length in 2..whole.len() - 6 {
            assert_eq!(cleaned(&whole[..length]), Err(JpegFault::CutShort), "{length}");
        }
        assert_eq!(cleaned(&jpeg(&[COMMENT, &[0xff, 0xd9]])), Err(JpegFault::CutShort), "no picture");
    }

    #[test]
    fn what_is_of_use_is_found() {
        let exif = b"\xff\xe1\0\x0aExif\0\0MM";
        let second = b"\xff\xe2\0\x11ICC_PROFILE\0\x02\x02b";
        let first = b"\xff\xe2\0\x11ICC_PROFILE\0\x01\x02a";
        let frame = b"\xff\xc2\0\x0b\x08\0\x10\0\x20\x01\x01\x11\0";
        let content = jpeg(&[exif, second, first, b"\xff\xc4\0\x02", frame, SCAN]);
        let found = segments(&mut Cursor::new(&content), content.len() as u64).unwrap();
        assert_eq!(found.exif, Some(12..14));
        assert_eq!(found.profile, [(2, 32..33), (1, 51..52)]);
        assert_eq!(found.frame, Some((0xc2, frame[4..].to_vec())));
        assert_eq!((found.scan_components, found.kept.len()), (1, 1));
        assert_eq!(found.kept[0], 0..content.len() as u64);
        assert_eq!(content[usize::try_from(found.head_bytes).unwrap()..], [2, 0xff, 0, 3, 0xff, 0xd9]);
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _either = cleaned(&jpeg(&[&bytes]));
        }
    }
}
