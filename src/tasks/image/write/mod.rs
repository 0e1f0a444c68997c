//! Pixels into the bytes of a file, with the colour profile where it is of the same kind.

mod jpeg;
pub(super) mod png;
mod webp;

use image::DynamicImage;

use self::webp::WebpLoss;
use super::pixels::on_white;
use super::size::Size;
use super::{Format, ImageParams, TaskError};

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writing {
    pub(super) format: Format,
    quality: u8,
    webp: WebpLoss,
}

impl Writing {
    /// As `params` say; without a format, as the picture came.
    pub(super) fn of(params: &ImageParams, came: Format) -> Self {
        Self {
            format: params.format.unwrap_or(came),
            quality: params.quality,
            webp: if params.lossless { WebpLoss::None } else { WebpLoss::Quality(params.quality) },
        }
    }
}

/// Bytes that writing takes at most beside the pixels, the file included. Measured, and rounded up.
pub(super) fn work_bytes(writing: Writing, size: Size, channels: u64) -> u64 {
    let pixels = size.pixels();
    let samples = pixels * channels;
    match (writing.format, writing.webp) {
        // Laid on white, then the file.
        (Format::Jpeg, _) => 2 * samples,
        // Numbers of colours, filtered rows, the file.
        (Format::Png, _) => pixels + 2 * samples,
        (Format::Webp, WebpLoss::Quality(_)) => pixels * webp::LOSSY_BYTES,
        (Format::Webp, WebpLoss::None) => pixels * webp::LOSSLESS_BYTES,
    }
}

/// Writes the picture: the file, and whether the colour profile is in it.
pub(super) fn encode(
    picture: DynamicImage,
    writing: Writing,
    profile: Option<Vec<u8>>,
) -> Result<(Vec<u8>, bool), TaskError> {
    let picture = if writing.format == Format::Jpeg { on_white(picture) } else { picture };
    let kind: &[u8] = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    let profile = profile.filter(|bytes| bytes.get(16..20) == Some(kind));
    let kept = profile.is_some();
    let content = match writing.format {
        Format::Png => png::encode(&picture, profile).map_err(|_refused| refused())?,
        Format::Jpeg => jpeg::encode(&picture, writing.quality, profile.as_deref())?,
        Format::Webp => webp::encode(&picture, writing.webp, profile.as_deref())?,
    };
    Ok((content, kept))
}

fn refused() -> TaskError {
    TaskError::input("encode", "the result could not be encoded")
}
