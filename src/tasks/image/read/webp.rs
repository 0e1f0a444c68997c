//! Pictures in WebP: their head, and their pixels by libwebp; of an animation the first frame.
//!
//! Source of the layout: RFC 9649, section 2.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use image::metadata::Orientation;
use image::{DynamicImage, GenericImage, RgbImage, RgbaImage};
use webp::{BitstreamFeatures, Decoder};

use super::super::size::Size;
use super::{
    CHUNKS_MAX, ColourProfile, METADATA_BYTES_MAX, TaskContext, TaskError, changed, damaged, too_many_chunks,
    unreadable, wanted,
};

/// Bytes of a file before its first chunk.
const HEAD_BYTES: u64 = 12;
/// Flag of the chunk `VP8X`: there is an animation.
const FLAG_ANIMATION: u8 = 0x02;
/// Flag of the chunk `VP8X`: there is transparency.
const FLAG_ALPHA: u8 = 0x10;
/// Bytes of an `ANMF` chunk before the chunks of the frame.
const FRAME_HEAD_BYTES: u64 = 16;
/// Bytes from which libwebp tells what a picture is.
const FEATURE_BYTES: u64 = 64;

/// What the chunks of a WebP say.
#[derive(Clone, Debug)]
pub(in super::super) struct WebpHead {
    size: Size,
    has_alpha: bool,
    frames: u32,
    exif: Option<Range<u64>>,
    profile: Option<Range<u64>>,
    /// Where of the canvas the first frame lies, and where of the file.
    frame: Option<Frame>,
    file_bytes: u64,
}

/// The first frame of an animation.
#[derive(Clone, Debug)]
struct Frame {
    x: u32,
    y: u32,
    size: Size,
    place: Range<u64>,
}

/// Reads the head of a file of `bytes` bytes.
pub(super) fn head(content: &mut BufReader<File>, bytes: u64) -> Result<(WebpHead, Orientation), TaskError> {
    let mut head = WebpHead {
        size: Size { width: 0, height: 0 },
        has_alpha: false,
        frames: 1,
        exif: None,
        profile: None,
        frame: None,
        file_bytes: bytes,
    };
    let start = read(content, HEAD_BYTES..bytes.min(HEAD_BYTES + 18))?;
    match start.get(..4) {
        Some(b"VP8X") => {
            let [flags, _, _, _, width @ .., _, _, _] = start.get(8..18).ok_or_else(damaged)? else {
                return Err(damaged());
            };
            let height = &start[15..18];
            head.size = Size { width: number(width) + 1, height: number(height) + 1 };
            head.has_alpha = flags & FLAG_ALPHA != 0;
            head.look(content, flags & FLAG_ANIMATION != 0)?;
        }
        Some(b"VP8 " | b"VP8L") => {
            let features = features(content, 0..bytes)?;
            head.size = Size { width: features.width(), height: features.height() };
            head.has_alpha = features.has_alpha();
        }
        _ => return Err(damaged()),
    }
    let exif = match &head.exif {
        Some(place) if place.end - place.start <= METADATA_BYTES_MAX => read(content, place.clone())?,
        _ => Vec::new(),
    };
    // Some writers leave in what EXIF data begins with elsewhere.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif);
    let orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
    Ok((head, orientation))
}

/// Bytes of the file.
fn read(content: &mut BufReader<File>, place: Range<u64>) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Vec::new();
    content.seek(SeekFrom::Start(place.start)).map_err(|error| unreadable(&error))?;
    let length = place.end.saturating_sub(place.start);
    content.take(length).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

