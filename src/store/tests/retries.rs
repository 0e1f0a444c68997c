//! What the last retry of a batch has come to: it counts what it took, and nothing else.
//!
//! Every step ends in an audit.

use super::*;
use crate::protocol::{BatchRetry, BatchState, RetryRequest};
use crate::store::access::Signature;

on_both!(
    a_retry_counts_what_it_took_and_no_item_that_runs_for_the_first_time,
    other_attempts_of_an_item_are_no_retry,
    a_second_retry_counts_anew_while_the_first_still_runs,
    a_cancel_ends_what_a_retry_took_as_cancelled,
    a_retry_of_a_family_or_of_items_counts_those,
    the_time_between_the_end_and_a_retry_is_kept_apart,
    what_an_earlier_version_retried_is_not_counted,
);

async fn retry_as(bench: &Bench, who: &str, batch: &BatchRecord, request: RetryRequest) -> BatchRecord {
    let asks = Signature { who: who.to_owned(), via: "test", address: String::new() };
    asks.on(bench.store.retry(batch.key, &request)).await.unwrap().batch
}

/// Items, and those that succeeded, failed and were cancelled, of the last retry.
async fn counts(bench: &Bench, batch: &BatchRecord) -> [u64; 4] {
    let BatchRetry { items, succeeded, failed, cancelled, .. } =
        bench.audited(batch.key).await.retry.expect("it was retried");
    [items, succeeded, failed, cancelled]
}

/// Ends the items of a claim, those in `fail` badly.
async fn end(bench: &Bench, claim: &Claim, fail: &[Seq]) {
    let items = claim.ranges.iter().flat_map(|range| range.first..=range.last);
    let outcome = |seq| match fail.contains(&seq) {
        true => failure(seq, "f"),
        false => quick(SeqRange::one(seq)),
    };
    let outcomes = items.map(outcome).collect();
    bench.record("a", LeaseReport { outcomes, ..report(claim, 1) }).await;
}

async fn a_retry_counts_what_it_took_and_no_item_that_runs_for_the_first_time(bench: Bench) {
    let batch = bench.generated(6, Options::default()).await;
    let claim = bench.claim("a", 1, 3).await.unwrap();
    end(&bench, &claim, &[2, 3]).await;
    assert_eq!(bench.audited(batch.key).await.retry, None, "nobody has asked for one");
    bench.pass(5_000);
    let asked = retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    let retry = BatchRetry {
        by: "ada".into(),
        at: Timestamp(START + 5_000),
        items: 2,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
    };
    assert_eq!(asked.retry, Some(retry));
    let again = bench.claim("a", 1, 9).await.unwrap();
    assert_eq!((again.ranges.clone(), again.generation), (vec![SeqRange::new(2, 3)], 2));
    let fresh = bench.claim("a", 1, 9).await.unwrap();
    assert_eq!((fresh.ranges.clone(), fresh.generation), (vec![SeqRange::new(4, 6)], 1));
    end(&bench, &fresh, &[5]).await;
    assert_eq!(counts(&bench, &batch).await, [2, 0, 0, 0]);
    end(&bench, &again, &[3]).await;
    assert_eq!(counts(&bench, &batch).await, [2, 1, 1, 0]);
    let none = RetryRequest { seqs: Some(vec![1]), ..RetryRequest::default() };
    let same = retry_as(&bench, "bo", &batch, none).await;
    assert_eq!(same, bench.audited(batch.key).await, "a retry of nothing is none");
    assert_eq!(same.retry.unwrap().by, "ada");
}

async fn other_attempts_of_an_item_are_no_retry(bench: Bench) {
    let batch = bench.generated(1, Options::default()).await;
    let claim = bench.claim("a", 1, 1).await.unwrap();
    let again = RetryItem { seq: 1, attempt: 2, crashes: 0, not_before: Timestamp(0) };
    bench.record("a", LeaseReport { retries: vec![again.clone()], ..report(&claim, 1) }).await;
    assert_eq!(bench.audited(batch.key).await.retry, None);
    let claim = bench.claim("a", 1, 1).await.unwrap();
    end(&bench, &claim, &[1]).await;
    assert_eq!(bench.audited(batch.key).await.retry, None);
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    let claim = bench.claim("a", 1, 1).await.unwrap();
    bench.record("a", LeaseReport { retries: vec![again], ..report(&claim, 1) }).await;
    assert_eq!(counts(&bench, &batch).await, [1, 0, 0, 0], "it waits for its second attempt");
    let claim = bench.claim("a", 1, 1).await.unwrap();
    end(&bench, &claim, &[]).await;
    assert_eq!(counts(&bench, &batch).await, [1, 1, 0, 0]);
}

