//! File contents in a bucket of S3, or of a server that speaks it, which several machines share.
//!
//! An object is whole or not there, and durable when the server has answered. Every request has a time limit and is tried
//! again a bounded number of times; what then still fails says that the file store is away.

mod multipart_upload;
mod piece;
mod reach;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::io::AsyncWriteExt as _;

pub(super) use self::multipart_upload::BucketUpload;
pub(super) use self::piece::BucketPiece;
use self::reach::{BucketReach, explain};
use super::content::ContentStream;
use super::local_file::{CopyRoom, LocalFile};
use crate::store::error::StoreError;

/// Bytes of one request that reads; a longer range is read by several, one after the other, so that none depends on how
/// fast somebody takes what was read.
const READ_BYTES: u64 = 4 * 1024 * 1024;
/// Requests of one group of small contents, or of one sweep, that are under way at once.
const REQUESTS_AT_ONCE: usize = 32;
/// For so long a connection may be in the making.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// For so long a request may take, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// For so long a server may send nothing.
const SILENCE: Duration = Duration::from_secs(20);
/// Tries of one request after the first, and the time from the first within which another one begins.
const TRIES: usize = 8;
const TRIES_TIME: Duration = Duration::from_secs(60);
/// For so long a look whether the bucket answers may take.
const PING_TIME: Duration = Duration::from_secs(5);
/// Name under which nothing is: asking for it shows that the bucket answers.
const PING_NAME: &str = "ping";

/// Which bucket, and how it is asked. Keys come from the environment alone: `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or what the machine is given by its cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    /// Name of the bucket.
    pub bucket: String,
    /// What precedes every key, without slashes at its ends; empty for nothing.
    pub prefix: String,
    /// Address of the server. By default `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<String>,
    /// Region. By default `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Whether the name of the bucket stands in the host name of the server.
    pub addressing: Option<Addressing>,
    /// Bytes of copies on this machine at once, of contents that items are working on.
    pub copies_bytes_max: u64,
}

/// Where the name of a bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// `https://server/bucket/key`, which every server takes.
    Path,
    /// `https://bucket.server/key`
    Host,
}

/// A bucket. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    /// The same, for contents whose parts are sent by several requests.
    multiparts: Arc<dyn MultipartStore>,
    reach: Arc<BucketReach>,
    copies: CopyRoom,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("at", &self.reach.shown()).finish_non_exhaustive()
    }
}

/// Where the content of `key` is.
fn object_path(key: &str) -> Path {
    // Keys come from rows; one that is none of ours leads to nothing.
    let plain = key.len() >= 3 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { Path::from_iter([&key[..2], key]) } else { Path::from("no-such-key") }
}

