//! The contents of files that are about to become items: stored, equal ones once, before rows name them.

use std::collections::{HashMap, HashSet};

use crate::engine::flow::NamedFile;
use crate::protocol::Seq;
use crate::store::{FileRecord, FileSide, NewBlock, SealedFile, Store, StoreError};

/// The contents of some blocks' files.
pub struct FileContents<'f> {
    files: &'f [NamedFile],
    /// Keys of others by the hashes of their contents.
    shared: HashMap<String, String>,
    /// Keys of these files that are in the file store by now.
    kept: HashSet<&'f str>,
}

impl<'f> FileContents<'f> {
    /// Finds what is stored already.
    pub async fn find(store: &Store, files: &'f [NamedFile]) -> Self {
        let stored = files.iter().map(|file| &file.sealed.stored);
        let hashes: HashSet<&str> = stored.map(|stored| stored.blake3.as_str()).collect();
        let hashes: Vec<&str> = hashes.into_iter().collect();
        // Where the database does not answer, the commit finds out; till then nothing is shared.
        let shared = store.stored_contents(&hashes).await.unwrap_or_default();
        Self { files, shared, kept: HashSet::new() }
    }

    /// Nothing is shared with others any more.
    pub fn share_nothing(&mut self) {
        self.shared.clear();
    }

    /// The key of each file's content, in order: another's, that of an equal one before it, or its own.
    fn keys(&self) -> Vec<&str> {
        let mut first: HashMap<&str, &str> = HashMap::new();
        let stored = self.files.iter().map(|file| &file.sealed.stored);
        stored
            .map(|stored| match self.shared.get(&stored.blake3) {
                Some(key) => key.as_str(),
                None => first.entry(&stored.blake3).or_insert(&stored.key),
            })
            .collect()
    }

    /// Files, and the key of each one's content.
    fn keyed(&self) -> impl Iterator<Item = (&'f NamedFile, &str)> {
        self.files.iter().zip(self.keys())
    }

    /// Stores contents that are not, all together.
    ///
    /// # Errors
    /// As [`crate::store::FileStore::keep_all`].
    pub async fn keep(&mut self, store: &Store) -> Result<(), StoreError> {
        let is_own =
            |(file, key): &(&'f NamedFile, &str)| *key == file.sealed.stored.key && !self.kept.contains(*key);
        let missing: Vec<&'f SealedFile> =
            self.keyed().filter(is_own).map(|(file, _key)| &file.sealed).collect();
        store.file_store().keep_all(missing.iter().copied()).await?;
        self.kept.extend(missing.into_iter().map(|sealed| sealed.stored.key.as_str()));
        Ok(())
    }

    /// Writes the lines of the blocks, of which `first` is the first item; the rows that name the contents.
    pub fn write_lines(&self, blocks: &mut [NewBlock], first: Seq) -> Vec<FileRecord> {
        let mut keyed = self.keyed();
        let mut rows = Vec::with_capacity(self.files.len());
        for block in blocks {
            block.ndjson.clear();
            for (file, key) in keyed.by_ref().take(block.count as usize) {
                serde_json::to_writer(&mut block.ndjson, &file.input(key))
                    .expect("what holds only texts and numbers prints as JSON");
                block.ndjson.push(b'\n');
                let row = file.record(first + rows.len() as u64, FileSide::Input);
                rows.push(FileRecord { key: key.to_owned(), ..row });
            }
        }
        rows
    }

    /// Keys of others that are named, each once.
    pub fn shared_keys(&self) -> Vec<String> {
        self.shared.values().collect::<HashSet<_>>().into_iter().cloned().collect()
    }

    /// Removes contents of these files that are stored and that no row has come to name.
    pub async fn remove_doubles(&self, store: &Store) {
        let is_double = |(file, key): &(&NamedFile, &str)| {
            let own = file.sealed.stored.key.as_str();
            *key != own && (file.sealed.is_stored() || self.kept.contains(own))
        };
        let doubles: Vec<String> =
            self.keyed().filter(is_double).map(|(file, _key)| file.sealed.stored.key.clone()).collect();
        if let Err(error) = store.remove_unnamed(&doubles).await {
            tracing::debug!(%error, "contents that are stored twice stay until the hourly look");
        }
    }
}
