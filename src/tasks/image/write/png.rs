//! Pixels into PNG: with a palette where there are few colours, else as they are.

use std::borrow::Cow;
use std::collections::HashMap;

use image::DynamicImage;
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter, Info};

/// Colours that a palette holds.
const PALETTE_MAX: usize = 256;

/// Writes the picture with its colour profile.
///
/// # Errors
/// Where the encoder refuses.
pub(in super::super) fn encode(
    picture: &DynamicImage,
    profile: Option<Vec<u8>>,
) -> Result<Vec<u8>, EncodingError> {
    let mut info = Info::with_size(picture.width(), picture.height());
    info.icc_profile = profile.map(Cow::Owned);
    let samples: Cow<'_, [u8]> = match Indexed::of(picture) {
        Some(indexed) => {
            info.color_type = ColorType::Indexed;
            info.bit_depth = indexed.depth;
            info.palette = Some(Cow::Owned(indexed.palette));
            info.trns = (!indexed.transparency.is_empty()).then_some(Cow::Owned(indexed.transparency));
            Cow::Owned(indexed.samples)
        }
        None => {
            info.bit_depth = BitDepth::Eight;
            info.color_type = match picture.color().channel_count() {
                1 => ColorType::Grayscale,
                2 => ColorType::GrayscaleAlpha,
                3 => ColorType::Rgb,
                _ => ColorType::Rgba,
            };
            Cow::Borrowed(picture.as_bytes())
        }
    };
    let indexed = info.color_type == ColorType::Indexed;
    let mut content = Vec::new();
    let mut encoder = Encoder::with_info(&mut content, info)?;
    encoder.set_compression(Compression::Balanced);
    // Numbers of colours are no neighbours of each other: filters only make them worse.
    encoder.set_filter(if indexed { Filter::NoFilter } else { Filter::Adaptive });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&samples)?;
    writer.finish()?;
    Ok(content)
}

/// A picture as numbers of colours.
struct Indexed {
    depth: BitDepth,
    palette: Vec<u8>,
    /// Alpha of the first colours; the rest are opaque.
    transparency: Vec<u8>,
    samples: Vec<u8>,
}

impl Indexed {
    /// None for grey pictures, which have no use of it, and for those of too many colours.
    fn of(picture: &DynamicImage) -> Option<Self> {
        let channels = usize::from(picture.color().channel_count());
        if channels < 3 {
            return None;
        }
        let mut numbers: HashMap<[u8; 4], u8> = HashMap::new();
        let mut colours: Vec<[u8; 4]> = Vec::new();
        let mut indices = Vec::with_capacity(picture.as_bytes().len() / channels);
        for pixel in picture.as_bytes().chunks_exact(channels) {
            let colour = [pixel[0], pixel[1], pixel[2], pixel.get(3).copied().unwrap_or(u8::MAX)];
            let index = match numbers.get(&colour) {
                Some(index) => *index,
                None => {
                    if colours.len() == PALETTE_MAX {
                        return None;
                    }
                    let index = u8::try_from(colours.len()).ok()?;
                    numbers.insert(colour, index);
                    colours.push(colour);
                    index
                }
            };
            indices.push(index);
        }
        let (depth, bits) = match colours.len() {
            ..=2 => (BitDepth::One, 1),
            3..=4 => (BitDepth::Two, 2),
            5..=16 => (BitDepth::Four, 4),
            _ => (BitDepth::Eight, 8),
        };
        let mut transparency: Vec<u8> = colours.iter().map(|colour| colour[3]).collect();
        while transparency.last() == Some(&u8::MAX) {
            transparency.pop();
        }
        let palette = colours.iter().flat_map(|colour| &colour[..3]).copied().collect();
        let width = usize::try_from(picture.width()).ok()?;
        let samples = indices.chunks(width).flat_map(|row| packed(row, bits)).collect();
        Some(Self { depth, palette, transparency, samples })
    }
}

/// A row of numbers, so many bits each, the first in the highest; the last byte is filled up with zeros.
fn packed(row: &[u8], bits: usize) -> impl Iterator<Item = u8> {
    let per_byte = 8 / bits;
    row.chunks(per_byte).map(move |numbers| {
        numbers.iter().enumerate().fold(0, |byte, (at, number)| byte | number << (8 - bits * (at + 1)))
    })
}
