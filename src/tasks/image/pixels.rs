//! Pixels: to 8 bits, to another size, onto white, into a file's bytes.
//!
//! Grey stays grey and transparency stays, unless the format has none.

use fast_image_resize::images::{Image as Raster, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::error::ImageError;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageEncoder, RgbImage, RgbaImage};

use super::size::Size;
use super::webp::{self, WebpLoss};
use super::{Fit, Format, TaskError, png};

/// Bytes of a colour profile that is kept; a larger one is left out.
const PROFILE_BYTES_MAX: usize = 1024 * 1024;

/// Brings every sample to 8 bits; grey stays grey, and what has transparency keeps it.
pub(super) fn eight_bits(picture: DynamicImage) -> DynamicImage {
    let color = picture.color();
    match (color.has_color(), color.has_alpha()) {
        (false, false) => picture.into_luma8().into(),
        (false, true) => picture.into_luma_alpha8().into(),
        (true, false) => picture.into_rgb8().into(),
        (true, true) => picture.into_rgba8().into(),
    }
}

/// Resizes with a Lanczos filter; transparent pixels lend no colour to their neighbours.
pub(super) fn resized(picture: DynamicImage, to: Size, fit: Fit) -> Result<DynamicImage, TaskError> {
    const EXPECTED: &str = "an 8-bit picture of a checked size";
    if (picture.width(), picture.height()) == (to.width, to.height) {
        return Ok(picture);
    }
    let pixel = match picture.color().channel_count() {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let from = ImageRef::new(picture.width(), picture.height(), picture.as_bytes(), pixel).expect(EXPECTED);
    let mut raster = Raster::new(to.width, to.height, pixel);
    let options = match fit {
        Fit::Cover => ResizeOptions::new().fit_into_destination(Some((0.5, 0.5))),
        Fit::Contain | Fit::Fill => ResizeOptions::new(),
    };
    Resizer::new()
        .resize(&from, &mut raster, &options)
        .map_err(|_refused| TaskError::input("decode", "the picture could not be resized"))?;
    let (width, height, samples) = (to.width, to.height, raster.into_vec());
    Ok(match pixel {
        PixelType::U8 => GrayImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        PixelType::U8x2 => GrayAlphaImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        PixelType::U8x3 => RgbImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        _ => RgbaImage::from_raw(width, height, samples).expect(EXPECTED).into(),
    })
}

/// Lays a picture with transparency on white.
fn on_white(picture: DynamicImage) -> DynamicImage {
    let laid = |sample: u8, alpha: u8| {
        let alpha = u32::from(alpha);
        u8::try_from((u32::from(sample) * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
    };
    match picture {
        DynamicImage::ImageLumaA8(gray) => {
            let pixels = gray.pixels().map(|pixel| laid(pixel[0], pixel[1])).collect();
            GrayImage::from_raw(gray.width(), gray.height(), pixels).expect("one sample a pixel").into()
        }
        DynamicImage::ImageRgba8(colour) => {
            let pixels = colour.pixels().flat_map(|pixel| [0, 1, 2].map(|at| laid(pixel[at], pixel[3])));
            RgbImage::from_raw(colour.width(), colour.height(), pixels.collect())
                .expect("three samples a pixel")
                .into()
        }
        opaque => opaque,
    }
}

/// True where some pixel is not opaque.
pub(super) fn has_clear_pixels(picture: &DynamicImage) -> bool {
    let channels = usize::from(picture.color().channel_count());
    picture.color().has_alpha()
        && picture.as_bytes().chunks_exact(channels).any(|pixel| pixel[channels - 1] != u8::MAX)
}

/// Writes the picture in `format`, with its colour profile where that is of the same kind: whether it was kept.
pub(super) fn encode(
    picture: DynamicImage,
    format: Format,
    quality: u8,
    loss: WebpLoss,
    profile: Option<Vec<u8>>,
) -> Result<(Vec<u8>, bool), TaskError> {
    let picture = if format == Format::Jpeg { on_white(picture) } else { picture };
    let kind: &[u8] = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    let profile = profile.filter(|bytes| bytes.len() <= PROFILE_BYTES_MAX && bytes.get(16..20) == Some(kind));
    let kept = profile.is_some();
    let refused = || TaskError::input("encode", "the result could not be encoded");
    let content = match format {
        Format::Png => png::encode(&picture, profile).map_err(|_refused| refused())?,
        Format::Jpeg => jpeg(&picture, quality, profile).map_err(|_refused| refused())?,
        Format::Webp => webp::encode(&picture, loss, profile.as_deref())?,
    };
    Ok((content, kept))
}

fn jpeg(picture: &DynamicImage, quality: u8, profile: Option<Vec<u8>>) -> Result<Vec<u8>, ImageError> {
    let mut content = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut content, quality);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())?;
    Ok(content)
}
