//! The folder of file contents: what is there when a draft was kept, dropped, or could not be written.

use std::path::Path;

use futures_util::TryStreamExt as _;

use super::*;

async fn open(root: &Path) -> FileStore {
    FileStore::open(root, None).await.unwrap()
}

async fn read(store: &FileStore, key: &str, range: std::ops::Range<u64>) -> Vec<u8> {
    let parts: Vec<bytes::Bytes> = store.read_range(key, range).await.unwrap().try_collect().await.unwrap();
    parts.concat()
}

async fn sealed(store: &FileStore, content: &[u8]) -> SealedFile {
    let mut draft = store.draft();
    draft.write(content).await.unwrap();
    draft.seal("a.csv").await.unwrap()
}

fn files_below(root: &Path) -> usize {
    let folders = std::fs::read_dir(root).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn drafts_are_kept_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut draft = store.draft();
    draft.write(b"hello ").await.unwrap();
    draft.write(b"world").await.unwrap();
    assert_eq!(draft.len(), 11);
    let stored = draft.keep("a.csv").await.unwrap();
    assert_eq!(stored.media_type, "text/csv");
    assert_eq!(stored.blake3, blake3::hash(b"hello world").to_hex().to_string());
    let path = store.local_path(&stored.key).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"hello world");
    store.remove(&stored.key).await.unwrap();
    store.remove(&stored.key).await.unwrap();
    assert!(!path.exists());
    assert!(store.local_path("../../etc/passwd").unwrap().starts_with(folder.path()));
}

#[tokio::test]
async fn a_large_draft_leaves_nothing_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut draft = store.draft();
    draft.write(&[1; SMALL_FILE_BYTES_MAX]).await.unwrap();
    assert_eq!(files_below(folder.path()), 0, "it is held in memory");
    draft.write(&[2]).await.unwrap();
    assert_eq!(files_below(folder.path()), 1, "it is written as it comes");
    drop(draft);
    assert_eq!(files_below(folder.path()), 0);
    let mut draft = store.draft();
    draft.write(&[1; SMALL_FILE_BYTES_MAX]).await.unwrap();
    draft.write(&[2]).await.unwrap();
    let stored = draft.keep("a.bin").await.unwrap();
    let end = stored.bytes;
    assert_eq!(read(&store, &stored.key, end - 2..end).await, [1, 2]);
}

#[tokio::test]
async fn small_files_are_stored_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for count in [1_usize, 7, 300] {
        let mut group = Vec::new();
        for number in 0..count {
            group.push(sealed(&store, format!("{count} {number}").as_bytes()).await);
        }
        let before = files_below(folder.path());
        store.keep_all(group.iter()).await.unwrap();
        assert_eq!(files_below(folder.path()), before + count);
        for (number, file) in group.iter().enumerate() {
            let content = read(&store, &file.stored.key, 0..file.stored.bytes).await;
            assert_eq!(content, format!("{count} {number}").as_bytes());
        }
    }
}

#[tokio::test]
async fn of_a_group_that_fails_nothing_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let group = [sealed(&store, b"a").await, sealed(&store, b"b").await, sealed(&store, b"c").await];
    let shelf = |file: &SealedFile| store.local_path(&file.stored.key).unwrap().parent().unwrap().to_owned();
    // A file lies where the folder of the last one is to be.
    std::fs::write(shelf(&group[2]), b"").unwrap();
    store.keep_all(group.iter()).await.unwrap_err();
    for file in &group {
        assert!(!store.local_path(&file.stored.key).unwrap().exists());
    }
    std::fs::remove_file(shelf(&group[2])).unwrap();
    store.keep_all(group.iter()).await.unwrap();
    assert_eq!(read(&store, &group[2].stored.key, 0..1).await, b"c");
}

#[tokio::test]
async fn adopted_files_are_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("files")).await;
    let left = folder.path().join("out.png");
    for bytes in [12, SMALL_FILE_BYTES_MAX, SMALL_FILE_BYTES_MAX + 1, 3 * SMALL_FILE_BYTES_MAX] {
        let mut content = vec![b'1'; bytes];
        content[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
        std::fs::write(&left, &content).unwrap();
        let sealed = store.adopt(&left, "out").await.unwrap();
        store.keep_all(std::iter::once(&sealed)).await.unwrap();
        let stored = sealed.stored;
        assert_eq!((stored.bytes, stored.media_type.as_str()), (bytes as u64, "image/png"));
        assert_eq!(stored.blake3, blake3::hash(&content).to_hex().to_string());
        assert_eq!(std::fs::read(store.local_path(&stored.key).unwrap()).unwrap(), content);
    }
}
