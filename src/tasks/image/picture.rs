//! One picture, as planned: decoded, resized, turned upright and encoded.

use std::path::Path;

use image::metadata::Orientation;

use super::pixels::{Extent, has_clear_pixels, resized};
use super::plan::Plan;
use super::read::{ColourProfile, wanted};
use super::{Format, TaskContext, TaskError, write};

/// Makes the file that `plan` describes; answers its content, and in sentences what it does not keep of the picture.
pub(super) fn make(
    path: &Path,
    plan: &Plan,
    context: &TaskContext,
) -> Result<(Vec<u8>, Vec<String>), TaskError> {
    wanted(context)?;
    let head = &plan.head;
    let (picture, profile) = head.pixels(path, plan.shrink, context)?;
    context.progress(0.5);
    wanted(context)?;
    let extent = Extent::of(head.size, plan.shrink);
    let mut picture = resized(picture, extent, plan.to_unturned(), plan.fit)?;
    if head.orientation != Orientation::NoTransforms {
        picture.apply_orientation(head.orientation);
    }
    context.progress(0.8);
    wanted(context)?;
    let mut notes = Vec::new();
    if head.frames() > 1 {
        notes.push(format!("Only the first of {} frames was kept.", head.frames()));
    }
    if head.sample_bits() > 8 {
        notes.push(format!("{} bits a sample became 8.", head.sample_bits()));
    }
    if head.is_cmyk() {
        notes.push("CMYK became RGB, without its colour profile.".to_owned());
    }
    if plan.writing.format == Format::Jpeg && has_clear_pixels(&picture) {
        notes.push("Transparent parts became white: jpeg has no transparency.".to_owned());
    }
    let had_profile = profile != ColourProfile::None;
    let profile = match profile {
        ColourProfile::Kept(profile) if !head.is_cmyk() => Some(profile),
        _ => None,
    };
    let (content, kept) = write::encode(picture, plan.writing, profile)?;
    if had_profile && !head.is_cmyk() && !kept {
        notes.push(
            "The colour profile was left out: it is damaged, over 1 MiB, or of another kind than the picture."
                .to_owned(),
        );
    }
    Ok((content, notes))
}
