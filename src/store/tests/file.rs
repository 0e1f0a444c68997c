//! What only a file can do: stops that were not clean, and a full disk.
//!
//! As everywhere.

use super::*;
use crate::protocol::BatchState;

#[tokio::test]
async fn a_stop_that_was_not_clean_raises_revisions() {
    let mut bench = Bench::open(On::Sqlite).await.unwrap();
    let batch = bench.generated(10, Options::default()).await;
    let again = bench.again().await;
    assert_eq!(again.batch_by_key(batch.key).await.unwrap().rev, batch.rev + 1_000_000);
    bench.store.close().await;
    again.close().await;
    bench.store = bench.again().await;
    assert_eq!(bench.audited(batch.key).await.rev, batch.rev + 1_000_000);
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived() {
    let bench = Bench::open(On::Sqlite).await.unwrap();
    let batch = bench.store.create(new_batch()).await.unwrap();
    let writer = bench.store.inner.backend.writer();
    run(writer, "PRAGMA max_page_count = 60", vec![]).await.unwrap();
    let mut first = 1;
    let refused = loop {
        let noise: String = (0..500).map(|_at| format!("\"{:032x}\"\n", rand::random::<u128>())).collect();
        let block = NewBlock { count: 500, ndjson: noise.into_bytes() };
        match bench.store.append(batch.key, first, &[block], &[]).await {
            Ok(batch) => first = batch.total + 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull), "{refused:?}");
    assert_eq!(bench.audited(batch.key).await.total, first - 1);
    run(writer, "PRAGMA max_page_count = 100000", vec![]).await.unwrap();
    // There is room, but nobody has looked: nothing new is taken, ends are.
    assert!(bench.store.is_disk_full());
    assert!(matches!(bench.store.create(new_batch()).await, Err(StoreError::DiskFull)));
    let append = bench.store.append(batch.key, first, &[lines(first, 5)], &[]).await;
    assert!(matches!(append, Err(StoreError::DiskFull)));
    let other = bench.store.batch_by_key(batch.key).await.unwrap();
    assert_eq!(bench.store.pause(other.key, None).await.unwrap().batch.state, BatchState::Paused);
    bench.store.resume(other.key).await.unwrap();
    assert!(bench.store.regain_room().await.unwrap());
    bench.store.append(batch.key, first, &[lines(first, 5)], &[]).await.unwrap();
    assert_eq!(bench.audited(batch.key).await.total, first + 4);
}

#[tokio::test]
async fn a_full_disk_costs_what_was_written_meanwhile_and_nothing_after() {
    let bench = Bench::open(On::Sqlite).await.unwrap();
    let batch = bench.store.create(new_batch()).await.unwrap();
    let backend = &bench.store.inner.backend;
    for _again in 0..3 {
        super::super::backend::run(backend.writer(), "PRAGMA max_page_count = 1", vec![]).await.unwrap();
        // Random, so that it does not shrink.
        let line = |_line| format!("\"{:032x}{:032x}\"\n", rand::random::<u128>(), rand::random::<u128>());
        let ndjson = (0..8_192).map(line).collect::<String>().into_bytes();
        let append = bench.store.append(batch.key, 1, &[NewBlock { count: 8_192, ndjson }], &[]).await;
        assert!(matches!(append, Err(StoreError::DiskFull)), "{:?}", append.map(|batch| batch.total));
        assert!(bench.store.regain_room().await.unwrap());
    }
    // The bound was the connection's, which has not come through.
    let after = bench.store.append(batch.key, 1, &[lines(1, 5)], &[]).await.unwrap();
    assert_eq!(after.total, 5);
    let seen = bench.store.inputs(&after, SeqRange { first: 1, last: 5 }).await.unwrap();
    assert_eq!(seen.len(), 5, "readers see what was committed");
}

#[tokio::test]
async fn a_database_gives_back_what_deleted_batches_held() {
    let bench = Bench::open(On::Sqlite).await.unwrap();
    let writer = bench.store.inner.backend.writer();
    let pages = async || backend::number(writer, "PRAGMA page_count", vec![]).await.unwrap().unwrap();
    let before = pages().await;
    let batch = bench.store.create(new_batch()).await.unwrap();
    for block in 0..8 {
        let noise: String = (0..1_000).map(|_at| format!("\"{:032x}\"\n", rand::random::<u128>())).collect();
        let block_of = NewBlock { count: 1_000, ndjson: noise.into_bytes() };
        bench.store.append(batch.key, 1 + block * 1_000, &[block_of], &[]).await.unwrap();
    }
    let full = pages().await;
    assert!(full > before + 40, "{before} and {full} pages");
    bench.store.cancel(batch.key, None).await.unwrap();
    bench.store.delete(batch.key).await.unwrap();
    while bench.store.sweep().await.unwrap() {}
    bench.store.give_back_pages().await.unwrap();
    let after = pages().await;
    assert!(after <= before + full / 8 + 2, "{before}, {full} and {after} pages");
}
