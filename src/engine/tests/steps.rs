//! Acts in steps, follow-ups, turns, and what a broken batch does to a node.
//!
//! Uses the bench of its parent. Whatever is stepped, made or refused is seen in committed state.

use std::time::Instant;

use super::*;
use crate::protocol::{BatchId, BatchPatch, RetryRequest, Running};
use crate::store::{CreateBatch, Naming, Source};

/// Longest time that ten quick items may take beside a big batch; it is a small part of that.
const QUICK_MAX: Duration = Duration::from_secs(5);

fn then(body: &str) -> Options {
    Options { then: Some(Json::parse(body).unwrap()), ..Options::default() }
}

/// Waits for a batch of this number.
async fn number(bench: &Bench, key: i64) -> BatchRecord {
    for _ in 0..4_000 {
        if let Ok(batch) = bench.store.batch_by_key(key).await {
            return batch;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("batch {key} never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_many_is_taken_in_steps_to_its_end() {
    let mut bench = Bench::new(4).await;
    let once = Options { attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(200, r#"{"fail_each":1}"#, once).await;
    assert_eq!(bench.ended(&batch).await.failed, 200);
    // The act is begun while nobody is there to go on with it: as if the process had died.
    bench.engine.drain().await;
    let begun = bench.store.retry(batch.key, &RetryRequest::default()).await.unwrap().batch;
    assert!(begun.failed > 0 && !begun.state.is_finished());
    bench.engine = start(&bench.store, &bench.counts, &bench.options).await;
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.failed, ended.finishes), (200, 2));
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), 400, "each once more");
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_of_a_retry_under_way_ends_the_batch() {
    let bench = Bench::new(2).await;
    let once = Options { attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(400, r#"{"fail_each":2,"wait_ms":1}"#, once).await;
    assert_eq!(bench.ended(&batch).await.failed, 200);
    bench.engine.pause(batch.key).await.unwrap_err();
    bench.engine.retry(batch.key, &RetryRequest::default()).await.unwrap();
    bench.engine.cancel(batch.key).await.unwrap();
    let ended = bench.ended(&batch).await;
    assert_eq!(ended.state, BatchState::Cancelled);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_lets_items_finish_stops_none() {
    let bench = Bench::new(4).await;
    let batch = bench.submit(1_000, r#"{"wait_ms":700}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.running == 4).await;
    let answer = bench.engine.cancel_as(batch.key, Running::Finish).await.unwrap();
    assert_eq!(answer.state, BatchState::Cancelling);
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.state, ended.succeeded, ended.cancelled), (BatchState::Cancelled, 4, 996));
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), 4);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_is_made_whole_and_once() {
    let bench = Bench::new(2).await;
    let chain = r#"{"task":"probe","items":["a",{"b":1.10}],"options":{"then":
        {"task":"probe","name":"third","items":{"count":3}}}}"#;
    let first = bench.submit(5, "{}", then(chain)).await;
    let second = number(&bench, first.key + 1).await;
    assert_eq!((second.name.as_str(), second.owner.as_str()), ("After #1: 5 numbers", "ada"));
    assert_eq!((second.total, second.sealed), (2, true));
    assert_eq!(bench.ended(&second).await.succeeded, 2);
    let third = number(&bench, second.key + 1).await;
    assert_eq!((third.name.as_str(), bench.ended(&third).await.succeeded), ("third", 3));
    assert!(bench.store.follows_due().await.unwrap().is_empty());
    assert!(bench.store.batch_by_key(third.key + 1).await.is_err());
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_that_cannot_be_made_says_so() {
    let bench = Bench::new(2).await;
    let new = CreateBatch {
        id: BatchId::from_u128(9),
        naming: Naming::Given,
        name: "old".to_owned(),
        task: "probe".to_owned(),
        input: InputKind::Line,
        source: Source::Generated,
        generated: 3,
        params: Json::parse("{}").unwrap(),
        options: then(r#"{"task":"gone","items":{"count":1}}"#),
        intake_node: None,
        owner: "ada".to_owned(),
        parent: None,
        columns: Vec::new(),
    };
    let batch = bench.store.create(new).await.unwrap();
    let told = bench.until(&batch, |batch| batch.reason.is_some()).await;
    assert_eq!(told.state, BatchState::Succeeded);
    assert!(told.reason.unwrap().contains("no task named \"gone\""));
    assert!(bench.store.follows_due().await.unwrap().is_empty());
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_is_checked_as_a_submit_is() {
    let bench = Bench::new(1).await;
    let refusal = async |body: &str| {
        let new = asked("{}", then(body));
        let refused = numbers(&bench.engine, new, 1).await.unwrap_err();
        format!("{refused:?}")
    };
    for (body, said) in [
        ("[]", "Invalid"),
        (r#"{"items":["a"]}"#, "Invalid"),
        (r#"{"task":"probe","items":["a"],"when":"now"}"#, "Invalid"),
        (r#"{"task":"probe","items":["a"],"on":"never"}"#, "Invalid"),
        (r#"{"task":"nope","items":["a"]}"#, "UnknownTask"),
        (r#"{"task":"probe"}"#, "NoItems"),
        (r#"{"task":"probe","items":{"count":0}}"#, "NoItems"),
        (r#"{"task":"probe","items":{"count":1000001}}"#, "TooLarge"),
        (r#"{"task":"reader","items":["a"]}"#, "Invalid"),
        (r#"{"task":"reader","items":{"count":2}}"#, "Invalid"),
        (r#"{"task":"probe","name":" ","items":["a"]}"#, "Invalid"),
        (r#"{"task":"probe","params":{"fail_each":"x"},"items":["a"]}"#, "Invalid"),
        (r#"{"task":"probe","items":["a"],"options":{"open":true}}"#, "open"),
        (r#"{"task":"probe","items":["a"],"options":{"webhook":"a.example"}}"#, "webhook"),
        (r#"{"task":"probe","items":["a"],"options":{"then":{"task":"nope","items":["a"]}}}"#, "UnknownTask"),
        (
            r#"{"task":"probe","items":["a"],"options":{"then":{"task":"probe","items":1}}}"#,
            "then.options.then",
        ),
    ] {
        let answer = refusal(body).await;
        assert!(answer.contains(said), "{body}: {answer}");
    }
    let mut chain = r#"{"task":"probe","items":["a"]}"#.to_owned();
    for _ in 0..9 {
        chain = format!(r#"{{"task":"probe","items":["a"],"options":{{"then":{chain}}}}}"#);
    }
    assert!(refusal(&chain).await.contains("follow one another"));
    let long = format!(r#"{{"task":"probe","items":["{}"]}}"#, "a".repeat(70_000));
    assert!(refusal(&long).await.contains("TooLarge"));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_quick_items_beside_a_big_batch_are_done_soon() {
    let bench = Bench::new(4).await;
    let big = bench.submit(1_000_000, r#"{"wait_ms":2}"#, Options::default()).await;
    bench.until(&big, |big| big.succeeded > 2_000).await;
    let mut longest = Duration::ZERO;
    for _round in 0..5 {
        let begun = Instant::now();
        let quick = bench.submit(10, "{}", Options::default()).await;
        bench.ended(&quick).await;
        longest = longest.max(begun.elapsed());
    }
    println!("ten quick items took at most {longest:?}");
    assert!(longest < QUICK_MAX, "{longest:?}");
    bench.engine.cancel(big.key).await.unwrap();
    bench.ended(&big).await;
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrency_given_later_is_kept() {
    let bench = Bench::new(4).await;
    let batch = bench.submit(3_000, r#"{"wait_ms":3}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 40).await;
    let patch =
        BatchPatch { concurrency: Some(1), name: Some(" renamed ".to_owned()), ..BatchPatch::default() };
    let patched = bench.engine.patch(batch.key, &patch).await.unwrap();
    assert_eq!(patched.name, "renamed");
    let before = bench.until(&batch, |batch| batch.running <= 1 && batch.rev > patched.rev).await;
    let settled = bench.until(&batch, |batch| batch.succeeded > before.succeeded + 20).await;
    bench.counts.most.store(0, Ordering::Relaxed);
    bench.until(&batch, |batch| batch.succeeded > settled.succeeded + 60).await;
    assert_eq!(bench.counts.most.load(Ordering::Relaxed), 1);
    let work = bench.engine.stages.acts.dispatcher.prepared(batch.key).unwrap();
    assert!(work.is_limited.load(Ordering::Relaxed));
    let wider = BatchPatch { concurrency: Some(4), priority: Some(3), ..BatchPatch::default() };
    bench.engine.patch(batch.key, &wider).await.unwrap();
    bench.until(&batch, |batch| batch.running > 1).await;
    bench.engine.cancel(batch.key).await.unwrap();
    bench.ended(&batch).await;
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_batch_keeps_nobody_from_reading_the_others() {
    let mut bench = Bench::new(1).await;
    let whole = bench.submit(2, "{}", Options::default()).await;
    bench.ended(&whole).await;
    let batch = bench.submit(50, r#"{"wait_ms":5000}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.running == 1).await;
    bench.engine.die();
    bench.store.spoil_leases(batch.key).await;
    bench.engine = start(&bench.store, &bench.counts, &bench.options).await;
    assert!(bench.engine.unready().unwrap().contains("taken back"));
    let waits = bench.submit(1, "{}", Options::default()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waits = bench.store.batch_by_key(waits.key).await.unwrap();
    assert_eq!((waits.state, waits.running), (BatchState::Pending, 0), "nothing is claimed");
    assert_eq!(bench.store.batch_by_key(whole.key).await.unwrap().succeeded, 2);
    bench.engine.drain().await;
}
