//! The task `image`: makes pictures smaller or larger, and other formats of them.
//!
//! Called through the registry. Nothing is decoded before its head has passed the limits and its memory is granted.

mod picture;
mod pixels;
mod plan;
mod read;
mod size;
mod write;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use self::plan::{MEMORY_MIB, Plan};
use super::context::TaskContext;
use super::task::{Item, ItemInput, Task, TaskError};
use crate::protocol::text::is_unseen;
use crate::protocol::{InputKind, Json};

/// Pixels that a side may be asked to have; also what `WebP` can hold.
const SIDE_PIXELS_MAX: u32 = 16_383;
/// Bytes of the name of a file that are kept before its ending.
const STEM_BYTES_MAX: usize = 200;

/// Makes pictures smaller or larger.
#[derive(Clone, Debug)]
pub struct Image {
    /// In mebibytes.
    memory: Arc<Semaphore>,
}

impl Default for Image {
    fn default() -> Self {
        Self { memory: Arc::new(Semaphore::new(MEMORY_MIB as usize)) }
    }
}

/// What to make of a picture.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Image")]
pub struct ImageParams {
    /// Width in pixels. Left out: follows from the height; both left out: the picture keeps its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", title = "Width", range(min = 1, max = 16_383))]
    width: Option<u32>,
    /// Height in pixels. Left out: follows from the width; both left out: the picture keeps its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", title = "Height", range(min = 1, max = 16_383))]
    height: Option<u32>,
    /// Where both width and height are given: contain = as large as fits into them, in its own proportions (smaller
    /// pictures are enlarged); cover = fills them in its own proportions, what stands over is cut off evenly;
    /// fill = exactly so, stretched.
    #[schemars(title = "Fit")]
    fit: Fit,
    /// Format to write. Left out: as the picture came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Format", title = "Format")]
    format: Option<Format>,
    /// 1 to 100, for jpeg and webp; png is written without loss. Where a picture is transparent, jpeg becomes white. Of an
    /// animation the first frame is kept; the result says so.
    #[schemars(title = "Quality", range(min = 1, max = 100))]
    quality: u8,
    /// For webp: writes without loss, whatever the quality; larger files.
    #[schemars(title = "Without loss")]
    lossless: bool,
}

impl Default for ImageParams {
    fn default() -> Self {
        Self { width: None, height: None, fit: Fit::Contain, format: None, quality: 85, lossless: false }
    }
}

// Plain comments below: doc comments on variants would turn the schema's `enum` into a list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Fit {
    Contain,
    Cover,
    Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Format {
    Png,
    Jpeg,
    Webp,
}

impl Format {
    /// Endings of this format's files, the usual one first.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Webp => &["webp"],
        }
    }
}

/// What one picture gives; the order of the fields is the order of the result columns.
#[derive(Debug, Serialize)]
struct Made {
    width: u32,
    height: u32,
    bytes: u64,
    /// What the result does not keep of the picture: a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Task for Image {
    type Params = ImageParams;
    const NAME: &'static str = "image";
    const TITLE: &'static str = "Resize and convert images";
    const DESCRIPTION: &'static str = "Resizes PNG, JPEG and WebP pictures, upright as their camera was held, and writes them as PNG, JPEG or WebP.";
    const INPUT: InputKind = InputKind::File;

    fn idle(params: &ImageParams) -> Option<String> {
        let ImageParams { width, height, fit: _, format, quality, lossless } = params;
        let changes = width.is_some() || height.is_some() || format.is_some() || *lossless;
        (!changes && *quality == ImageParams::default().quality).then(|| {
            "Nothing would be changed: expected a width, a height, a format, or another quality".to_owned()
        })
    }

    async fn run(
        &self,
        params: Arc<ImageParams>,
        item: Item,
        context: TaskContext,
    ) -> Result<Json, TaskError> {
        let ItemInput::File { name, path, .. } = item.input else {
            return Err(TaskError::input("unsupported", "a file is expected"));
        };
        let plan = {
            let (params, path) = (Arc::clone(&params), path.clone());
            blocking(move || Plan::of(&path, &params)).await?
        };
        let granted = Arc::clone(&self.memory)
            .acquire_many_owned(plan.memory_mib())
            .await
            .expect("the memory is never closed");
        let made = blocking(move || {
            // Given back when the thread is done, even where nobody waits for it any more.
            let _granted = granted;
            let (content, notes) = picture::make(&path, &plan, &context)?;
            context
                .write_file(&file_name(&name, plan.writing.format), &content)
                .map_err(|fault| unwritable(&fault))?;
            Ok(Made { width: plan.to.width, height: plan.to.height, bytes: content.len() as u64, notes })
        })
        .await?;
        let text = serde_json::to_string(&made).expect("numbers print as JSON");
        Ok(Json::parse(&text).expect("what serde printed is JSON"))
    }
}

/// Runs `work` where it may block; a decoder that panics costs the item, not the slot.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) if ended.is_panic() => {
            Err(TaskError::input("decode", "the picture is damaged: its decoder gave up"))
        }
        Err(_stopped) => Err(TaskError::passing("crash", "the work was cut short")),
    }
}

fn unwritable(fault: &std::io::Error) -> TaskError {
    TaskError::passing("io", format!("the result could not be written: {}", fault.kind()))
}

/// `STEM.EXT`: the last part of the name as given, with the ending of the format (its own, where that fits).
fn file_name(name: &str, format: Format) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, ending) = match last.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, ending),
        _ => (last, ""),
    };
    let endings = format.endings();
    let ending = endings.iter().find(|known| known.eq_ignore_ascii_case(ending)).unwrap_or(&endings[0]);
    let mut stem: String = stem.chars().map(|c| if is_unseen(c) { '_' } else { c }).collect();
    stem.truncate(stem.floor_char_boundary(STEM_BYTES_MAX));
    if stem.is_empty() || stem.chars().all(|c| c == '.') {
        "image".clone_into(&mut stem);
    }
    format!("{stem}.{ending}")
}

#[cfg(test)]
mod tests;
