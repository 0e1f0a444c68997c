//! Ends by time: every one that was recorded is in one bucket, and there are never too many of those.

use super::*;

on_both!(
    ends_fall_into_the_bucket_of_their_time_and_a_retry_takes_none_back,
    buckets_get_wider_before_there_are_too_many,
    a_clock_that_was_set_back_adds_to_the_last_bucket,
    a_page_of_batches_is_told_in_few_bars_by_one_statement,
);

/// Start after [`START`] in ms, good and bad ends.
async fn shown(bench: &Bench, batch: &BatchRecord) -> Vec<(i64, u64, u64)> {
    let (_rev, buckets) = bench.store.pulse(batch).await.unwrap();
    buckets.into_iter().map(|b| (b.starts_at.0 - START, b.succeeded, b.failed)).collect()
}

async fn ends_fall_into_the_bucket_of_their_time_and_a_retry_takes_none_back(bench: Bench) {
    let batch = bench.generated(6, Options::default()).await;
    assert_eq!(shown(&bench, &batch).await, []);
    let claim = bench.claim("a", 1, 10).await.unwrap();
    let (_answer, changes) = bench
        .record("a", LeaseReport { outcomes: vec![quick(SeqRange::new(1, 3))], ..report(&claim, 1) })
        .await;
    assert_eq!((changes[0].pulse.len(), changes[0].pulse[0].succeeded), (1, 3));
    bench.pass(999);
    let outcomes = vec![failure(4, "f"), quick(SeqRange::one(5))];
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 2) }).await;
    bench.pass(7_301);
    let (_answer, changes) =
        bench.record("a", LeaseReport { outcomes: vec![failure(6, "f")], ..report(&claim, 3) }).await;
    let told = &changes[0].pulse;
    assert_eq!((told.len(), told[0].bucket, told[0].ms, told[0].rev), (1, 1, 1_000, changes[0].batch.rev));
    assert_eq!(shown(&bench, &batch).await, [(0, 4, 1), (8_000, 0, 1)]);
    bench.store.retry(batch.key, &Default::default()).await.unwrap();
    bench.stepped(batch.key).await;
    let claim = bench.claim("a", 1, 10).await.unwrap();
    let outcomes = claim.ranges.iter().copied().map(quick).collect();
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    assert_eq!(shown(&bench, &batch).await, [(0, 4, 1), (8_000, 2, 1)]);
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.succeeded, batch.failed), (6, 0));
    bench.store.delete(batch.key).await.unwrap();
    while bench.store.sweep().await.unwrap() {}
    let left =
        backend::number(bench.store.inner.backend.reader(), "SELECT COUNT(*) FROM pulse", vec![]).await;
    assert_eq!(left.unwrap(), Some(0), "buckets go with their batch");
}

async fn buckets_get_wider_before_there_are_too_many(bench: Bench) {
    let batch = bench.generated(1_200, Options::default()).await;
    let claim = bench.claim("a", 1, 2_000).await.unwrap();
    let (mut widths, mut reshaped) = (Vec::new(), 0);
    for seq in 1..=1_200 {
        let outcomes = vec![if seq % 3 == 0 { failure(seq, "f") } else { quick(SeqRange::one(seq)) }];
        let version = u32::try_from(seq).unwrap();
        let (_answer, changes) = bench.record("a", LeaseReport { outcomes, ..report(&claim, version) }).await;
        reshaped += u32::from(changes[0].pulse_reshaped);
        assert_eq!(changes[0].pulse.is_empty(), changes[0].pulse_reshaped);
        widths.push(changes[0].batch.pulse_ms);
        bench.pass(1_000);
    }
    assert!(widths.is_sorted());
    assert_eq!((widths[511], widths[512], widths[1_199], reshaped), (1_000, 2_000, 4_000, 2));
    let (_rev, buckets) = bench.store.pulse(&batch).await.unwrap();
    assert_eq!(buckets.len(), 300);
    assert!(buckets.iter().all(|bucket| bucket.ms == 4_000 && bucket.succeeded + bucket.failed == 4));
    assert_eq!(buckets.iter().map(|bucket| bucket.failed).sum::<u64>(), 400);
    bench.audited(batch.key).await;
}

async fn a_clock_that_was_set_back_adds_to_the_last_bucket(bench: Bench) {
    let batch = bench.generated(3, Options::default()).await;
    let claim = bench.claim("a", 1, 10).await.unwrap();
    for (seq, ms) in [(1, 5_000), (2, -60_000), (3, 0)] {
        bench.pass(ms);
        let outcomes = vec![quick(SeqRange::one(seq))];
        let version = u32::try_from(seq).unwrap();
        bench.record("a", LeaseReport { outcomes, ..report(&claim, version) }).await;
    }
    assert_eq!(shown(&bench, &batch).await, [(5_000, 3, 0)]);
    bench.audited(batch.key).await;
}

async fn a_page_of_batches_is_told_in_few_bars_by_one_statement(bench: Bench) {
    let (none, few) =
        (bench.generated(1, Options::default()).await, bench.generated(3, Options::default()).await);
    let many = bench.generated(101, Options::default()).await;
    let mut versions = std::collections::HashMap::new();
    let mut claims = Vec::new();
    for _ in 0..3 {
        claims.push(bench.claim("a", 1, 1_000).await.unwrap());
    }
    for seq in 1..=100 {
        for claim in claims.iter().filter(|claim| claim.batch.key != none.key) {
            if seq > if claim.batch.key == few.key { 2 } else { 100 } {
                continue;
            }
            let outcomes = vec![if seq % 4 == 0 { failure(seq, "f") } else { quick(SeqRange::one(seq)) }];
            let version = versions.entry(claim.batch.key).or_insert(0);
            *version += 1;
            bench.record("a", LeaseReport { outcomes, ..report(claim, *version) }).await;
        }
        bench.pass(1_000);
    }
    let asked = [none.key, few.key, many.key];
    let (sparks, sent) = bench.sent(bench.store.sparks(&asked)).await;
    let sparks = sparks.unwrap();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sparks.get(&none.key), None);
    assert_eq!(sparks[&few.key], [[1_000, 1, 0]], "the newest bucket of what runs is not full yet");
    // 100 buckets in groups of 5, the newest bucket left out.
    let bars = &sparks[&many.key];
    assert_eq!((bars.len(), bars[0], bars[19]), (20, [5_000, 4, 1], [4_000, 3, 1]));
    assert_eq!(bars.iter().map(|bar| bar[1] + bar[2]).sum::<u64>(), 99);
    bench.store.pause(many.key, None).await.unwrap();
    assert_eq!(bench.store.sparks(&[many.key]).await.unwrap()[&many.key][19], [5_000, 3, 2]);
    assert_eq!(bench.store.sparks(&[]).await.unwrap().len(), 0);
}
