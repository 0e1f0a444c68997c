//! What a file store does, in a folder and in a bucket alike; and what only one of them can get wrong.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use tokio_util::sync::CancellationToken;

use super::bucket::{Bucket, builder};
use super::place::Place;
use super::*;
use crate::s3::{BUCKET, KEY_ID, S3Server, SECRET};
use crate::store::StoreError;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a file that takes several parts and requests.
const LARGE: usize = 20 * 1024 * 1024 + 1;

/// A file store, and what it is on.
struct Bench {
    folder: tempfile::TempDir,
    server: Option<S3Server>,
    store: FileStore,
}

impl Bench {
    async fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(&folder.path().join("files"), None).await.unwrap();
        Self { folder, server: None, store }
    }

    /// None where tests are told to go without a server.
    async fn bucket() -> Option<Self> {
        let server = S3Server::start().await?;
        let store = in_bucket(&server, KEY_ID, SECRET);
        Some(Self { folder: tempfile::tempdir().unwrap(), server: Some(server), store })
    }

    /// Files or objects that there are, drafts included.
    fn count(&self) -> usize {
        self.server
            .as_ref()
            .map_or_else(|| files_below(&self.folder.path().join("files")), |s3| s3.objects().len())
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Vec<u8> {
        let parts: Vec<bytes::Bytes> =
            self.store.read_range(key, range).await.unwrap().try_collect().await.unwrap();
        parts.concat()
    }

    async fn sealed(&self, content: &[u8]) -> SealedFile {
        let mut draft = self.store.draft();
        for part in content.chunks(100_000) {
            draft.write(part).await.unwrap();
        }
        draft.seal("a.csv").await.unwrap()
    }

    async fn kept(&self, content: &[u8]) -> Stored {
        let sealed = self.sealed(content).await;
        self.store.keep_all(std::iter::once(&sealed)).await.unwrap();
        sealed.stored
    }
}

fn in_bucket(server: &S3Server, key_id: &str, secret: &str) -> FileStore {
    let options = BucketOptions {
        bucket: BUCKET.to_owned(),
        prefix: "a/prefix".to_owned(),
        endpoint: Some(server.endpoint()),
        region: None,
        addressing: Some(Addressing::Path),
        copies_bytes_max: 64 * 1024 * 1024,
    };
    let builder = builder(&options).with_access_key_id(key_id).with_secret_access_key(secret);
    FileStore::of(Place::Bucket(Bucket::of(builder, &options).unwrap()))
}

fn files_below(root: &Path) -> usize {
    let folders = std::fs::read_dir(root).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

/// Bytes that differ from place to place.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Runs each named case on both: `name::folder` and `name::bucket`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use super::Bench;

            #[tokio::test]
            async fn folder() {
                super::$name(Bench::folder().await).await;
            }

            #[tokio::test]
            async fn bucket() {
                let Some(bench) = Bench::bucket().await else { return };
                super::$name(bench).await;
            }
        })*
    };
}

on_both! {
    drafts_are_kept_whole_or_not_at_all,
    contents_of_all_sizes_come_back,
    small_files_are_stored_together,
    adopted_files_are_taken_in,
    a_file_that_nobody_wants_any_more_is_not_read_to_its_end,
    a_missing_content_is_said_before_the_first_byte,
    what_is_old_is_listed_by_shelf,
    a_task_is_given_a_path,
}

async fn drafts_are_kept_whole_or_not_at_all(bench: Bench) {
    bench.store.check().await.unwrap();
    bench.store.ping().await.unwrap();
    let mut draft = bench.store.draft();
    draft.write(b"hello ").await.unwrap();
    draft.write(b"world").await.unwrap();
    assert_eq!((draft.len(), bench.count()), (11, 0), "it is held in memory");
    let stored = draft.keep("a.csv").await.unwrap();
    assert_eq!(stored.media_type, "text/csv");
    if let Some(path) = bench.store.local_path(&stored.key) {
        assert!(
            std::fs::metadata(path).unwrap().permissions().readonly(),
            "tasks that share it must not change it"
        );
    }
    assert_eq!(stored.blake3, blake3::hash(b"hello world").to_hex().to_string());
    assert_eq!((bench.read(&stored.key, 0..11).await, bench.count()), (b"hello world".to_vec(), 1));
    bench.store.remove(&stored.key).await.unwrap();
    bench.store.remove(&stored.key).await.unwrap();
    bench.store.remove("../../etc/passwd").await.unwrap();
    assert_eq!(bench.count(), 0);
    let mut dropped = bench.store.draft();
    dropped.write(&content(LARGE)).await.unwrap();
    drop(dropped);
    assert_eq!(bench.count(), 0);
}

