//! Files of a batch as one zip, made while it is sent.
//!
//! An archive is made as fast as its client takes it, by a task that waits for it and no thread; it holds a page of
//! rows and a few chunks in memory. A fault breaks the stream off before its directory, so no half archive opens.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::entry_name::{MANIFEST, entries};
use super::pages::{Pages, ResultItem};
use crate::protocol::{InputKind, Json};
use crate::store::{ContentStream, FileRecord, FileSide, SeqRange};

/// Chunks between the task that makes the archive and the connection; the task waits when they are full.
const CHUNKS_MAX: usize = 2;
/// Bytes of one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes from which an entry needs the wide form of sizes.
const WIDE_BYTES: u64 = u32::MAX as u64 / 2;

/// An archive of all files that items left.
pub(super) fn content(pages: Pages) -> ContentStream {
    let (chunks_in, chunks) = mpsc::channel(CHUNKS_MAX);
    let task = tokio::spawn(make(pages, Archive::new(chunks_in)));
    stream::unfold(Chunks { chunks, task: Some(task) }, Chunks::next).fuse().boxed()
}

/// What has been made, and whether it ended well.
struct Chunks {
    chunks: mpsc::Receiver<Bytes>,
    /// None once its end was told.
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Chunks {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if let Some(chunk) = self.chunks.recv().await {
            return Some((Ok(chunk), self));
        }
        let ended = self.task.take()?.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        match ended {
            Ok(()) => None,
            Err(fault) => {
                tracing::warn!(%fault, "a download of files was broken off");
                Some((Err(fault), self))
            }
        }
    }
}

/// An item row, and where in the archive its files are.
#[derive(Serialize)]
struct ManifestRow<'a> {
    #[serde(flatten)]
    item: &'a ResultItem,
    /// Names in the archive, in the order of `files`.
    entries: Vec<String>,
}

/// Walks twice: the manifest first, then the files; an archive has no two entries open.
async fn make(pages: Pages, mut archive: Archive) -> io::Result<()> {
    archive.begin(MANIFEST, None)?;
    let kind = pages.batch().input;
    let mut rows = pages.clone();
    while let Some(page) = rows.next().await.map_err(io::Error::other)? {
        archive.put(&manifest(kind, &page)?).await?;
    }
    let mut rows = pages;
    while let Some(page) = rows.next().await.map_err(io::Error::other)? {
        let shown: Vec<SeqRange> = page.iter().map(|item| SeqRange::one(item.seq)).collect();
        let mut files = rows.store().files(rows.batch(), &shown).await.map_err(io::Error::other)?;
        files.retain(|file| file.side == FileSide::Output);
        for left in files.chunk_by(|one, next| one.seq == next.seq) {
            let item = page.iter().find(|item| item.seq == left[0].seq);
            let input = item.map(|item| input_name(kind, item)).unwrap_or_default();
            let names = entries(left[0].seq, &input, left.iter().map(|file| &*file.row.name));
            for (FileRecord { key, row, .. }, name) in left.iter().zip(names) {
                archive.begin(&name, Some(row.bytes))?;
                let content = rows.store().file_store().read_range(key, 0..row.bytes).await;
                archive.put_content(content.map_err(io::Error::other)?).await?;
            }
        }
    }
    archive.end().await
}

