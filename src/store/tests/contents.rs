//! Equal contents under one key: what names them, and when they go.

use std::time::Duration;

use super::*;
use crate::protocol::{FileRow, RetryRequest};
use crate::store::backend::Durability;
use crate::store::files::hold_contents;

/// For so long somebody is watched who is to wait.
const WATCHED: Duration = Duration::from_millis(300);

on_both!(
    equal_contents_go_with_the_last_row,
    a_content_that_went_is_not_named_again,
    what_is_being_shared_is_not_swept,
    equal_outputs_share_a_key,
);

/// A content, stored under a key of its own.
async fn kept(bench: &Bench, content: &[u8]) -> Stored {
    let mut draft = bench.store.file_store().draft();
    draft.write(content).await.unwrap();
    draft.keep("a.txt").await.unwrap()
}

fn file(stored: &Stored, seq: Seq) -> FileRecord {
    let row =
        FileRow { name: "a.txt".to_owned(), bytes: stored.bytes, media_type: stored.media_type.clone() };
    let (key, blake3) = (stored.key.clone(), stored.blake3.clone());
    FileRecord { key, seq, side: FileSide::Input, row, blake3 }
}

/// A batch with one file, which it shares where `shared` says so.
async fn batch_of(bench: &Bench, stored: &Stored, shared: &[String]) -> Result<BatchRecord, StoreError> {
    let batch = bench.store.create(new_batch()).await.unwrap();
    bench.store.append_sharing(batch.key, 1, &[lines(1, 1)], &[file(stored, 1)], shared).await
}

async fn deleted(bench: &Bench, batch: &BatchRecord) {
    bench.store.cancel(batch.key, None).await.unwrap();
    bench.store.delete(batch.key).await.unwrap();
}

async fn swept(store: &Store) {
    while store.sweep().await.unwrap() {}
}

fn is_there(bench: &Bench, stored: &Stored) -> bool {
    bench.store.file_store().local_path(&stored.key).unwrap().exists()
}

async fn equal_contents_go_with_the_last_row(bench: Bench) {
    let stored = kept(&bench, b"one").await;
    assert!(bench.store.stored_contents(&[&stored.blake3]).await.unwrap().is_empty(), "no row names it yet");
    let first = batch_of(&bench, &stored, &[]).await.unwrap();
    let found = bench.store.stored_contents(&[&stored.blake3, "another"]).await.unwrap();
    assert_eq!(found, HashMap::from([(stored.blake3.clone(), stored.key.clone())]));
    let shared = [stored.key.clone()];
    let second = batch_of(&bench, &stored, &shared).await.unwrap();
    let third = batch_of(&bench, &stored, &shared).await.unwrap();
    for batch in [&first, &third] {
        deleted(&bench, batch).await;
        swept(&bench.store).await;
        bench.store.remove_unnamed(&shared).await.unwrap();
        assert!(is_there(&bench, &stored), "the second batch names it");
    }
    assert_eq!(bench.audited(second.key).await.total, 1);
    deleted(&bench, &second).await;
    swept(&bench.store).await;
    assert!(!is_there(&bench, &stored));
    assert!(bench.store.stored_contents(&[&stored.blake3]).await.unwrap().is_empty());
}

async fn a_content_that_went_is_not_named_again(bench: Bench) {
    let stored = kept(&bench, b"one").await;
    let first = batch_of(&bench, &stored, &[]).await.unwrap();
    deleted(&bench, &first).await;
    swept(&bench.store).await;
    let refused = batch_of(&bench, &stored, std::slice::from_ref(&stored.key)).await;
    assert!(matches!(refused, Err(StoreError::ContentGone)), "{refused:?}");
    assert!(bench.store.stored_contents(&[&stored.blake3]).await.unwrap().is_empty());
}

