//! Pictures in JPEG: their head, and their pixels by libjpeg-turbo's way, made smaller while they are decoded.
//!
//! CMYK, and sides longer than that library takes, go by the decoder of `image`.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use memchr::memmem;
use mozjpeg::Decompress;

use super::super::size::Size;
use super::jpeg_segments::{JpegFault, JpegSegments, segments};
use super::{
    ColourProfile, METADATA_BYTES_MAX, TaskContext, TaskError, changed, damaged, fault, unreadable,
    unsupported, wanted,
};

/// Pixels of the longest side that libjpeg takes.
const LIBJPEG_SIDE_MAX: u32 = 65_500;
/// Scans of a picture; each is a pass over all of it. Encoders write a dozen.
const SCANS_MAX: usize = 100;
/// Rows that are decoded between two looks at the cancel.
const ROWS: usize = 64;

/// What the segments of a JPEG say.
#[derive(Clone, Debug)]
pub(in super::super) struct JpegHead {
    segments: JpegSegments,
    size: Size,
    components: u8,
    /// Bytes of the coefficients of all components, where the file does not bring them in the order of the picture.
    coefficient_bytes: u64,
}

/// Reads the head of a file of `bytes` bytes.
pub(super) fn head(content: &mut BufReader<File>, bytes: u64) -> Result<(JpegHead, Orientation), TaskError> {
    let segments = segments(content, bytes).map_err(refused)?;
    let Some((marker, frame)) = &segments.frame else { return Err(damaged()) };
    let [8, height_high, height_low, width_high, width_low, components, sampling @ ..] = &frame[..] else {
        return Err(if frame.len() < 6 { damaged() } else { unsupported() });
    };
    // Baseline, extended and progressive, as Huffman codes.
    if !matches!(marker, 0xc0..=0xc2) || !matches!(components, 1 | 3 | 4) {
        return Err(unsupported());
    }
    let size = Size {
        width: u32::from(u16::from_be_bytes([*width_high, *width_low])),
        height: u32::from(u16::from_be_bytes([*height_high, *height_low])),
    };
    let factors: Vec<(u32, u32)> =
        sampling.chunks_exact(3).map(|one| (u32::from(one[1] >> 4), u32::from(one[1] & 15))).collect();
    if factors.len() != usize::from(*components)
        || factors.iter().any(|(across, down)| !(1..=4).contains(across) || !(1..=4).contains(down))
    {
        return Err(damaged());
    }
    let in_order = *marker != 0xc2 && segments.scan_components == *components;
    let coefficient_bytes = if in_order { 0 } else { coefficient_bytes(size, &factors) };
    let exif = match &segments.exif {
        Some(place) => {
            content.seek(SeekFrom::Start(place.start)).map_err(|error| unreadable(&error))?;
            let mut exif = Vec::new();
            content
                .take(place.end - place.start)
                .read_to_end(&mut exif)
                .map_err(|error| unreadable(&error))?;
            exif
        }
        None => Vec::new(),
    };
    let orientation = Orientation::from_exif_chunk(&exif).unwrap_or(Orientation::NoTransforms);
    let components = *components;
    Ok((JpegHead { segments, size, components, coefficient_bytes }, orientation))
}

/// Two bytes for each sample, in whole units of all components.
fn coefficient_bytes(size: Size, factors: &[(u32, u32)]) -> u64 {
    let most = |of: fn(&(u32, u32)) -> u32| factors.iter().map(of).max().unwrap_or(1);
    let across = u64::from(size.width.div_ceil(8 * most(|factor| factor.0)));
    let down = u64::from(size.height.div_ceil(8 * most(|factor| factor.1)));
    factors.iter().map(|(h, v)| across * down * u64::from(h * v) * 64 * 2).sum()
}

fn refused(fault: JpegFault) -> TaskError {
    match fault {
        JpegFault::CutShort => TaskError::input("decode", "the picture is cut short"),
        JpegFault::Damaged => damaged(),
        JpegFault::Unreadable(kind) => unreadable(&kind.into()),
    }
}

impl JpegHead {
    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn is_cmyk(&self) -> bool {
        self.components == 4
    }

    /// Samples that a decoded pixel has: CMYK becomes RGB.
    pub(super) fn channels(&self) -> u8 {
        self.components.min(3)
    }

    /// True where the decoder can make the picture smaller.
    pub(super) fn shrinks(&self) -> bool {
        !self.is_cmyk() && self.size.width <= LIBJPEG_SIDE_MAX && self.size.height <= LIBJPEG_SIDE_MAX
    }