/// How the bucket is asked, with keys from the environment.
pub(super) fn builder(options: &BucketOptions) -> AmazonS3Builder {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(4),
            base: 3.0,
        },
        max_retries: TRIES,
        retry_timeout: TRIES_TIME,
    };
    let mut builder = AmazonS3Builder::from_env();
    let endpoint = options.endpoint.clone().or_else(|| {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
    });
    let mut client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIME)
        .with_timeout(REQUEST_TIME)
        .with_read_timeout(SILENCE);
    if let Some(endpoint) = endpoint {
        // Whoever writes http:// means it.
        client = client.with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_config(object_store::aws::AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(addressing) = options.addressing {
        builder = builder.with_virtual_hosted_style_request(addressing == Addressing::Host);
    }
    builder
        .with_bucket_name(&options.bucket)
        .with_client_options(client)
        .with_retry(retry)
        // One request for each object: not every server takes lists of them.
        .with_disable_bulk_delete(true)
}

impl Bucket {
    pub(super) fn new(options: &BucketOptions) -> Result<Self, StoreError> {
        Self::of(builder(options), options)
    }

    pub(super) fn of(builder: AmazonS3Builder, options: &BucketOptions) -> Result<Self, StoreError> {
        // The first to name one has named it; it is the same everywhere in this program.
        let _named_before = rustls::crypto::ring::default_provider().install_default();
        let shown = format!("s3://{}/{}", options.bucket, options.prefix);
        let shown = shown.trim_end_matches('/');
        let store = builder.build().map_err(|error| StoreError::FilesAway(explain(shown, "use", &error)))?;
        let (objects, multiparts): (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>) =
            if options.prefix.is_empty() {
                let store = Arc::new(store);
                (Arc::clone(&store) as _, store)
            } else {
                let store = Arc::new(PrefixStore::new(store, options.prefix.as_str()));
                (Arc::clone(&store) as _, store)
            };
        let copies = CopyRoom::new(options.copies_bytes_max);
        Ok(Self { objects, multiparts, reach: Arc::new(BucketReach::new(shown)), copies })
    }

    /// As [`super::FileStore::check`].
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let path = Path::from(format!("check-{:032x}", rand::random::<u128>()));
        let content = Bytes::from_static(b"milepost");
        let put = self.objects.put(&path, content.clone().into()).await;
        self.reach.reported("write to", put)?;
        let read = self.objects.get_range(&path, 0..content.len() as u64).await;
        let read = self.reach.reported("read from", read)?;
        let deleted = self.objects.delete(&path).await;
        self.reach.reported("delete from", deleted)?;
        if read == content {
            return Ok(());
        }
        Err(StoreError::FilesAway(format!("{} gives back other bytes than it was given", self.reach.shown())))
    }

    /// As [`super::FileStore::ping`].
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        if self.reach.was_there_lately() {
            return Ok(());
        }
        let path = Path::from(PING_NAME);
        match tokio::time::timeout(PING_TIME, self.objects.head(&path)).await {
            Ok(Err(object_store::Error::NotFound { .. })) => {
                self.reach.set_there();
                Ok(())
            }
            Ok(answer) => self.reach.reported("read from", answer).map(drop),
            Err(_late) => Err(self.reach.late()),
        }
    }

    /// As [`super::FileStore::is_away`].
    pub(super) fn is_away(&self) -> bool {
        self.reach.is_away()
    }

    /// Begins a large file with its first bytes.
    pub(super) async fn begin(&self, key: &str, first: Vec<u8>) -> Result<BucketUpload, StoreError> {
        let mut upload = BucketUpload::new(&self.objects, &self.reach, object_path(key));
        upload.write(&first).await?;
        Ok(upload)
    }

    /// Stores small contents, some at once.
    pub(super) async fn put_all(&self, files: Vec<(String, Bytes)>) -> Result<(), StoreError> {
        stream::iter(files.into_iter().map(|(key, content)| async move {
            let put = self.objects.put(&object_path(&key), content.into()).await;
            self.reach.reported("write to", put).map(drop)
        }))
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await
    }

    /// As [`super::FileStore::read_range`].
    pub(super) async fn read_range(&self, key: &str, range: Range<u64>) -> Result<ContentStream, StoreError> {
        let path = object_path(key);
        let first = self.read_part(&path, &range).await?;
        let next = range.start + first.len() as u64;
        let rest = stream::try_unfold((self.clone(), path, next), move |(bucket, path, next)| async move {
            let part = bucket.read_part(&path, &(next..range.end)).await.map_err(io::Error::other)?;
            let end = next + part.len() as u64;
            Ok((!part.is_empty()).then_some((part, (bucket, path, end))))
        });
        let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
        Ok(first.chain(rest).boxed())
    }

    /// The next bytes of `range`; none at its end.
    async fn read_part(&self, path: &Path, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let end = range.end.min(range.start.saturating_add(READ_BYTES));
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let read = self.objects.get_range(path, range.start..end).await;
        self.reach.reported("read from", read)
    }

    /// A copy of the content of `key` at `to`, as [`super::FileStore::local_file`].
    pub(super) async fn copy(&self, key: &str, bytes: u64, to: PathBuf) -> Result<LocalFile, StoreError> {
        let room = self.copies.take(bytes).await;
        // From here on whatever comes to lie there goes with the answer, or with a fault.
        let copy = LocalFile::copy(to, room);
        let mut file = tokio::fs::File::create(copy.path()).await?;
        let mut parts = self.read_range(key, 0..bytes).await?;
        let mut written = 0;
        while let Some(part) = parts.next().await {
            let part = part.map_err(|fault| self.reach.broken_off(&fault))?;
            file.write_all(&part).await?;
            written += part.len() as u64;
        }
        file.flush().await?;
        if written == bytes {
            return Ok(copy);
        }
        let what = format!("the content has {written} bytes of {bytes}");
        Err(StoreError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, what)))
    }

    /// As [`super::FileStore::remove`].
    pub(super) async fn remove(&self, key: &str) -> Result<(), StoreError> {
        match self.objects.delete(&object_path(key)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => self.reach.reported("delete from", deleted),
        }
    }

    /// As [`super::FileStore::remove_all`].
    pub(super) async fn remove_all(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let removals = keys.into_iter().map(|key| async move { self.remove(&key).await });
        stream::iter(removals).buffer_unordered(REQUESTS_AT_ONCE).try_collect().await
    }

    /// As [`super::FileStore::aged`]. Parts of uploads that were broken off are the bucket's to remove, by a rule of its own.
    pub(super) async fn aged(
        &self,
        shelf: u8,
        age: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX);
        let prefix = Path::from(format!("{shelf:02x}"));
        let found = self
            .objects
            .list(Some(&prefix))
            .try_filter(|found| std::future::ready(found.last_modified.timestamp_millis() < before))
            .skip(skip)
            .take(most)
            .map_ok(|found| found.location.filename().unwrap_or_default().to_owned())
            .try_collect()
            .await;
        self.reach.reported("list", found)
    }
}