async fn contents_of_all_sizes_come_back(bench: Bench) {
    for bytes in [0, 1, SMALL_FILE_BYTES_MAX, SMALL_FILE_BYTES_MAX + 1, 4 << 20, 8 << 20, LARGE] {
        let given = content(bytes);
        let stored = bench.kept(&given).await;
        assert_eq!(stored.blake3, blake3::hash(&given).to_hex().to_string());
        let end = stored.bytes;
        assert_eq!(end, bytes as u64);
        assert!(bench.read(&stored.key, 0..end).await == given, "{bytes} bytes are another content");
        for range in [0..end.min(1), end / 2..end, end.saturating_sub(5)..end, end..end] {
            let (from, to) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            assert!(bench.read(&stored.key, range.clone()).await == given[from..to], "{range:?} of {bytes}");
        }
    }
}

async fn small_files_are_stored_together(bench: Bench) {
    for count in [1_usize, 7, 100] {
        let mut group = Vec::new();
        for number in 0..count {
            group.push(bench.sealed(format!("{count} {number}").as_bytes()).await);
        }
        let before = bench.count();
        bench.store.keep_all(group.iter()).await.unwrap();
        assert_eq!(bench.count(), before + count);
        for (number, file) in group.iter().enumerate() {
            let content = bench.read(&file.stored.key, 0..file.stored.bytes).await;
            assert_eq!(content, format!("{count} {number}").as_bytes());
        }
    }
}