/// What libwebp says of the picture that begins there.
fn features(content: &mut BufReader<File>, place: Range<u64>) -> Result<BitstreamFeatures, TaskError> {
    let start = read(content, place.start..place.end.min(place.start + FEATURE_BYTES))?;
    BitstreamFeatures::new(&start).ok_or_else(damaged)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl WebpHead {
    /// Steps over the chunks after `VP8X`.
    fn look(&mut self, content: &mut BufReader<File>, is_animated: bool) -> Result<(), TaskError> {
        let mut at = HEAD_BYTES + 18;
        content.seek(SeekFrom::Start(at)).map_err(|error| unreadable(&error))?;
        let mut frames = 0;
        for _ in 0..CHUNKS_MAX {
            let mut start = [0; 8];
            if content.read_exact(&mut start).is_err() {
                self.frames = frames.max(1);
                return if is_animated && self.frame.is_none() { Err(damaged()) } else { Ok(()) };
            }
            let (kind, length) = (&start[..4], u64::from(number(&start[4..])));
            let place = at + 8..at + 8 + length;
            // Chunks are of even length.
            at = place.end + length % 2;
            let mut read = 0;
            match kind {
                b"ICCP" if self.profile.is_none() => self.profile = Some(place),
                b"EXIF" if self.exif.is_none() => self.exif = Some(place),
                b"ANMF" if is_animated => {
                    frames += 1;
                    if self.frame.is_none() {
                        read = FRAME_HEAD_BYTES;
                        let mut head = [0; 12];
                        content.read_exact(&mut head).map_err(|_short| damaged())?;
                        content.seek_relative(4).map_err(|error| unreadable(&error))?;
                        self.frame = Some(self.frame_of(&head, place)?);
                    }
                }
                _ => {}
            }
            let left = i64::try_from(length + length % 2).unwrap_or(i64::MAX) - read.cast_signed();
            content.seek_relative(left).map_err(|_beyond| damaged())?;
        }
        Err(too_many_chunks())
    }

    fn frame_of(&self, head: &[u8; 12], place: Range<u64>) -> Result<Frame, TaskError> {
        let frame = Frame {
            x: number(&head[..3]) * 2,
            y: number(&head[3..6]) * 2,
            size: Size { width: number(&head[6..9]) + 1, height: number(&head[9..]) + 1 },
            place: place.start + FRAME_HEAD_BYTES..place.end,
        };
        let fits =
            frame.x + frame.size.width <= self.size.width && frame.y + frame.size.height <= self.size.height;
        if fits { Ok(frame) } else { Err(damaged()) }
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn channels(&self) -> u8 {
        if self.has_alpha { 4 } else { 3 }
    }

    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes that decoding takes beside the pixels: the file, what libwebp answers (copied into the pixels), its own samples
    /// of pictures without loss, and transparency.
    pub(super) fn work_bytes(&self) -> u64 {
        self.file_bytes + self.size.pixels() * (4 + 4 + 1)
    }

    pub(super) fn profile(&self, content: &mut BufReader<File>) -> Result<ColourProfile, TaskError> {
        match &self.profile {
            None => Ok(ColourProfile::None),
            Some(place) if place.end - place.start > METADATA_BYTES_MAX => Ok(ColourProfile::LeftOut),
            Some(place) => read(content, place.clone()).map(ColourProfile::Kept),
        }
    }

    /// The pixels.
    pub(super) fn pixels(
        &self,
        content: &mut BufReader<File>,
        context: &TaskContext,
    ) -> Result<DynamicImage, TaskError> {
        let (place, size) = match &self.frame {
            Some(frame) => (frame.place.clone(), frame.size),
            None => (0..self.file_bytes, self.size),
        };
        let bytes = read(content, place)?;
        wanted(context)?;
        let features = BitstreamFeatures::new(&bytes).ok_or_else(damaged)?;
        if (features.width(), features.height()) != (size.width, size.height) {
            return Err(if self.frame.is_some() { damaged() } else { changed() });
        }
        let decoded = Decoder::new(&bytes).decode().ok_or_else(damaged)?;
        let picture = if decoded.is_alpha() {
            RgbaImage::from_raw(size.width, size.height, decoded.to_vec()).map(DynamicImage::from)
        } else {
            RgbImage::from_raw(size.width, size.height, decoded.to_vec()).map(DynamicImage::from)
        };
        drop(decoded);
        self.on_canvas(picture.ok_or_else(damaged)?)
    }

    /// The first frame where it belongs; a frame that fills the canvas is the picture.
    fn on_canvas(&self, picture: DynamicImage) -> Result<DynamicImage, TaskError> {
        match &self.frame {
            Some(frame) if frame.size != self.size => {
                let Size { width, height } = self.size;
                let mut canvas: DynamicImage = if self.has_alpha {
                    RgbaImage::new(width, height).into()
                } else {
                    RgbImage::new(width, height).into()
                };
                let laid = canvas.copy_from(&picture, frame.x, frame.y);
                laid.map_err(|_beyond| damaged())?;
                Ok(canvas)
            }
            _ if self.has_alpha == picture.color().has_alpha() => Ok(picture),
            _ if self.has_alpha => Ok(picture.into_rgba8().into()),
            _ => Ok(picture.into_rgb8().into()),
        }
    }
}