    /// Bytes that decoding takes beside the pixels: coefficients, and some rows of all components.
    pub(super) fn work_bytes(&self, file_bytes: u64) -> u64 {
        let copies = if self.shrinks() { 1 } else { 2 };
        file_bytes * copies
            + self.coefficient_bytes
            + u64::from(self.size.width) * u64::from(self.components) * 64
    }

    pub(super) fn profile(&self, content: &mut BufReader<File>) -> Result<ColourProfile, TaskError> {
        let mut parts = self.segments.profile.clone();
        if parts.is_empty() {
            return Ok(ColourProfile::None);
        }
        parts.sort_by_key(|(number, _)| *number);
        let is_whole = parts.iter().zip(1..).all(|((number, _), expected)| *number == expected);
        if !is_whole
            || parts.iter().map(|(_, place)| place.end - place.start).sum::<u64>() > METADATA_BYTES_MAX
        {
            return Ok(ColourProfile::LeftOut);
        }
        let mut profile = Vec::new();
        for (_, place) in parts {
            content.seek(SeekFrom::Start(place.start)).map_err(|error| unreadable(&error))?;
            content
                .take(place.end - place.start)
                .read_to_end(&mut profile)
                .map_err(|error| unreadable(&error))?;
        }
        Ok(ColourProfile::Kept(profile))
    }

    /// The pixels, at one `shrink`th of the size.
    pub(super) fn pixels(
        &self,
        path: &Path,
        shrink: u8,
        context: &TaskContext,
    ) -> Result<DynamicImage, TaskError> {
        let content = self.content(path)?;
        if !self.shrinks() {
            let decoder = JpegDecoder::new(Cursor::new(content)).map_err(|error| fault(&error))?;
            return DynamicImage::from_decoder(decoder).map_err(|error| fault(&error));
        }
        // The library ends with an unwinding, quietly, where a picture is beyond it.
        catch_unwind(AssertUnwindSafe(|| self.scanlines(&content, shrink, context)))
            .unwrap_or_else(|_message| Err(damaged()))
    }

    /// The file without what does not belong to the picture.
    fn content(&self, path: &Path) -> Result<Vec<u8>, TaskError> {
        let mut file = File::open(path).map_err(|error| unreadable(&error))?;
        let bytes: u64 = self.segments.kept.iter().map(|place| place.end - place.start).sum();
        let length = usize::try_from(bytes).map_err(|_more_than_memory| damaged())?;
        let mut content = Vec::with_capacity(length);
        for place in &self.segments.kept {
            file.seek(SeekFrom::Start(place.start)).map_err(|error| unreadable(&error))?;
            let taken = (&mut file).take(place.end - place.start).read_to_end(&mut content);
            taken.map_err(|error| unreadable(&error))?;
        }
        let head = usize::try_from(self.segments.head_bytes).unwrap_or(usize::MAX);
        let scans = content.get(head..).filter(|_| content.len() == length).ok_or_else(changed)?;
        let end = memmem::find(scans, b"\xff\xd9").ok_or_else(|| refused(JpegFault::CutShort))?;
        if memmem::find_iter(&scans[..end], b"\xff\xda").nth(SCANS_MAX - 1).is_some() {
            return Err(TaskError::input("too_large", "the picture has more scans than the 100 allowed"));
        }
        Ok(content)
    }

    fn scanlines(
        &self,
        content: &[u8],
        shrink: u8,
        context: &TaskContext,
    ) -> Result<DynamicImage, TaskError> {
        const EXPECTED: &str = "as many samples as its size says";
        let mut reader = Decompress::new_mem(content).map_err(|_nothing| damaged())?;
        let Size { width, height } = self.size;
        if (reader.width(), reader.height()) != (width as usize, height as usize) {
            return Err(changed());
        }
        reader.scale(8 / shrink);
        let started = if self.components == 1 { reader.grayscale() } else { reader.rgb() };
        let mut started = started.map_err(|_stopped| damaged())?;
        let Size { width, height } = self.size.shrunk(shrink);
        if (started.width(), started.height()) != (width as usize, height as usize) {
            return Err(damaged());
        }
        let row = width as usize * usize::from(self.channels());
        let mut samples = vec![0; row * height as usize];
        for rows in samples.chunks_mut(row * ROWS) {
            wanted(context)?;
            started.read_scanlines_into(rows).map_err(|_stopped| damaged())?;
        }
        Ok(if self.components == 1 {
            GrayImage::from_raw(width, height, samples).expect(EXPECTED).into()
        } else {
            RgbImage::from_raw(width, height, samples).expect(EXPECTED).into()
        })
    }
}
