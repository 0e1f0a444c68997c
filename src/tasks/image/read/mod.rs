//! Pictures as they come: what their head says, and their pixels.
//!
//! The head is read in little memory, whatever the file holds. Pixels are decoded when that much memory is granted, and
//! so are colour profiles. No message names the file, so that one cause is one family.

mod jpeg;
mod jpeg_segments;
mod png;
mod webp;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};

use self::jpeg::JpegHead;
use self::png::PngHead;
use self::webp::WebpHead;
use super::size::Size;
use super::{Format, TaskContext, TaskError};

/// Pixels that one side may have on the way in: the most that JPEG can say.
pub(super) const SIDE_PIXELS_IN_MAX: u32 = 65_535;
/// Bytes of a colour profile that is kept, and of EXIF data that is read. A larger profile is left out; a PNG with more EXIF
/// data is refused, in a WebP it is passed over.
const METADATA_BYTES_MAX: u64 = 1024 * 1024;
/// Chunks that are stepped over; a picture of more is refused.
const CHUNKS_MAX: usize = 100_000;
/// Bytes of a PNG, which is decoded as it is read.
const PNG_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a JPEG or WebP, whose decoder holds the file whole.
const HELD_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A picture of which only the head has been read.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) format: Format,
    /// Size as it lies in the file, before it is turned upright.
    pub(super) size: Size,
    /// How it is to be turned.
    pub(super) orientation: Orientation,
    file_bytes: u64,
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    Jpeg(JpegHead),
    Png(PngHead),
    Webp(WebpHead),
}

/// What became of a picture's colour profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ColourProfile {
    /// It has none.
    None,
    /// It is larger than what is kept, or damaged.
    LeftOut,
    /// Its bytes.
    Kept(Vec<u8>),
}

/// The format of a picture that begins so. A JPEG is known by its first marker alone: stray bytes may follow it.
fn format_of(start: &[u8]) -> Result<Format, TaskError> {
    match image::guess_format(start) {
        Ok(ImageFormat::Png) => Ok(Format::Png),
        Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
        Ok(ImageFormat::WebP) => Ok(Format::Webp),
        Ok(_other) => {
            Err(TaskError::input("unsupported", "the picture is in a format other than PNG, JPEG or WebP"))
        }
        Err(_unknown) if start.starts_with(&[0xff, 0xd8]) => Ok(Format::Jpeg),
        Err(_unknown) => {
            Err(TaskError::input("unsupported", "the file is not a picture in PNG, JPEG or WebP"))
        }
    }
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), TaskError> {
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
    Ok((BufReader::new(file), bytes))
}

/// Reads what the head of a picture says.
pub(super) fn head(path: &Path) -> Result<Head, TaskError> {
    let (mut content, bytes) = open(path)?;
    let format = format_of(content.fill_buf().map_err(|error| unreadable(&error))?)?;
    if bytes > if format == Format::Png { PNG_BYTES_MAX } else { HELD_BYTES_MAX } {
        let message = "the file is larger than allowed: 512 MiB for a PNG, 128 MiB for others";
        return Err(TaskError::input("too_large", message));
    }
    let (layout, orientation) = match format {
        Format::Jpeg => jpeg::head(&mut content, bytes).map(|(head, turn)| (Layout::Jpeg(head), turn)),
        Format::Png => png::head(&mut content).map(|(head, turn)| (Layout::Png(head), turn)),
        Format::Webp => webp::head(&mut content, bytes).map(|(head, turn)| (Layout::Webp(head), turn)),
    }?;
    let size = match &layout {
        Layout::Jpeg(head) => head.size(),
        Layout::Png(head) => head.size(),
        Layout::Webp(head) => head.size(),
    };
    if size.pixels() == 0 {
        return Err(TaskError::input("decode", "the picture has no pixels"));
    }
    Ok(Head { format, size, orientation, file_bytes: bytes, layout })
}

