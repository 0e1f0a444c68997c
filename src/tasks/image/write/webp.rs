//! Pixels into WebP, by libwebp, and a colour profile into its container.

use std::borrow::Cow;

use image::DynamicImage;
use webp::{Encoder, PixelLayout, WebPConfig};

use super::super::TaskError;
use super::refused;

/// Bytes a pixel that writing with loss takes at most beside the pixels.
pub(super) const LOSSY_BYTES: u64 = 16;
/// Bytes a pixel that writing without loss takes at most beside the pixels.
pub(super) const LOSSLESS_BYTES: u64 = 64;

/// Flag of the chunk `VP8X`: there is a colour profile.
const FLAG_PROFILE: u8 = 0x20;
/// Flag of the chunk `VP8X`: there is transparency.
const FLAG_ALPHA: u8 = 0x10;
/// Bytes of a file before its first chunk.
const HEAD_BYTES: usize = 12;

/// How much may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum WebpLoss {
    /// Nothing: larger files.
    None,
    /// As much as a quality from 1 to 100 says.
    Quality(u8),
}

/// Writes the picture; the profile is one of RGB, or of grey where the picture is grey.
///
/// # Errors
/// Where the encoder refuses.
pub(super) fn encode(
    picture: &DynamicImage,
    loss: WebpLoss,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, TaskError> {
    let has_alpha = picture.color().has_alpha();
    let (pixels, layout) = match picture {
        DynamicImage::ImageRgb8(rgb) => (Cow::Borrowed(rgb.as_raw()), PixelLayout::Rgb),
        DynamicImage::ImageRgba8(rgba) => (Cow::Borrowed(rgba.as_raw()), PixelLayout::Rgba),
        grey if has_alpha => (Cow::Owned(grey.to_rgba8().into_raw()), PixelLayout::Rgba),
        grey => (Cow::Owned(grey.to_rgb8().into_raw()), PixelLayout::Rgb),
    };
    let mut config = WebPConfig::new().map_err(|()| refused())?;
    match loss {
        WebpLoss::None => config.lossless = 1,
        WebpLoss::Quality(quality) => config.quality = f32::from(quality),
    }
    let encoder = Encoder::new(&pixels, layout, picture.width(), picture.height());
    let content = encoder.encode_advanced(&config).map_err(|_code| refused())?;
    match profile {
        Some(profile) => with_profile(&content, profile, picture, has_alpha).ok_or_else(refused),
        None => Ok(content.to_vec()),
    }
}

/// The file in the extended layout with the chunk `ICCP`; source: RFC 9649, section 2.7. None for what is no WebP.
fn with_profile(content: &[u8], profile: &[u8], picture: &DynamicImage, has_alpha: bool) -> Option<Vec<u8>> {
    let chunks = content.get(HEAD_BYTES..)?;
    let (mut extended, rest) = match chunks.get(..4)? {
        b"VP8X" => (chunks.get(..18)?.to_vec(), chunks.get(18..)?),
        _ => {
            let mut extended = b"VP8X\x0a\0\0\0\0\0\0\0".to_vec();
            for side in [picture.width(), picture.height()] {
                extended.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
            }
            extended[8] = if has_alpha { FLAG_ALPHA } else { 0 };
            (extended, chunks)
        }
    };
    extended[8] |= FLAG_PROFILE;
    extended.extend_from_slice(b"ICCP");
    extended.extend_from_slice(&u32::try_from(profile.len()).ok()?.to_le_bytes());
    extended.extend_from_slice(profile);
    // Chunks are of even length.
    extended.resize(extended.len() + profile.len() % 2, 0);
    extended.extend_from_slice(rest);
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&u32::try_from(extended.len() + 4).ok()?.to_le_bytes());
    file.extend_from_slice(b"WEBP");
    file.append(&mut extended);
    Some(file)
}
