//! One picture: look at its header, then decode, resize, turn upright and encode it.
//!
//! Sizes are checked on the header, before pixels are allocated, and no message names the file, so that one cause is
//! one family.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::frames;
use super::jpeg_segments::{JpegFault, cleaned};
use super::pixels::{eight_bits, encode, has_clear_pixels, resized};
use super::size::Size;
use super::webp::WebpLoss;
use super::{Fit, Format, ImageParams, SIDE_PIXELS_MAX, TaskContext, TaskError};

/// Pixels that a picture may have, on the way in and on the way out.
const PIXELS_MAX: u64 = 100_000_000;
/// Pixels that one side may have on the way in: the most that JPEG can say.
const SIDE_PIXELS_IN_MAX: u32 = 65_535;
/// Bytes that a decoder may allocate, pixels included.
const DECODER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of a file that is looked at.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a JPEG that is looked at: its decoder holds the file whole from the first look on.
const JPEG_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What is to be done, known from the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) format: Format,
    /// Size of the result, upright.
    pub(super) to: Size,
    fit: Fit,
    from: Size,
    pixel_bytes: u8,
    file_bytes: u64,
}

impl Plan {
    /// What decoding, resizing and turning take at their worst, in mebibytes, at least 1.
    pub(super) fn memory_mib(&self) -> u32 {
        let decoded = self.from.pixels() * (u64::from(self.pixel_bytes) + 4);
        let bytes = decoded + self.to.pixels() * 3 * 4 + self.file_bytes * 2;
        u32::try_from(bytes / (1024 * 1024)).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The sentence for what went wrong while reading.
fn fault(error: &ImageError) -> TaskError {
    match error {
        ImageError::Decoding(_) | ImageError::Parameter(_) | ImageError::Encoding(_) => {
            TaskError::input("decode", "the picture is damaged")
        }
        ImageError::Limits(_) => too_large(),
        ImageError::Unsupported(_) => {
            TaskError::input("unsupported", "the picture uses a feature that is not supported")
        }
        ImageError::IoError(error) => match error.kind() {
            // What the decoders say of a file that ends too early, or whose content makes no sense.
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::Other => TaskError::input("decode", "the picture is damaged"),
            _cause => unreadable(error),
        },
    }
}

fn too_large() -> TaskError {
    TaskError::input("too_large", "the picture has more pixels than the 100 million allowed")
}

fn wanted(context: &TaskContext) -> Result<(), TaskError> {
    if context.cancelled() {
        return Err(TaskError::passing("cancelled", "the item is no longer wanted"));
    }
    Ok(())
}

fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// A picture of which only the header has been read.
struct Opened<D> {
    format: Format,
    bytes: u64,
    frames: u32,
    decoder: D,
}

/// Bytes of a picture, in a file or in memory.
trait Content: BufRead + Seek {}

impl<T: BufRead + Seek> Content for T {}

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

/// Opens the picture and holds its decoder to the limits.
fn open(path: &Path) -> Result<Opened<impl ImageDecoder>, TaskError> {
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
    let mut content: Box<dyn Content> = Box::new(BufReader::new(file));
    let format = format_of(content.fill_buf().map_err(|error| unreadable(&error))?)?;
    if bytes > if format == Format::Jpeg { JPEG_BYTES_MAX } else { FILE_BYTES_MAX } {
        let message = "the file is larger than allowed: 128 MiB for a JPEG, 512 MiB for others";
        return Err(TaskError::input("too_large", message));
    }
    let frames = frames::count(&mut content, format);
    if format == Format::Jpeg {
        let bytes = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let bytes = cleaned(bytes)
            .map_err(|JpegFault::CutShort| TaskError::input("decode", "the picture is cut short"))?;
        content = Box::new(Cursor::new(bytes));
    }
    content.rewind().map_err(|error| unreadable(&error))?;
    let mut reader = ImageReader::with_format(
        content,
        match format {
            Format::Png => ImageFormat::Png,
            Format::Jpeg => ImageFormat::Jpeg,
            Format::Webp => ImageFormat::WebP,
        },
    );
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(SIDE_PIXELS_IN_MAX);
    limits.max_image_height = Some(SIDE_PIXELS_IN_MAX);
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| fault(&error))?;
    Ok(Opened { format, bytes, frames, decoder })
}

fn unreadable(error: &std::io::Error) -> TaskError {
    TaskError::passing("io", format!("the file could not be read: {}", error.kind()))
}

/// Reads the header and says what is to be done.
pub(super) fn plan(path: &Path, params: &ImageParams) -> Result<Plan, TaskError> {
    let Opened { format, bytes, frames: _, mut decoder } = open(path)?;
    let (width, height) = decoder.dimensions();
    let from = Size { width, height };
    if from.pixels() == 0 {
        return Err(TaskError::input("decode", "the picture has no pixels"));
    }
    if from.pixels() > PIXELS_MAX {
        return Err(too_large());
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let upright = if turns(orientation) { from.turned() } else { from };
    let to = upright.fitted(params.width, params.height, params.fit);
    let format = params.format.unwrap_or(format);
    let side_max = match format {
        Format::Webp => SIDE_PIXELS_MAX,
        Format::Png | Format::Jpeg => SIDE_PIXELS_IN_MAX,
    };
    if to.pixels() > PIXELS_MAX || to.width > side_max || to.height > side_max {
        return Err(TaskError::input(
            "too_large",
            "the result would have more pixels than are allowed: 100 million, and 16,383 a side in WebP",
        ));
    }
    Ok(Plan {
        format,
        to,
        fit: params.fit,
        from,
        pixel_bytes: decoder.color_type().bytes_per_pixel(),
        file_bytes: bytes,
    })
}

/// Makes the file that `plan` describes; answers its content, and in sentences what it does not keep of the picture.
pub(super) fn make(
    path: &Path,
    plan: &Plan,
    quality: u8,
    loss: WebpLoss,
    context: &TaskContext,
) -> Result<(Vec<u8>, Vec<String>), TaskError> {
    wanted(context)?;
    let Opened { mut decoder, frames, .. } = open(path)?;
    let (width, height) = decoder.dimensions();
    if (width, height) != (plan.from.width, plan.from.height) {
        return Err(TaskError::passing("io", "the file was changed while it was read"));
    }
    let mut notes = Vec::new();
    if frames > 1 {
        notes.push(format!("Only the first of {frames} frames was kept."));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let cmyk = matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
    let found = decoder.icc_profile().ok().flatten();
    let has_profile = found.is_some();
    let profile = found.filter(|_| !cmyk);
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| fault(&error))?;
    let color = picture.color();
    if color.bytes_per_pixel() > color.channel_count() {
        notes.push(format!(
            "{} bits a sample became 8.",
            color.bits_per_pixel() / u16::from(color.channel_count())
        ));
    }
    if cmyk {
        notes.push("CMYK became RGB, without its colour profile.".to_owned());
    }
    let picture = eight_bits(picture);
    context.progress(0.5);
    wanted(context)?;
    let to = if turns(orientation) { plan.to.turned() } else { plan.to };
    let mut picture = resized(picture, to, plan.fit)?;
    picture.apply_orientation(orientation);
    context.progress(0.8);
    wanted(context)?;
    if plan.format == Format::Jpeg && has_clear_pixels(&picture) {
        notes.push("Transparent parts became white: jpeg has no transparency.".to_owned());
    }
    let (content, kept) = encode(picture, plan.format, quality, loss, profile)?;
    if has_profile && !cmyk && !kept {
        notes.push(
            "The colour profile was left out: it is too large, or of another kind than the picture."
                .to_owned(),
        );
    }
    Ok((content, notes))
}
