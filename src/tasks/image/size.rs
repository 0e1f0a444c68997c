//! How large a picture becomes.
//!
//! The same numbers, rounded the same way, as `ImageMagick`'s `-resize WxH` (contain), `-resize WxH^ -extent WxH`
//! (cover) and `-resize WxH!` (fill), and no side is ever 0.

use super::Fit;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    /// Pixels in all.
    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The same, turned by a quarter.
    pub(super) fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }

    /// The size that a decoder gives which makes pictures `shrink` times smaller: parts of a pixel count whole.
    pub(super) fn shrunk(self, shrink: u8) -> Self {
        let shrink = u32::from(shrink);
        Self { width: self.width.div_ceil(shrink), height: self.height.div_ceil(shrink) }
    }

    /// The size that a picture of this size gets; a side that is not asked for follows from the other.
    pub(super) fn fitted(self, width: Option<u32>, height: Option<u32>, fit: Fit) -> Self {
        let by_width = |width: u32| f64::from(width) / f64::from(self.width);
        let by_height = |height: u32| f64::from(height) / f64::from(self.height);
        match (width, height) {
            (None, None) => self,
            (Some(width), None) => self.scaled(by_width(width)),
            (None, Some(height)) => self.scaled(by_height(height)),
            (Some(width), Some(height)) => match fit {
                Fit::Contain => self.scaled(by_width(width).min(by_height(height))),
                Fit::Cover | Fit::Fill => Self { width, height },
            },
        }
    }

    fn scaled(self, factor: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative, and the cast saturates far above every limit"
        )]
        let side = |side: u32| ((factor * f64::from(side) + 0.5).floor() as u32).max(1);
        Self { width: side(self.width), height: side(self.height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(from: (u32, u32), width: u32, height: u32, fit: Fit) -> (u32, u32) {
        let side = |side: u32| (side > 0).then_some(side);
        let to = Size { width: from.0, height: from.1 }.fitted(side(width), side(height), fit);
        (to.width, to.height)
    }

    #[test]
    fn sizes_are_those_of_resize() {
        assert_eq!(fitted((4000, 3000), 320, 0, Fit::Contain), (320, 240));
        assert_eq!(fitted((4000, 3000), 0, 100, Fit::Contain), (133, 100));
        assert_eq!(fitted((3000, 4000), 320, 320, Fit::Contain), (240, 320));
        assert_eq!(fitted((1000, 3), 100, 100, Fit::Contain), (100, 1));
        assert_eq!(fitted((10_000, 3), 100, 0, Fit::Fill), (100, 1));
        assert_eq!(fitted((3, 2), 5, 0, Fit::Contain), (5, 3));
        assert_eq!(fitted((2, 3), 3, 0, Fit::Contain), (3, 5), "a half is rounded up");
        assert_eq!(fitted((50, 50), 200, 100, Fit::Contain), (100, 100), "smaller ones are enlarged");
        assert_eq!(fitted((50, 80), 20, 20, Fit::Cover), (20, 20));
        assert_eq!(fitted((50, 80), 20, 30, Fit::Fill), (20, 30));
        assert_eq!(fitted((50, 80), 0, 0, Fit::Cover), (50, 80));
    }
}