async fn what_is_being_shared_is_not_swept(bench: Bench) {
    let stored = kept(&bench, b"one").await;
    let first = batch_of(&bench, &stored, &[]).await.unwrap();
    let second = bench.store.create(new_batch()).await.unwrap();
    deleted(&bench, &first).await;
    let other = bench.again().await;
    let tx = bench.store.inner.backend.write().await.unwrap();
    hold_contents(&tx, std::slice::from_ref(&stored.key)).await.unwrap();
    let mut sweeping = tokio::spawn(async move {
        // On SQLite whoever writes may be told that the database is busy.
        loop {
            match other.sweep().await {
                Ok(false) => break,
                Ok(true) | Err(StoreError::Busy(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let early = tokio::time::timeout(WATCHED, &mut sweeping).await;
    assert!(early.is_err(), "it waits for whoever is about to name the content");
    let text = "INSERT INTO files (batch, seq, side, \"key\", name, bytes, media_type, blake3) \
         VALUES ($1, 1, 'input', $2, 'a.txt', 3, 'text/plain', $3)";
    let values = vec![second.key.into(), stored.key.clone().into(), stored.blake3.clone().into()];
    run(&tx, text, values).await.unwrap();
    bench.store.inner.backend.commit(tx, Durability::Process).await.unwrap();
    sweeping.await.unwrap();
    swept(&bench.store).await;
    assert!(is_there(&bench, &stored), "a row names it");
}

#[tokio::test]
async fn what_is_being_swept_is_not_shared_on_postgres() {
    let Some(bench) = Bench::open(On::Postgres).await else { return };
    let stored = kept(&bench, b"one").await;
    batch_of(&bench, &stored, &[]).await.unwrap();
    let tx = bench.store.inner.backend.write().await.unwrap();
    let forget = "DELETE FROM files WHERE \"key\" = $1";
    run(&tx, forget, vec![stored.key.clone().into()]).await.unwrap();
    // Neither waits for the other, nor names what is about to go.
    let refused = batch_of(&bench, &stored, std::slice::from_ref(&stored.key)).await;
    assert!(matches!(refused, Err(StoreError::ContentGone)), "{refused:?}");
    bench.store.inner.backend.commit(tx, Durability::Process).await.unwrap();
}

async fn equal_outputs_share_a_key(bench: Bench) {
    let (one, other) = (kept(&bench, b"one").await, kept(&bench, b"one").await);
    let (third, lone) = (kept(&bench, b"one").await, kept(&bench, b"lone").await);
    let mut batches = Vec::new();
    for left in [vec![(1, &one), (2, &lone)], vec![(1, &other), (2, &third)]] {
        let batch = bench.generated(2, Options::default()).await;
        let claim = bench.claim("a", 2, 2).await.unwrap();
        assert_eq!(claim.batch.key, batch.key);
        let outcomes = (1..=2).map(|seq| failure(seq, "f")).collect();
        let files =
            left.into_iter().map(|(seq, stored)| FileRecord { side: FileSide::Output, ..file(stored, seq) });
        let told = LeaseReport { outcomes, files: files.collect(), ..report(&claim, 1) };
        let (answer, _changes) = bench.record("a", told.clone()).await;
        assert!(matches!(answer, LeaseAnswer::Applied { .. }), "{answer:?}");
        // Told once more, as where the answer was lost, it changes nothing.
        bench.record("a", told).await;
        batches.push(bench.audited(batch.key).await);
    }
    for (batch, seq, stored) in [(0, 1, &one), (0, 2, &lone), (1, 1, &one), (1, 2, &one)] {
        assert_eq!(bench.store.item_file(&batches[batch], seq, "a.txt", None).await.unwrap().key, stored.key);
    }
    swept(&bench.store).await;
    assert_eq!(
        [&one, &other, &third, &lone].map(|stored| is_there(&bench, stored)),
        [true, false, false, true]
    );
    bench.store.retry(batches[0].key, &RetryRequest::default()).await.unwrap();
    bench.stepped(batches[0].key).await;
    swept(&bench.store).await;
    assert_eq!(
        [&one, &lone].map(|stored| is_there(&bench, stored)),
        [true, false],
        "the other batch names it"
    );
}
