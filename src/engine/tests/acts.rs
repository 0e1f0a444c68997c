//! What acts, ends and starts of the engine do to batches under way.
//!
//! Uses the bench of its parent. Nothing is lost or counted twice by any of them.

use std::collections::HashMap;
use std::time::Instant;

use super::*;
use crate::engine::dispatch::{Dispatcher, Disposition, REFRESH};
use crate::engine::flow::PreparedBatch;
use crate::engine::liveness::Liveness;
use crate::engine::record::ReportCollector;
use crate::protocol::BatchId;
use crate::store::{Claim, ClaimRequest, CreateBatch, Naming, RunnableTasks, SeqRange, Source};

/// A lease of ten items for so many slots, of an engine that takes none by itself any more.
async fn granted(bench: &Bench, slots: u32) -> (BatchRecord, Claim) {
    bench.engine.drain().await;
    let new = CreateBatch {
        id: BatchId::from_u128(7),
        naming: Naming::Given,
        name: "late".to_owned(),
        task: "probe".to_owned(),
        input: InputKind::Line,
        source: Source::Generated,
        generated: 10,
        params: Json::parse("{}").unwrap(),
        options: Options::default(),
        owner: "ada".to_owned(),
        parent: None,
        columns: Vec::new(),
        intake_node: None,
    };
    let batch = bench.store.create(new).await.unwrap();
    let items_per_slot = HashMap::from([(batch.key, 10)]);
    let request = ClaimRequest {
        tasks: &RunnableTasks::Any,
        node: &bench.engine.node(),
        slots_free: slots,
        items_per_slot: &items_per_slot,
        lease_items_max: 100,
        started_max: u32::MAX,
    };
    let (claim, _change) = bench.store.claim(&request).await.unwrap().unwrap();
    (batch, claim)
}

fn prepared(bench: &Bench, claim: &Claim) -> Arc<PreparedBatch> {
    let prepared = bench.engine.stages.intake.preparer.prepare(&claim.batch);
    prepared.unwrap_or_else(|_| panic!("the probe is there"))
}

