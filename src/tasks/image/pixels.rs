//! Pixels: to another size, and onto white. Every sample has 8 bits.
//!
//! Grey stays grey and transparency stays, unless the format has none.

use fast_image_resize::images::Image as Raster;
use fast_image_resize::{MulDiv, PixelType, ResizeOptions, Resizer};
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::size::Size;
use super::{Fit, TaskError};

/// What a decoded picture shows, in its pixels: where its decoder made it smaller, the last column and row may be pixels that are
/// in the picture in part only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    width: f64,
    height: f64,
}

impl Extent {
    /// A picture of `size`, made `shrink` times smaller.
    pub(super) fn of(size: Size, shrink: u8) -> Self {
        let side = |side: u32| f64::from(side) / f64::from(shrink);
        Self { width: side(size.width), height: side(size.height) }
    }

    /// The part that becomes a picture of the size `to`: left, top, width and height.
    fn part(self, to: Size, fit: Fit) -> (f64, f64, f64, f64) {
        let Self { width, height } = self;
        match fit {
            Fit::Contain | Fit::Fill => (0.0, 0.0, width, height),
            Fit::Cover => {
                let (across, down) = (f64::from(to.width), f64::from(to.height));
                let (part_width, part_height) =
                    (width.min(height * across / down), height.min(width * down / across));
                ((width - part_width) / 2.0, (height - part_height) / 2.0, part_width, part_height)
            }
        }
    }
}

/// Pixels that lie between the two passes of the filter, at most.
pub(super) fn between_pixels(size: Size, to: Size, fit: Fit) -> u64 {
    let (down_first, across_first) = between(size, to);
    match fit {
        // Of what is cut to shape, and what the filter takes beyond its edges: three pixels of the result on both sides.
        Fit::Cover => down_first.min(across_first + across_first * 6 / u64::from(to.width)),
        Fit::Contain | Fit::Fill if goes_down_first(size, to) => down_first,
        Fit::Contain | Fit::Fill => across_first,
    }
}

/// Pixels that lie between the passes both ways: down first, and across first.
fn between(size: Size, to: Size) -> (u64, u64) {
    (u64::from(size.width) * u64::from(to.height), u64::from(to.width) * u64::from(size.height))
}

/// Down first is quicker, unless much less lies between the passes the other way, as with a row that becomes a column.
fn goes_down_first(size: Size, to: Size) -> bool {
    let (down_first, across_first) = between(size, to);
    down_first <= 2 * across_first
}

/// Resizes with a Lanczos filter; transparent pixels lend no colour to their neighbours.
pub(super) fn resized(
    picture: DynamicImage,
    extent: Extent,
    to: Size,
    fit: Fit,
) -> Result<DynamicImage, TaskError> {
    const EXPECTED: &str = "an 8-bit picture of a checked size";
    let size = Size { width: picture.width(), height: picture.height() };
    let part = extent.part(to, fit);
    if size == to && part == (0.0, 0.0, f64::from(to.width), f64::from(to.height)) {
        return Ok(picture);
    }
    let pixel = match picture.color().channel_count() {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let refused = || TaskError::input("decode", "the picture could not be resized");
    let mut from = Raster::from_vec_u8(size.width, size.height, picture.into_bytes(), pixel).expect(EXPECTED);
    let alpha = MulDiv::new();
    // In place: the resizer would do it in a copy of the whole picture.
    let has_alpha = alpha.is_supported(pixel);
    if has_alpha {
        alpha.multiply_alpha_inplace(&mut from).map_err(|_refused| refused())?;
    }
    let mut made = Raster::new(to.width, to.height, pixel);
    let (left, top, width, height) = part;
    let options = ResizeOptions::new().use_alpha(false);
    let mut resizer = Resizer::new();
    // The resizer goes down first; the other way each pass is asked for by itself.
    if fit == Fit::Cover || goes_down_first(size, to) {
        resizer
            .resize(&from, &mut made, &options.crop(left, top, width, height))
            .map_err(|_refused| refused())?;
    } else {
        let mut between = Raster::new(to.width, size.height, pixel);
        resizer
            .resize(&from, &mut between, &options.crop(left, 0.0, width, f64::from(size.height)))
            .and_then(|()| {
                resizer.resize(&between, &mut made, &options.crop(0.0, top, f64::from(to.width), height))
            })
            .map_err(|_refused| refused())?;
    }
    drop((from, resizer));
    if has_alpha {
        alpha.divide_alpha_inplace(&mut made).map_err(|_refused| refused())?;
    }
    let (width, height, samples) = (to.width, to.height, made.into_vec());
    Ok(match pixel {
        PixelType::U8 => GrayImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        PixelType::U8x2 => GrayAlphaImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        PixelType::U8x3 => RgbImage::from_raw(width, height, samples).expect(EXPECTED).into(),
        _ => RgbaImage::from_raw(width, height, samples).expect(EXPECTED).into(),
    })
}

/// Lays a picture with transparency on white.
pub(super) fn on_white(picture: DynamicImage) -> DynamicImage {
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
            let mut pixels = Vec::with_capacity(colour.as_raw().len() / 4 * 3);
            pixels.extend(colour.pixels().flat_map(|pixel| [0, 1, 2].map(|at| laid(pixel[at], pixel[3]))));
            RgbImage::from_raw(colour.width(), colour.height(), pixels).expect("three samples a pixel").into()
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
