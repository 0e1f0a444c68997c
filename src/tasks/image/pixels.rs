//! Pixels: to 8 bits, to another size, onto white, into a file's bytes.
//!
//! Grey stays grey and transparency stays, unless the format has none.

use fast_image_resize::images::{Image as Raster, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::error::ImageError;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageEncoder, RgbImage, RgbaImage};

use super::size::Size;
use super::{Fit, Format, TaskError};

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

/// Writes the picture in `format`, with its colour profile where that is of the same kind.
pub(super) fn encode(
    picture: DynamicImage,
    format: Format,
    quality: u8,
    profile: Option<Vec<u8>>,
) -> Result<Vec<u8>, TaskError> {
    let picture = if format == Format::Jpeg { on_white(picture) } else { picture };
    let kind: &[u8] = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    let profile = profile.filter(|bytes| bytes.len() <= PROFILE_BYTES_MAX && bytes.get(16..20) == Some(kind));
    let mut content = Vec::new();
    match format {
        Format::Png => write(PngEncoder::new(&mut content), &picture, profile),
        Format::Jpeg => write(JpegEncoder::new_with_quality(&mut content, quality), &picture, profile),
        Format::Webp => write(WebPEncoder::new_lossless(&mut content), &picture, profile),
    }
    .map_err(|_refused| TaskError::input("encode", "the result could not be encoded"))?;
    Ok(content)
}

fn write(
    mut encoder: impl ImageEncoder,
    picture: &DynamicImage,
    profile: Option<Vec<u8>>,
) -> Result<(), ImageError> {
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
}