/// A row a line.
fn manifest(kind: InputKind, page: &[ResultItem]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for item in page {
        let names = item.files.iter().map(|file| &*file.name);
        let entries = entries(item.seq, &input_name(kind, item), names);
        serde_json::to_writer(&mut text, &ManifestRow { item, entries })?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The name of the file that an item took; empty where it took none.
fn input_name(kind: InputKind, item: &ResultItem) -> String {
    match kind {
        InputKind::Line | InputKind::Record => String::new(),
        InputKind::File => {
            let name = |(key, value): (String, Json)| (key == "name").then(|| value.display_text());
            item.input.members().into_iter().flatten().find_map(name).unwrap_or_default()
        }
    }
}

/// An archive that is being made, and where its bytes go.
struct Archive {
    zip: ZipWriter<StreamWriter<Written>>,
    written: Written,
    chunks: mpsc::Sender<Bytes>,
}

/// What the library has written and nobody has taken yet: a chunk, and the heads of entries.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what was written once there are `least` bytes of it; waits until the client has taken the chunks before.
    async fn send(&self, chunks: &mpsc::Sender<Bytes>, least: usize) -> io::Result<()> {
        let chunk = {
            let mut bytes = self.bytes();
            if bytes.len() < least {
                return Ok(());
            }
            std::mem::take(&mut *bytes)
        };
        let gone = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        chunks.send(chunk.into()).await.map_err(gone)
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Archive {
    fn new(chunks: mpsc::Sender<Bytes>) -> Self {
        let written = Written::default();
        Self { zip: ZipWriter::new_stream(written.clone()), written, chunks }
    }

    /// Begins an entry; where its size is not known before its end, it may be of any.
    fn begin(&mut self, name: &str, bytes: Option<u64>) -> io::Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let is_wide = bytes.is_none_or(|bytes| bytes > WIDE_BYTES);
        Ok(self.zip.start_file(name, options.large_file(is_wide))?)
    }

    /// More of the entry.
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(CHUNK_BYTES) {
            self.zip.write_all(part)?;
            self.written.send(&self.chunks, CHUNK_BYTES).await?;
        }
        Ok(())
    }

    /// All of a content, as the entry.
    async fn put_content(&mut self, mut content: ContentStream) -> io::Result<()> {
        while let Some(chunk) = content.next().await {
            self.put(&chunk?).await?;
        }
        Ok(())
    }

    /// The directory, and all that is left.
    async fn end(self) -> io::Result<()> {
        let Self { zip, written, chunks } = self;
        zip.finish()?;
        written.send(&chunks, 1).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FileStore;

    /// What has been made, read as it comes.
    async fn made(making: impl AsyncFnOnce(&mut Archive) -> io::Result<()>) -> (Archive, Vec<u8>) {
        let (chunks_in, mut chunks) = mpsc::channel(1);
        let mut archive = Archive::new(chunks_in);
        let mut bytes = Vec::new();
        {
            let mut making = std::pin::pin!(making(&mut archive));
            loop {
                tokio::select! {
                    made = &mut making => break made.unwrap(),
                    Some(chunk) = chunks.recv() => bytes.extend_from_slice(&chunk),
                }
            }
        }
        while let Ok(chunk) = chunks.try_recv() {
            bytes.extend_from_slice(&chunk);
        }
        (archive, bytes)
    }

    #[tokio::test]
    async fn an_archive_opens_and_holds_all() {
        let folder = tempfile::tempdir().unwrap();
        let file_store = FileStore::open(folder.path(), None).await.unwrap();
        let mut draft = file_store.draft();
        draft.write(&[7u8; 150_000]).await.unwrap();
        let key = draft.keep("b.bin").await.unwrap().key;
        let content = file_store.read_range(&key, 0..150_000).await.unwrap();
        let (mut archive, mut bytes) = made(async |archive: &mut Archive| {
            archive.begin(MANIFEST, None)?;
            archive.put(b"{}\n").await?;
            archive.put(b"[]\n").await?;
            archive.begin("a/000041-b.bin", Some(150_000))?;
            archive.put_content(content).await
        })
        .await;
        let (chunks_in, mut chunks) = mpsc::channel(1);
        archive.chunks = chunks_in;
        archive.end().await.unwrap();
        bytes.extend_from_slice(&chunks.recv().await.unwrap());
        let mut zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["manifest.ndjson", "a/000041-b.bin"]);
        assert_eq!(io::read_to_string(zip.by_name("manifest.ndjson").unwrap()).unwrap(), "{}\n[]\n");
        let mut content = Vec::new();
        io::Read::read_to_end(&mut zip.by_index(1).unwrap(), &mut content).unwrap();
        assert_eq!(content, vec![7u8; 150_000]);
    }

    #[tokio::test]
    async fn one_broken_off_does_not_open() {
        let (_archive, bytes) = made(async |archive: &mut Archive| {
            archive.begin(MANIFEST, None)?;
            archive.put(&[b'x'; CHUNK_BYTES]).await
        })
        .await;
        assert!(bytes.len() > CHUNK_BYTES);
        assert!(zip::ZipArchive::new(io::Cursor::new(bytes)).is_err());
    }

    #[tokio::test]
    async fn nothing_is_made_that_nobody_takes() {
        let (chunks_in, chunks) = mpsc::channel(CHUNKS_MAX);
        let mut archive = Archive::new(chunks_in);
        archive.begin(MANIFEST, None).unwrap();
        let much = vec![b'x'; CHUNK_BYTES * 8];
        let making = archive.put(&much);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(50), making).await.is_err(),
            "it waits"
        );
        assert_eq!(chunks.len(), CHUNKS_MAX);
    }

    #[tokio::test]
    async fn more_entries_than_the_narrow_form_counts_open() {
        const ENTRIES: usize = 65_536 + 7;
        let (archive, mut bytes) = made(async |archive: &mut Archive| {
            for at in 0..ENTRIES {
                archive.begin(&format!("{at:06}-x"), Some(0))?;
                archive.written.send(&archive.chunks, CHUNK_BYTES).await?;
            }
            Ok(())
        })
        .await;
        let Archive { zip, written, .. } = archive;
        zip.finish().unwrap();
        bytes.extend_from_slice(&written.bytes());
        let zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        assert_eq!(zip.len(), ENTRIES);
        assert!(zip.file_names().last().unwrap().unwrap().ends_with("065542-x"));
    }
}
