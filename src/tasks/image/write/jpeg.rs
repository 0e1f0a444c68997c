//! Pixels into JPEG, by libjpeg-turbo's way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::DynamicImage;
use mozjpeg::{ColorSpace, Compress, Marker};

use super::super::TaskError;
use super::refused;

/// Quality from which colours keep the resolution of brightness; below it they have half of it, as eyes do.
const FULL_COLOUR_QUALITY: u8 = 90;

/// Bytes of a colour profile that a segment holds: what a length can say, less itself, the name and two numbers.
const PART_BYTES: usize = 65_535 - 2 - 14;

/// Writes a picture of grey or RGB.
pub(super) fn encode(
    picture: &DynamicImage,
    quality: u8,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, TaskError> {
    // The library ends with an unwinding, quietly, where a picture is beyond it.
    let written = catch_unwind(AssertUnwindSafe(|| {
        let colours =
            if picture.color().has_color() { ColorSpace::JCS_RGB } else { ColorSpace::JCS_GRAYSCALE };
        let mut settings = Compress::new(colours);
        settings.set_fastest_defaults();
        settings.set_size(picture.width() as usize, picture.height() as usize);
        settings.set_quality(f32::from(quality));
        settings.set_optimize_coding(false);
        if picture.color().has_color() {
            let side = if quality < FULL_COLOUR_QUALITY { 2 } else { 1 };
            settings.set_chroma_sampling_pixel_sizes((side, side), (side, side));
        }
        let mut started = settings.start_compress(Vec::new())?;
        for (number, part, count) in parts(profile.unwrap_or_default()) {
            started.write_marker(Marker::APP(2), &[b"ICC_PROFILE\0", &[number, count][..], part].concat());
        }
        started.write_scanlines(picture.as_bytes())?;
        started.finish()
    }));
    match written {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(_refused)) => Err(refused()),
        Err(_message) => Err(refused()),
    }
}

/// The parts of a colour profile, with their number, from 1, and how many there are. The library's own way begins at 0, which
/// readers refuse.
fn parts(profile: &[u8]) -> impl Iterator<Item = (u8, &[u8], u8)> {
    let count =
        u8::try_from(profile.len().div_ceil(PART_BYTES)).expect("profiles are bounded far below 255 parts");
    (1..).zip(profile.chunks(PART_BYTES)).map(move |(number, part)| (number, part, count))
}