impl Head {
    /// Frames of an animation, else 1.
    pub(super) fn frames(&self) -> u32 {
        match &self.layout {
            Layout::Jpeg(_) => 1,
            Layout::Png(head) => head.frames(),
            Layout::Webp(head) => head.frames(),
        }
    }

    /// Samples of a decoded pixel, 1 to 4; each has 8 bits.
    pub(super) fn channels(&self) -> u8 {
        match &self.layout {
            Layout::Jpeg(head) => head.channels(),
            Layout::Png(head) => head.channels(),
            Layout::Webp(head) => head.channels(),
        }
    }

    /// Bits of a sample in the file: 8, or 16; fewer count as 8.
    pub(super) fn sample_bits(&self) -> u8 {
        if let Layout::Png(head) = &self.layout { head.sample_bits() } else { 8 }
    }

    /// True if its colours are those of printing ink.
    pub(super) fn is_cmyk(&self) -> bool {
        matches!(&self.layout, Layout::Jpeg(head) if head.is_cmyk())
    }

    /// True where the decoder can make the picture 2, 4 or 8 times smaller.
    pub(super) fn shrinks(&self) -> bool {
        matches!(&self.layout, Layout::Jpeg(head) if head.shrinks())
    }

    /// Bytes that decoding takes at most beside the pixels.
    pub(super) fn work_bytes(&self) -> u64 {
        match &self.layout {
            Layout::Jpeg(head) => head.work_bytes(self.file_bytes),
            Layout::Png(head) => head.work_bytes(),
            Layout::Webp(head) => head.work_bytes(),
        }
    }

    /// Decodes the picture, `shrink` times smaller where it can, with its colour profile. Every sample has 8 bits; grey stays grey,
    /// and what has transparency keeps it.
    pub(super) fn pixels(
        &self,
        path: &Path,
        shrink: u8,
        context: &TaskContext,
    ) -> Result<(DynamicImage, ColourProfile), TaskError> {
        let (mut content, bytes) = open(path)?;
        if bytes != self.file_bytes {
            return Err(changed());
        }
        match &self.layout {
            Layout::Jpeg(head) => {
                let profile = head.profile(&mut content)?;
                Ok((head.pixels(path, shrink, context)?, profile))
            }
            Layout::Png(head) => head.pixels(&mut content, context),
            Layout::Webp(head) => {
                let profile = head.profile(&mut content)?;
                Ok((head.pixels(&mut content, context)?, profile))
            }
        }
    }
}

/// The sentence for what went wrong while reading.
fn fault(error: &ImageError) -> TaskError {
    match error {
        ImageError::Decoding(_) | ImageError::Parameter(_) | ImageError::Encoding(_) => damaged(),
        ImageError::Limits(_) => too_many_pixels(),
        ImageError::Unsupported(_) => unsupported(),
        ImageError::IoError(error) => io_fault(error),
    }
}

/// Decoders say by an error of reading that a file ends too early, or that its content makes no sense.
fn io_fault(error: &std::io::Error) -> TaskError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::Other => damaged(),
        _cause => unreadable(error),
    }
}

fn damaged() -> TaskError {
    TaskError::input("decode", "the picture is damaged")
}

fn unsupported() -> TaskError {
    TaskError::input("unsupported", "the picture uses a feature that is not supported")
}

pub(super) fn too_many_pixels() -> TaskError {
    TaskError::input("too_large", "the picture has more pixels than the 100 million allowed")
}

fn too_many_chunks() -> TaskError {
    TaskError::input("too_large", "the picture has more chunks than the 100,000 allowed")
}

fn changed() -> TaskError {
    TaskError::passing("io", "the file was changed while it was read")
}

fn unreadable(error: &std::io::Error) -> TaskError {
    TaskError::passing("io", format!("the file could not be read: {}", error.kind()))
}

/// # Errors
/// Where the item is no longer wanted.
pub(super) fn wanted(context: &TaskContext) -> Result<(), TaskError> {
    if context.cancelled() {
        return Err(TaskError::passing("cancelled", "the item is no longer wanted"));
    }
    Ok(())
}
