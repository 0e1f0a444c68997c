//! An open batch on a server, filled item by item and sealed.
//!
//! Every request says which item it begins with. Where its answer is lost, the next try is told how many items the
//! server has, and goes on with those that are missing: the server takes an item at one place once.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, RequestBuilder};
use serde_json::{Map, Value, json};

use super::chunks::{ChunkReader, TextChunk, TextFormat};
use super::files::{FileChunk, FileList};
use crate::cli::CliError;
use crate::cli::api_client::{ApiClient, RequestError};
use crate::protocol::{Batch, BatchId, ErrorCode};

/// Where items come from.
pub(super) enum UploadSource {
    /// Lines or records.
    Text(ChunkReader),
    /// Files.
    Files(FileList),
}

/// A batch that is being filled.
pub(super) struct BatchUpload<'a> {
    client: &'a ApiClient,
    batch: Batch,
    /// Items that the server has.
    total: u64,
}

impl<'a> BatchUpload<'a> {
    /// Makes the batch, without items.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub(super) async fn begin(
        client: &'a ApiClient,
        task: &str,
        name: Option<String>,
        params: Value,
        mut options: Map<String, Value>,
    ) -> Result<Self, CliError> {
        options.insert("open".to_owned(), Value::Bool(true));
        let mut body = json!({"task": task, "params": params, "options": options, "items": []});
        if let Some(name) = name {
            body["name"] = Value::String(name);
        }
        // A lost answer does not make two.
        let key = format!("{:032x}", rand::random::<u128>());
        let create = |http: &reqwest::Client, base: &str| {
            http.post(format!("{base}/batches")).header("idempotency-key", &key).json(&body)
        };
        let batch: Batch = client.json(create).await?;
        let total = batch.total;
        Ok(Self { client, batch, total })
    }

    /// The batch, as it was made.
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Sends all items and seals the batch.
    ///
    /// # Errors
    /// Where an item cannot be read or is refused; [`RequestError::LostContact`].
    pub(super) async fn fill(mut self, source: UploadSource) -> Result<Batch, CliError> {
        match source {
            UploadSource::Text(mut reader) => {
                while let Some(chunk) = reader.next().await? {
                    self.append_text(&chunk, reader.format()).await?;
                }
            }
            UploadSource::Files(mut files) => {
                while let Some(chunk) = files.next() {
                    self.append_files(&chunk).await?;
                }
            }
        }
        if self.total == 0 {
            return Err(CliError::Argument("there is no item in the input".to_owned()));
        }
        Ok(self.client.post(&format!("/batches/{}/seal", self.batch.id), &json!({})).await?)
    }

    async fn append_text(&mut self, chunk: &TextChunk, format: TextFormat) -> Result<(), CliError> {
        let base = self.total;
        let sent = self
            .append(chunk.items(), |request, skipped| {
                let pieces = chunk.body(skipped);
                let length: usize = pieces.iter().map(Bytes::len).sum();
                request
                    .header(CONTENT_TYPE, format.content_type())
                    .header(CONTENT_LENGTH, length)
                    .body(Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>))))
            })
            .await;
        sent.map_err(|error| match error {
            // The server counts the lines of what was sent last; people count those of the input.
            RequestError::Refused { code, detail, total, line: Some(line) } => {
                let line = chunk.line(line, self.total - base).or(Some(line));
                RequestError::Refused { code, detail, total, line }.into()
            }
            other => other.into(),
        })
    }

    async fn append_files(&mut self, chunk: &FileChunk) -> Result<(), CliError> {
        chunk.check()?;
        let boundary = format!("milepost-{:032x}", rand::random::<u128>());
        let sent = self
            .append(chunk.items(), |request, skipped| {
                let (length, body) = chunk.body(&boundary, skipped);
                request
                    .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
                    .header(CONTENT_LENGTH, length)
                    .body(Body::wrap_stream(body))
            })
            .await;
        // A file that has become shorter, or was taken away, looks like a connection that breaks.
        if sent.is_err() {
            chunk.check()?;
        }
        Ok(sent?)
    }

    /// Appends `items` items; `body` adds them to a request, without those that the server has already.
    async fn append(
        &mut self,
        items: u64,
        body: impl Fn(RequestBuilder, u64) -> RequestBuilder,
    ) -> Result<(), RequestError> {
        let (base, path) = (self.total, format!("/batches/{}/items", self.batch.id));
        let present = AtomicU64::new(base);
        while present.load(Ordering::Relaxed) < base + items {
            let tried = self
                .client
                .json::<Batch>(|http, api| {
                    let present = present.load(Ordering::Relaxed);
                    let request = http.post(format!("{api}{path}?first_seq={}", present + 1));
                    body(request, present - base)
                })
                .await;
            match tried {
                Ok(batch) => present.store(batch.total, Ordering::Relaxed),
                // An earlier try has brought some, and perhaps all, of them.
                Err(RequestError::Refused { code: ErrorCode::WrongFirstSeq, total: Some(total), .. })
                    if total > present.load(Ordering::Relaxed) && total <= base + items =>
                {
                    present.store(total, Ordering::Relaxed);
                }
                Err(error) => {
                    self.total = present.load(Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        self.total = base + items;
        if present.load(Ordering::Relaxed) == self.total {
            return Ok(());
        }
        Err(self.other_sender(present.load(Ordering::Relaxed)))
    }

    /// Somebody else has appended to the batch meanwhile: what is where is not known any more.
    fn other_sender(&self, total: u64) -> RequestError {
        let id: BatchId = self.batch.id;
        RequestError::Refused {
            code: ErrorCode::WrongFirstSeq,
            detail: format!(
                "batch {id} has {total} items, {} of them from here: something else adds items to it",
                self.total
            ),
            total: Some(total),
            line: None,
        }
    }
}
