//! Files of a batch as one zip, written while it is sent.
//!
//! Owns the thread that writes archives. Called by the downloads. Invariant: what is sent is bounded by a few chunks in
//! memory; a fault breaks the stream off before its directory, so no half archive opens. Deliberately compresses
//! nothing: results are mostly images and archives.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::name::entry;
use super::pages::Pages;
use crate::protocol::ItemState;
use crate::store::{FileSide, SeqRange, StoreError};

/// Chunks between the writing thread and the connection; the thread waits when they are full.
const CHUNKS_MAX: usize = 4;
/// Bytes of one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// Entries between the reader of rows and the writing thread; the reader waits when they are full.
const STEPS_MAX: usize = 16;
/// Bytes from which an entry needs the wide form of sizes.
const WIDE_BYTES: u64 = u32::MAX as u64 / 2;

/// What the thread is to write next.
enum Step {
    /// More lines of the manifest.
    Manifest(Vec<u8>),
    /// A file.
    File { name: String, path: PathBuf, bytes: u64 },
    /// Nothing more: the directory.
    End,
}

/// The body of an archive of all files that items left.
pub(super) fn body(pages: Pages, only: Option<ItemState>) -> Body {
    let (chunks_in, chunks) = mpsc::channel::<io::Result<Bytes>>(CHUNKS_MAX);
    let (steps_in, steps) = mpsc::channel::<Step>(STEPS_MAX);
    let faults = chunks_in.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(fault) = write(steps, &chunks_in) {
            // Nobody listens any more where the client went away.
            let _gone = chunks_in.blocking_send(Err(fault));
        }
    });
    tokio::spawn(async move {
        if let Err(fault) = read(pages, only, &steps_in).await {
            tracing::warn!(%fault, "a download of files was broken off");
            let _gone = faults.send(Err(io::Error::other(fault))).await;
        }
    });
    Body::from_stream(stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    }))
}

/// Walks twice: the manifest first, then the files; an archive has no two entries open.
async fn read(pages: Pages, only: Option<ItemState>, steps: &mpsc::Sender<Step>) -> Result<(), StoreError> {
    let mut rows = pages.clone();
    while let Some(page) = rows.next().await? {
        if steps.send(Step::Manifest(super::ndjson(&page))).await.is_err() {
            return Ok(());
        }
    }
    let mut rows = pages;
    while let Some(page) = rows.next().await? {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { continue };
        let files = rows.store().files(rows.batch(), SeqRange::new(first.seq, last.seq)).await?;
        for file in files.into_iter().filter(|file| file.side == FileSide::Output) {
            if only.is_some() && !page.iter().any(|item| item.seq == file.seq) {
                continue;
            }
            let step = Step::File {
                name: entry(file.seq, &file.row.name),
                path: rows.store().vault().path(&file.key),
                bytes: file.row.bytes,
            };
            if steps.send(step).await.is_err() {
                return Ok(());
            }
        }
    }
    // The thread that is gone has told why.
    let _told = steps.send(Step::End).await;
    Ok(())
}

/// Writes entries until the end is told; steps that stop without it leave the archive without its directory.
fn write(mut steps: mpsc::Receiver<Step>, chunks: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(Chunks { begun: Vec::with_capacity(CHUNK_BYTES), chunks });
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    // The manifest's size is not known before its end.
    zip.start_file("manifest.ndjson", options.large_file(true))?;
    while let Some(step) = steps.blocking_recv() {
        match step {
            Step::Manifest(lines) => zip.write_all(&lines)?,
            Step::File { name, path, bytes } => {
                zip.start_file(name, options.large_file(bytes > WIDE_BYTES))?;
                io::copy(&mut File::open(path)?, &mut zip)?;
            }
            Step::End => {
                let mut out = zip.finish()?.into_inner();
                return out.flush();
            }
        }
    }
    Err(io::Error::other("the rows could not be read"))
}

/// Bytes into chunks for the connection.
struct Chunks<'a> {
    begun: Vec<u8>,
    chunks: &'a mpsc::Sender<io::Result<Bytes>>,
}

impl Chunks<'_> {
    fn send(&mut self) -> io::Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.begun, Vec::with_capacity(CHUNK_BYTES));
        let gone = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        self.chunks.blocking_send(Ok(chunk.into())).map_err(gone)
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(CHUNK_BYTES - self.begun.len().min(CHUNK_BYTES));
        self.begun.extend_from_slice(&bytes[..fits]);
        if self.begun.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(steps: Vec<Step>) -> (io::Result<()>, Vec<u8>) {
        let (steps_in, steps_out) = mpsc::channel(64);
        for step in steps {
            assert!(steps_in.try_send(step).is_ok());
        }
        drop(steps_in);
        let (chunks_in, mut chunks) = mpsc::channel(64);
        let written = write(steps_out, &chunks_in);
        drop(chunks_in);
        let mut bytes = Vec::new();
        while let Ok(chunk) = chunks.try_recv() {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        (written, bytes)
    }

    #[test]
    fn an_archive_opens_and_holds_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, vec![7u8; 150_000]).unwrap();
        let (written, bytes) = archive(vec![
            Step::Manifest(b"{}\n".to_vec()),
            Step::Manifest(b"[]\n".to_vec()),
            Step::File { name: entry(41, "a/b.bin"), path, bytes: 150_000 },
            Step::End,
        ]);
        written.unwrap();
        let mut zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["manifest.ndjson", "000041-a/b.bin"]);
        assert_eq!(io::read_to_string(zip.by_name("manifest.ndjson").unwrap()).unwrap(), "{}\n[]\n");
        let mut content = Vec::new();
        io::Read::read_to_end(&mut zip.by_index(1).unwrap(), &mut content).unwrap();
        assert_eq!(content, vec![7u8; 150_000]);
    }

    #[test]
    fn one_broken_off_does_not_open() {
        let (written, bytes) = archive(vec![Step::Manifest(b"{}\n".to_vec())]);
        assert!(written.is_err());
        assert!(zip::ZipArchive::new(io::Cursor::new(bytes)).is_err());
    }
}