async fn adopted_files_are_taken_in(bench: Bench) {
    let left = bench.folder.path().join("out.png");
    for bytes in [12, SMALL_FILE_BYTES_MAX, SMALL_FILE_BYTES_MAX + 1, LARGE] {
        let mut content = vec![b'1'; bytes];
        content[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
        std::fs::write(&left, &content).unwrap();
        let sealed = bench.store.adopt(&left, "out", &CancellationToken::new()).await.unwrap();
        bench.store.keep_all(std::iter::once(&sealed)).await.unwrap();
        let stored = sealed.stored;
        assert_eq!((stored.bytes, stored.media_type.as_str()), (bytes as u64, "image/png"));
        assert_eq!(stored.blake3, blake3::hash(&content).to_hex().to_string());
        assert!(bench.read(&stored.key, 0..bytes as u64).await == content);
    }
}

async fn a_file_that_nobody_wants_any_more_is_not_read_to_its_end(bench: Bench) {
    let left = bench.folder.path().join("sparse");
    // A terabyte would take a quarter of an hour to read.
    std::fs::File::create(&left).unwrap().set_len(1 << 40).unwrap();
    let unwanted = CancellationToken::new();
    let (adopting, stopping) = (bench.store.adopt(&left, "sparse", &unwanted), async {
        tokio::task::yield_now().await;
        unwanted.cancel();
    });
    let (adopted, ()) = tokio::join!(adopting, stopping);
    let Err(StoreError::Io(fault)) = adopted else { panic!("it was read to its end") };
    assert_eq!(fault.kind(), std::io::ErrorKind::Interrupted, "{fault}");
}

async fn a_missing_content_is_said_before_the_first_byte(bench: Bench) {
    for key in ["00112233445566778899aabbccddeeff", "../../etc/passwd", "", "a"] {
        let Err(missing) = bench.store.read_range(key, 0..9).await else { panic!("{key:?} is there") };
        let StoreError::Io(fault) = missing else { panic!("{missing}") };
        assert_eq!(fault.kind(), std::io::ErrorKind::NotFound, "{key:?}: {fault}");
    }
    assert!(!bench.store.is_away());
}

async fn what_is_old_is_listed_by_shelf(bench: Bench) {
    let mut stored = Vec::new();
    for number in 0..3 {
        stored.push(bench.kept(&[number]).await);
    }
    for Stored { key, .. } in &stored {
        let shelf = u8::from_str_radix(&key[..2], 16).unwrap();
        let list = async |age, skip, most| bench.store.aged(shelf, age, skip, most).await.unwrap();
        // What S3 says of times has whole seconds.
        let deadline = Instant::now() + PATIENCE;
        while !list(Duration::ZERO, 0, 100).await.contains(key) {
            assert!(Instant::now() < deadline, "it is never listed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!list(Duration::ZERO, 100, 100).await.contains(key));
        assert!(list(Duration::from_secs(3_600), 0, 100).await.is_empty(), "it is young");
    }
}

async fn a_task_is_given_a_path(bench: Bench) {
    for bytes in [0, 5, LARGE] {
        let given = content(bytes);
        let stored = bench.kept(&given).await;
        let copy = bench.folder.path().join("copy");
        let local = bench.store.local_file(&stored.key, stored.bytes, || copy.clone()).await.unwrap();
        assert!(std::fs::read(local.path()).unwrap() == given);
        assert_eq!(copy.exists(), bench.server.is_some());
        drop(local);
        assert!(!copy.exists());
        let _missing_in_a_bucket = bench.store.local_file("0123", 5, || copy.clone()).await;
        assert!(!copy.exists());
    }
}

#[tokio::test]
async fn of_a_group_that_fails_nothing_stays() {
    let bench = Bench::folder().await;
    let group = [bench.sealed(b"a").await, bench.sealed(b"b").await, bench.sealed(b"c").await];
    let path = |file: &SealedFile| bench.store.local_path(&file.stored.key).unwrap();
    let shelf = path(&group[2]).parent().unwrap().to_owned();
    // A file lies where the folder of the last one is to be.
    std::fs::write(&shelf, b"").unwrap();
    bench.store.keep_all(group.iter()).await.unwrap_err();
    for file in &group {
        assert!(!path(file).exists());
    }
    std::fs::remove_file(shelf).unwrap();
    bench.store.keep_all(group.iter()).await.unwrap();
    assert_eq!(bench.read(&group[2].stored.key, 0..1).await, b"c");
}

#[tokio::test]
async fn a_bucket_says_what_is_wrong_with_it() {
    let Some(bench) = Bench::bucket().await else { return };
    let server = bench.server.as_ref().unwrap();
    for (store, expected) in [
        (in_bucket(server, KEY_ID, "wrong"), "AWS_SECRET_ACCESS_KEY"),
        (in_bucket(server, "wrong", SECRET), "does not know AWS_ACCESS_KEY_ID"),
    ] {
        let Err(StoreError::FilesAway(reason)) = store.check().await else { panic!("no {expected}") };
        assert!(reason.contains("cannot write to s3://contents/a/prefix"), "{reason}");
        assert!(reason.contains(expected), "{reason}");
        assert!(store.is_away());
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_is_said_and_comes_back() {
    let Some(mut bench) = Bench::bucket().await else { return };
    let stored = bench.kept(&content(LARGE)).await;
    bench.store.ping().await.unwrap();
    let mut reading = bench.store.read_range(&stored.key, 0..stored.bytes).await.unwrap();
    let mut read = reading.try_next().await.unwrap().unwrap().to_vec();
    let mut draft = bench.store.draft();
    draft.write(&content(LARGE)).await.unwrap();
    bench.server.as_mut().unwrap().kill();
    let Err(StoreError::FilesAway(reason)) = bench.store.check().await else { panic!("it is not away") };
    assert!(reason.contains("nothing listens"), "{reason}");
    assert!(bench.store.is_away());
    bench.store.ping().await.unwrap_err();
    draft.seal("a").await.unwrap_err();
    bench.server.as_mut().unwrap().start_again().await;
    bench.store.ping().await.unwrap();
    assert!(!bench.store.is_away());
    // What was being read goes on where it was.
    while let Some(part) = reading.try_next().await.unwrap() {
        read.extend_from_slice(&part);
    }
    assert!(read == content(LARGE));
}

#[tokio::test]
async fn parts_of_a_draft_that_is_dropped_are_taken_back() {
    let Some(bench) = Bench::bucket().await else { return };
    let server = bench.server.as_ref().unwrap();
    let mut draft = bench.store.draft();
    draft.write(&content(LARGE)).await.unwrap();
    until(|| server.parts() > 0).await;
    drop(draft);
    until(|| server.parts() == 0).await;
    assert_eq!(bench.count(), 0);
}

async fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
