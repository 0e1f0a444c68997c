//! The task `checksum`: two digests of a file in one pass.
//!
//! Called through the registry. The file is read once, in a blocking thread, in bounded memory, and both digests are
//! of exactly the bytes counted.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::context::TaskContext;
use super::task::{Item, ItemInput, Task, TaskError};
use crate::protocol::{InputKind, Json};

/// Bytes of one read: large enough that the system call does not show, small enough for the processor's cache.
const READ_BYTES: usize = 256 * 1024;

/// Digests of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum;

/// The task takes no parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Checksum")]
pub struct ChecksumParams {}

/// What one file gives; the order of the fields is the order of the result columns.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Digests {
    bytes: u64,
    blake3: String,
    sha256: String,
    #[serde(rename = "type")]
    media_type: String,
}

impl Task for Checksum {
    type Params = ChecksumParams;
    const NAME: &'static str = "checksum";
    const TITLE: &'static str = "Checksums";
    const DESCRIPTION: &'static str =
        "Reads every file once and gives its size, BLAKE3, SHA-256 and media type.";
    const INPUT: InputKind = InputKind::File;
    /// A day: a file of any size that a disk can hold is a fair input.
    const TIMEOUT_SECONDS: u32 = 24 * 60 * 60;

    async fn run(
        &self,
        _params: Arc<ChecksumParams>,
        item: Item,
        context: TaskContext,
    ) -> Result<Json, TaskError> {
        let ItemInput::File { path, bytes, media_type, .. } = item.input else {
            return Err(TaskError::input("unsupported", "a file is expected"));
        };
        let digests = tokio::task::spawn_blocking(move || digest(&path, bytes, media_type, &context))
            .await
            .map_err(|_ended| TaskError::passing("crash", "the computation was cut short"))??;
        let text = serde_json::to_string(&digests).expect("texts and numbers print as JSON");
        Ok(Json::parse(&text).expect("what serde printed is JSON"))
    }
}

/// Reads the file at `path` to its end; `expected_bytes` only scales the progress.
fn digest(
    path: &Path,
    expected_bytes: u64,
    media_type: String,
    context: &TaskContext,
) -> Result<Digests, TaskError> {
    let mut file = File::open(path).map_err(|fault| unreadable(&fault))?;
    let capacity = usize::try_from(expected_bytes).unwrap_or(READ_BYTES).clamp(4 * 1024, READ_BYTES);
    let mut buffer = vec![0; capacity];
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
    let (mut bytes, mut media_type) = (0u64, media_type);
    loop {
        if context.cancelled() {
            return Err(TaskError::passing("cancelled", "the item is no longer wanted"));
        }
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
            Err(fault) => return Err(unreadable(&fault)),
        };
        if bytes == 0 && media_type.is_empty() {
            media_type = infer::get(&buffer[..read]).map_or_else(String::new, |kind| kind.mime_type().into());
        }
        blake3.update(&buffer[..read]);
        sha256.update(&buffer[..read]);
        bytes += read as u64;
        if bytes < expected_bytes {
            #[expect(clippy::cast_precision_loss, reason = "a fraction for a bar")]
            context.progress(bytes as f64 / expected_bytes as f64);
        }
    }
    if media_type.is_empty() {
        "application/octet-stream".clone_into(&mut media_type);
    }
    Ok(Digests {
        bytes,
        blake3: blake3.finalize().to_hex().to_string(),
        sha256: format!("{:x}", sha256.finalize()),
        media_type,
    })
}

/// The sentence for a file that cannot be read; names the cause, never the file, so that one cause is one family.
fn unreadable(fault: &std::io::Error) -> TaskError {
    TaskError::passing("io", format!("the file could not be read: {}", fault.kind()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio_util::sync::CancellationToken;

    use super::super::context::WorkCell;
    use super::*;
    use crate::protocol::BatchId;

    fn item(path: PathBuf, bytes: u64, media_type: &str) -> Item {
        let input = ItemInput::File { name: "a".into(), path, bytes, media_type: media_type.into() };
        Item { batch: BatchId::from_u128(1), seq: 1, generation: 1, attempt: 1, input }
    }

    async fn run(content: &[u8], media_type: &str) -> (serde_json::Value, Arc<WorkCell>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, content).unwrap();
        let cell = Arc::new(WorkCell::default());
        let context =
            TaskContext::new(Arc::clone(&cell), CancellationToken::new(), folder.path().join("out"));
        let item = item(path, content.len() as u64, media_type);
        let result = Checksum.run(Arc::default(), item, context).await.unwrap();
        (result.to_value(), cell)
    }

    #[tokio::test]
    async fn known_digests() {
        let (result, _) = run(b"abc", "text/plain").await;
        assert_eq!(
            result,
            serde_json::json!({
                "bytes": 3,
                "blake3": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "type": "text/plain",
            })
        );
        let (result, _) = run(b"", "").await;
        assert_eq!(result["bytes"], 0);
        assert_eq!(result["type"], "application/octet-stream");
        assert_eq!(result["blake3"], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(result["sha256"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[tokio::test]
    async fn long_files_report_progress_and_are_typed_by_content() {
        let mut content = b"\x89PNG\r\n\x1a\n".to_vec();
        content.resize(3 * READ_BYTES + 1, 7);
        let (result, cell) = run(&content, "").await;
        assert_eq!(result["bytes"], content.len());
        assert_eq!(result["type"], "image/png");
        assert_eq!(result["blake3"], blake3::hash(&content).to_hex().as_str());
        assert_eq!(cell.reports(), 3);
    }

    #[tokio::test]
    async fn stops_when_no_longer_wanted_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let token = CancellationToken::new();
        let context = TaskContext::new(Arc::default(), token.clone(), folder.path().join("out"));
        let missing = item(folder.path().join("none"), 1, "");
        let fault = Checksum.run(Arc::default(), missing, context.clone()).await.unwrap_err();
        assert_eq!(fault.message, "the file could not be read: entity not found");
        std::fs::write(folder.path().join("some"), b"x").unwrap();
        token.cancel();
        let some = item(folder.path().join("some"), 1, "");
        assert_eq!(Checksum.run(Arc::default(), some, context).await.unwrap_err().kind, "cancelled");
    }
}