/// A dispatcher without work.
fn idle(bench: &Bench, slots: u32) -> Arc<Dispatcher> {
    Arc::new(Dispatcher::new(slots, Arc::new(Liveness::new(&bench.options, false))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_as_started_is_not_taken_back_before_slots_had_time_to_come() {
    let bench = Bench::new(1).await;
    let (_batch, claim) = granted(&bench, 2).await;
    let batch_here = prepared(&bench, &claim);
    let dispatcher = idle(&bench, 2);
    dispatcher.grant(claim.clone(), batch_here, Disposition::Run);
    let reports = ReportCollector(Arc::clone(&dispatcher));
    assert_eq!(claim.started, 2);
    assert!(reports.collect(Instant::now()).reports.is_empty(), "both are about to start");
    assert!(dispatcher.next_chunk(0, None).is_some());
    assert!(reports.collect(Instant::now()).reports.is_empty(), "one has, the other is about to");
    let later = reports.collect(Instant::now() + REFRESH);
    assert_eq!(later.reports[0].started, [SeqRange::new(1, 1)], "no slot came for the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_overtakes_a_lease_that_was_granted_before_it() {
    let bench = Bench::new(1).await;
    let (batch, claim) = granted(&bench, 1).await;
    let paused = bench.store.pause(batch.key, None).await.unwrap().batch;
    let batch_here = prepared(&bench, &claim);
    let dispatcher = idle(&bench, 1);
    dispatcher.redirect(batch.key, paused.rev, Disposition::HandBack);
    dispatcher.grant(claim.clone(), Arc::clone(&batch_here), Disposition::Run);
    assert!(dispatcher.next_chunk(0, None).is_none(), "nothing starts after the pause");
    let group = ReportCollector(dispatcher).collect(Instant::now());
    assert_eq!(group.reports[0].handback, claim.ranges);
    // A lease granted after the resume is not meant.
    let resumed = bench.store.resume(batch.key).await.unwrap().batch;
    let dispatcher = idle(&bench, 1);
    dispatcher.redirect(batch.key, paused.rev, Disposition::HandBack);
    dispatcher.grant(Claim { batch: resumed, ..claim }, batch_here, Disposition::Run);
    assert!(dispatcher.next_chunk(0, None).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_ends_everything() {
    let bench = Bench::new(4).await;
    let batch = bench.submit(100_000, r#"{"wait_ms":20}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 8).await;
    bench.engine.cancel(batch.key).await.unwrap();
    let ended = bench.ended(&batch).await;
    assert_eq!(ended.state, BatchState::Cancelled);
    assert!(ended.succeeded > 8 && ended.cancelled > 90_000);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_batch_starts_nothing_until_it_is_resumed() {
    let bench = Bench::new(4).await;
    let batch = bench.submit(400, r#"{"wait_ms":5}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 8).await;
    bench.engine.pause(batch.key).await.unwrap();
    bench.until(&batch, |batch| batch.running == 0).await;
    let runs = bench.counts.runs.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), runs);
    bench.engine.resume(batch.key).await.unwrap();
    assert_eq!(bench.ended(&batch).await.succeeded, 400);
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), 400);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_loses_nothing() {
    let mut bench = Bench::new(4).await;
    let batch = bench.submit(600, r#"{"wait_ms":10}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 8).await;
    bench.engine.drain().await;
    let left = bench.store.batch_by_key(batch.key).await.unwrap();
    assert!(left.succeeded < 600 && left.running == 0);
    bench.store.audit(batch.key).await.unwrap();
    bench.engine = start(&bench.store, &bench.counts, &bench.options).await;
    assert_eq!(bench.ended(&batch).await.succeeded, 600);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_pauses() {
    let bench = Bench::new(2).await;
    let budget = crate::protocol::Budget { failed_percent: None, failed_in_a_row: Some(5) };
    let options = Options { budget: Some(budget), attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(5_000, r#"{"fail_each":1,"wait_ms":1}"#, options).await;
    let paused = bench.until(&batch, |batch| batch.state == BatchState::Paused).await;
    assert_eq!(paused.reason.as_deref(), Some("budget"));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_held_runs_again() {
    let mut bench = Bench::new(4).await;
    let batch = bench.submit(300, r#"{"wait_ms":10}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 8).await;
    // As a kill would leave it: leases are held, items started, nothing more is recorded.
    bench.engine.die();
    let left = bench.store.batch_by_key(batch.key).await.unwrap();
    assert!(left.succeeded < 300);
    bench.engine = start(&bench.store, &bench.counts, &bench.options).await;
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.state, ended.succeeded), (BatchState::Succeeded, 300));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_pauses_and_goes_on() {
    let bench = Bench::new(4).await;
    let options = Options { try_first: Some(50), ..Options::default() };
    let batch = bench.submit(500, "{}", options).await;
    let paused = bench.until(&batch, |batch| batch.state == BatchState::Paused).await;
    assert_eq!((paused.succeeded, paused.reason.as_deref()), (50, Some("tried_first")));
    bench.engine.resume(batch.key).await.unwrap();
    assert_eq!(bench.ended(&batch).await.succeeded, 500);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_and_start_are_kept() {
    let bench = Bench::new(4).await;
    let start_at = bench.store.now().plus_ms(300);
    let options = Options { rate_per_s: Some(100.0), start_at: Some(start_at), ..Options::default() };
    let batch = bench.submit(130, "{}", options).await;
    assert_eq!(batch.state, BatchState::Scheduled);
    let ended = bench.ended(&batch).await;
    let started_at = ended.started_at.unwrap();
    assert!(started_at >= start_at);
    // The bucket holds a second's worth from the start.
    assert!(ended.finished_at.unwrap().ms_since(started_at) >= 250);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_items_can_be_run_again_and_the_batch_deleted() {
    let bench = Bench::new(4).await;
    let once = Options { attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(100, r#"{"fail_each":4}"#, once).await;
    assert_eq!(bench.ended(&batch).await.failed, 25);
    let before = bench.counts.runs.load(Ordering::Relaxed);
    bench.engine.retry(batch.key, &crate::protocol::RetryRequest::default()).await.unwrap();
    bench.until(&batch, |batch| batch.finishes == 2 && batch.state.is_finished()).await;
    bench.ended(&batch).await;
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), before + 25);
    bench.engine.delete(batch.key).await.unwrap();
    assert!(bench.store.batch(batch.id).await.is_err());
    bench.engine.drain().await;
}
