//! The segments of a JPEG before its first scan: stepped over, and freed of what does not belong there.
//!
//! Cameras and editors leave stray bytes between segments; viewers skip them, and so does this. Source of the layout: ITU-T
//! T.81, annex B.

const FILL: u8 = 0xff;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
/// Adobe's own segment, which says how colours are written.
const APP14: u8 = 0xee;
/// Bytes of an `APP14` segment that holds all it should, its length included.
const APP14_BYTES_MIN: usize = 14;

/// Why a JPEG is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JpegFault {
    /// It ends before its picture does: decoders would paint the rest grey and say nothing.
    CutShort,
}

/// A JPEG that has its end, without stray bytes between its segments and without an `APP14` that is cut off.
///
/// # Errors
/// [`JpegFault::CutShort`].
pub(super) fn cleaned(content: Vec<u8>) -> Result<Vec<u8>, JpegFault> {
    let start_of_image = 0..2;
    let mut kept = vec![start_of_image];
    let mut at = 2;
    loop {
        let Segment { marker, from, end } = next(&content, at)?;
        at = end;
        if marker == APP14 && end - from - 2 < APP14_BYTES_MIN {
            continue;
        }
        kept.push(from..end);
        if marker == START_OF_SCAN {
            break;
        }
    }
    let scans = content.get(at..).ok_or(JpegFault::CutShort)?;
    if !scans.windows(2).any(|pair| pair == [FILL, END_OF_IMAGE]) {
        return Err(JpegFault::CutShort);
    }
    kept.push(at..content.len());
    if kept.windows(2).all(|pair| pair[0].end == pair[1].start) {
        return Ok(content);
    }
    Ok(kept.into_iter().flat_map(|range| &content[range]).copied().collect())
}

/// A marker with its length and what it carries.
struct Segment {
    marker: u8,
    from: usize,
    end: usize,
}

/// The first segment at or after `at`.
fn next(content: &[u8], mut at: usize) -> Result<Segment, JpegFault> {
    loop {
        let byte = |at: usize| content.get(at).copied().ok_or(JpegFault::CutShort);
        if byte(at)? != FILL {
            at += 1;
            continue;
        }
        match byte(at + 1)? {
            // No marker: fill bytes, and a value that data may hold.
            FILL => at += 1,
            // Markers that carry nothing, and have no place here.
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            END_OF_IMAGE => return Err(JpegFault::CutShort),
            marker => {
                let length = usize::from(u16::from_be_bytes([byte(at + 2)?, byte(at + 3)?]));
                if length < 2 {
                    at += 2;
                    continue;
                }
                let end = at + 2 + length;
                if end > content.len() {
                    return Err(JpegFault::CutShort);
                }
                return Ok(Segment { marker, from: at, end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMENT: &[u8] = &[0xff, 0xfe, 0, 4, b'h', b'i'];
    const SCAN: &[u8] = &[0xff, 0xda, 0, 2, 1, 2, 0xff, 0, 3, 0xff, 0xd9];

    fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
        [&[0xff, 0xd8][..], &parts.concat()].concat()
    }

    #[test]
    fn stray_bytes_go_and_nothing_else() {
        let whole = jpeg(&[COMMENT, COMMENT, SCAN]);
        for stray in [&b""[..], b"\0", b"\0\0junk", b"\xff", b"\xff\xff\xff", b"x\xff\0y"] {
            assert_eq!(
                cleaned(jpeg(&[COMMENT, stray, COMMENT, stray, SCAN])),
                Ok(whole.clone()),
                "{stray:?}"
            );
        }
        let after = jpeg(&[COMMENT, SCAN, b"more"]);
        assert_eq!(cleaned(after.clone()), Ok(after), "what follows the picture is left alone");
    }

    #[test]
    fn a_cut_adobe_segment_goes() {
        let cut = [0xff, 0xee, 0, 7, b'A', b'd', b'o', b'b', b'e'];
        assert_eq!(cleaned(jpeg(&[&cut, COMMENT, SCAN])), Ok(jpeg(&[COMMENT, SCAN])));
        let whole = [&[0xff, 0xee, 0, 14][..], b"Adobe\0\x64\0\0\0\0\x01"].concat();
        assert_eq!(cleaned(jpeg(&[&whole, SCAN])), Ok(jpeg(&[&whole, SCAN])));
    }

    #[test]
    fn what_ends_early_is_cut_short() {
        let whole = jpeg(&[COMMENT, SCAN]);
        for length in 2..whole.len() {
            assert_eq!(cleaned(whole[..length].to_vec()), Err(JpegFault::CutShort), "{length}");
        }
        assert_eq!(cleaned(jpeg(&[COMMENT, &[0xff, 0xd9]])), Err(JpegFault::CutShort), "no picture");
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _either = cleaned(jpeg(&[&bytes]));
        }
    }
}