async fn a_second_retry_counts_anew_while_the_first_still_runs(bench: Bench) {
    let batch = bench.generated(4, Options::default()).await;
    let claim = bench.claim("a", 1, 4).await.unwrap();
    end(&bench, &claim, &[1, 2, 3]).await;
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    let first = bench.claim("a", 1, 9).await.unwrap();
    let outcomes = vec![failure(1, "f"), quick(SeqRange::one(2))];
    bench.record("a", LeaseReport { outcomes, ..report(&first, 1) }).await;
    assert_eq!(counts(&bench, &batch).await, [3, 1, 1, 0]);
    bench.pass(7);
    let second = retry_as(&bench, "bo", &batch, RetryRequest::default()).await.retry.unwrap();
    assert_eq!((second.by.as_str(), second.at.0, second.items), ("bo", START + 7, 1));
    // The last item of the first one ends: it is none of the second.
    let outcomes = vec![quick(SeqRange::one(3))];
    bench.record("a", LeaseReport { outcomes, ..report(&first, 2) }).await;
    assert_eq!(counts(&bench, &batch).await, [1, 0, 0, 0]);
    let second = bench.claim("a", 1, 9).await.unwrap();
    end(&bench, &second, &[]).await;
    assert_eq!(counts(&bench, &batch).await, [1, 1, 0, 0]);
}

async fn a_cancel_ends_what_a_retry_took_as_cancelled(bench: Bench) {
    let batch = bench.generated(9, Options::default()).await;
    let claim = bench.claim("a", 1, 3).await.unwrap();
    end(&bench, &claim, &[1, 2, 3]).await;
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    let running = bench.claim("a", 1, 1).await.unwrap();
    bench.store.cancel(batch.key, None).await.unwrap();
    bench.stepped(batch.key).await;
    assert_eq!(counts(&bench, &batch).await, [3, 0, 0, 2], "six that never ran are none of it");
    end(&bench, &running, &[]).await;
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.state, ended.cancelled), (BatchState::Cancelled, 8));
    assert_eq!(counts(&bench, &batch).await, [3, 1, 0, 2]);
    let whole = RetryRequest { states: Some(vec![ItemState::Cancelled]), ..RetryRequest::default() };
    retry_as(&bench, "ada", &batch, whole).await;
    bench.stepped(batch.key).await;
    assert_eq!(counts(&bench, &batch).await, [8, 0, 0, 0], "a retry of what was cancelled");
}

async fn a_retry_of_a_family_or_of_items_counts_those(bench: Bench) {
    let batch = bench.generated(4, Options::default()).await;
    let claim = bench.claim("a", 1, 4).await.unwrap();
    let outcomes = vec![failure(1, "f"), failure(2, "g"), failure(3, "g"), failure(4, "f")];
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    let family = RetryRequest { family: Some(FamilyId("g".into())), ..RetryRequest::default() };
    retry_as(&bench, "ada", &batch, family).await;
    let claim = bench.claim("a", 1, 9).await.unwrap();
    end(&bench, &claim, &[3]).await;
    assert_eq!(counts(&bench, &batch).await, [2, 1, 1, 0]);
    let one = RetryRequest { seqs: Some(vec![4]), ..RetryRequest::default() };
    retry_as(&bench, "ada", &batch, one).await;
    let claim = bench.claim("a", 1, 9).await.unwrap();
    end(&bench, &claim, &[]).await;
    assert_eq!(counts(&bench, &batch).await, [1, 1, 0, 0]);
    // Ends of runs of several items are counted one by one.
    let batch = bench.generated(5, Options::default()).await;
    bench.store.cancel(batch.key, None).await.unwrap();
    let middle = RetryRequest { seqs: Some(vec![2, 4]), ..RetryRequest::default() };
    retry_as(&bench, "ada", &batch, middle).await;
    let claim = bench.claim("a", 1, 9).await.unwrap();
    end(&bench, &claim, &[2]).await;
    assert_eq!(counts(&bench, &batch).await, [2, 1, 1, 0]);
}

async fn the_time_between_the_end_and_a_retry_is_kept_apart(bench: Bench) {
    let batch = bench.generated(1, Options::default()).await;
    let took = async |fail: &[Seq]| {
        let claim = bench.claim("a", 1, 1).await.unwrap();
        bench.pass(300);
        end(&bench, &claim, fail).await;
        let batch = bench.audited(batch.key).await;
        (batch.to_wire(None, None).took_ms(), batch.rested_ms)
    };
    assert_eq!(took(&[1]).await, (Some(300), 0));
    bench.pass(3_600_000);
    let open = retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    assert_eq!((open.to_wire(None, None).took_ms(), open.rested_ms), (None, 3_600_000));
    bench.pass(5);
    assert_eq!(took(&[1]).await, (Some(605), 3_600_000), "the 5 ms that it waited were not idle");
    bench.pass(-1_000);
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    assert_eq!(bench.audited(batch.key).await.rested_ms, 3_600_000, "a clock that was set back");
}

async fn what_an_earlier_version_retried_is_not_counted(bench: Bench) {
    let batch = bench.generated(4, Options::default()).await;
    let claim = bench.claim("a", 1, 2).await.unwrap();
    end(&bench, &claim, &[1, 2]).await;
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    // As it left the row, but for items that had its generation and were in no retry.
    let tx = bench.store.inner.backend.write().await.unwrap();
    let text = "UPDATE batches SET retry_by = NULL, retry_at = NULL, retry_items = 0";
    run(&tx, text, vec![]).await.unwrap();
    bench.store.inner.backend.commit(tx, Durability::Process).await.unwrap();
    let claim = bench.claim("a", 1, 9).await.unwrap();
    end(&bench, &claim, &[2]).await;
    assert_eq!(bench.audited(batch.key).await.retry, None);
    retry_as(&bench, "ada", &batch, RetryRequest::default()).await;
    assert_eq!(counts(&bench, &batch).await, [1, 0, 0, 0]);
}
