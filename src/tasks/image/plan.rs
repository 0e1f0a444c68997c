//! What is to be made of a picture, and how much memory that takes, known from its head.

use std::path::Path;

use image::metadata::Orientation;

use super::pixels::between_pixels;
use super::read::{self, Head, SIDE_PIXELS_IN_MAX};
use super::size::Size;
use super::write::{self, Writing};
use super::{Fit, Format, ImageParams, SIDE_PIXELS_MAX, TaskError};

/// Pixels that a picture may have, on the way in and on the way out.
const PIXELS_MAX: u64 = 100_000_000;
/// Pixels of the longest side that a JPEG is written with.
const JPEG_SIDE_PIXELS_MAX: u32 = 65_500;
/// Mebibytes that one picture may take, and all pictures in work together: a larger one is refused, and what is too much for
/// the moment waits.
pub(super) const MEMORY_MIB: u32 = 1_024;
/// How many times as large as the result a picture stays when its decoder makes it smaller: the rest is left to the filter, so
/// that nothing is seen of it.
const REST_MIN: f64 = 2.0;
const MIB: u64 = 1024 * 1024;

/// What is to be done, known from the head.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) head: Head,
    /// Size of the result, upright.
    pub(super) to: Size,
    pub(super) fit: Fit,
    pub(super) writing: Writing,
    /// How many times smaller the decoder makes the picture: 1, 2, 4 or 8.
    pub(super) shrink: u8,
}

/// True for the turns that make width of height.
fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

impl Plan {
    /// Reads the head of the picture and says what is to be done.
    ///
    /// # Errors
    /// Where there is no picture, or it or its result is beyond the limits.
    pub(super) fn of(path: &Path, params: &ImageParams) -> Result<Self, TaskError> {
        let head = read::head(path)?;
        if head.size.pixels() > PIXELS_MAX {
            return Err(read::too_many_pixels());
        }
        let upright = if turns(head.orientation) { head.size.turned() } else { head.size };
        let to = upright.fitted(params.width, params.height, params.fit);
        let writing = Writing::of(params, head.format);
        let side_max = match writing.format {
            Format::Webp => SIDE_PIXELS_MAX,
            Format::Jpeg => JPEG_SIDE_PIXELS_MAX,
            Format::Png => SIDE_PIXELS_IN_MAX,
        };
        if to.pixels() > PIXELS_MAX || to.width > side_max || to.height > side_max {
            return Err(TaskError::input(
                "too_large",
                "the result would have more pixels than are allowed: 100 million, and a side of 16,383 in WebP, 65,500 in JPEG",
            ));
        }
        let mut plan = Self { head, to, fit: params.fit, writing, shrink: 1 };
        plan.shrink = plan.shrink();
        let needed = plan.memory_mib();
        if needed > MEMORY_MIB {
            return Err(TaskError::input(
                "too_large",
                format!("the picture takes {needed} MiB of memory, more than the {MEMORY_MIB} allowed"),
            ));
        }
        Ok(plan)
    }

    /// Size of the result as the picture lies in the file.
    pub(super) fn to_unturned(&self) -> Size {
        if turns(self.head.orientation) { self.to.turned() } else { self.to }
    }

    fn shrink(&self) -> u8 {
        if !self.head.shrinks() {
            return 1;
        }
        let (from, to) = (self.head.size, self.to_unturned());
        let ratio =
            (f64::from(from.width) / f64::from(to.width)).min(f64::from(from.height) / f64::from(to.height));
        [8, 4, 2].into_iter().find(|shrink| ratio >= f64::from(*shrink) * REST_MIN).unwrap_or(1)
    }

    /// What reading, resizing, turning and writing take at their worst, in mebibytes, at least 1.
    pub(super) fn memory_mib(&self) -> u32 {
        let channels = u64::from(self.head.channels());
        let (decoded, to) = (self.head.size.shrunk(self.shrink), self.to_unturned());
        let made = to.pixels() * channels;
        let read = decoded.pixels() * channels;
        let between = between_pixels(decoded, to, self.fit) * channels;
        let most = [
            read + self.head.work_bytes(),
            read + between + made,
            // Turned into another buffer.
            2 * made,
            made + write::work_bytes(self.writing, to, channels),
        ];
        let bytes = most.into_iter().max().unwrap_or(0);
        u32::try_from(bytes / MIB).unwrap_or(u32::MAX).saturating_add(1)
    }
}
