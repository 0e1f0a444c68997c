//! Acts in steps, budgets, follow-ups, and the times at which batches start.
//!
//! Every step ends in an audit.

use super::*;
use crate::protocol::{BatchState, Budget, RetryRequest, Running};

on_both!(
    a_retry_in_steps_keeps_its_batch_open_and_takes_nothing_twice,
    the_last_step_ends_a_batch_that_waits_for_nothing_else,
    a_cancel_ends_a_retry_under_way,
    a_retry_of_a_paused_batch_goes_on_in_steps_and_stays_paused,
    a_cancel_of_many_waiting_rows_goes_in_steps,
    a_cancel_may_let_items_finish_and_be_hastened,
    a_budget_pauses_with_the_outcome_that_spends_it,
    a_share_of_failures_counts_from_the_hundredth_end_and_a_batch_that_ends_just_ends,
    a_follow_up_is_due_once_at_the_first_end_that_matches,
    a_batch_starts_at_its_time_whatever_was_done_to_it_before,
);

/// What one step takes, where all rows are of one item.
const STEP: u64 = crate::store::acts::STEP_ROWS as u64;

/// A finished batch of `count` items of which every other has failed.
async fn half_failed(bench: &Bench, count: u64, options: Options) -> BatchRecord {
    let batch = bench.generated(count, options).await;
    let claim = bench.claim("a", 1, count).await.unwrap();
    let outcome = |seq| if seq % 2 == 0 { failure(seq, "f") } else { quick(SeqRange::one(seq)) };
    let outcomes = (1..=count).map(outcome).collect();
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    bench.audited(batch.key).await
}

async fn fail_all(bench: &Bench) {
    while let Some(claim) = bench.claim("a", 1, 100).await {
        let items = claim.ranges.iter().flat_map(|range| range.first..=range.last);
        let outcomes = items.map(|seq| failure(seq, "f")).collect();
        bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    }
}

fn all() -> RetryRequest {
    RetryRequest::default()
}

async fn a_retry_in_steps_keeps_its_batch_open_and_takes_nothing_twice(bench: Bench) {
    let batch = half_failed(&bench, 100, Options::default()).await;
    assert_eq!((batch.failed, batch.state), (50, BatchState::Failed));
    let first = bench.store.retry(batch.key, &all()).await.unwrap().batch;
    assert_eq!((first.failed, first.pending(), first.state), (50 - STEP, STEP, BatchState::Running));
    // What was taken fails anew before the next step: all has ended, and the batch must not.
    fail_all(&bench).await;
    let now = bench.audited(batch.key).await;
    assert_eq!((now.failed, now.pending(), now.state), (50, 0, BatchState::Running));
    assert!(matches!(bench.store.delete(batch.key).await, Err(StoreError::NotFinished)));
    let second = bench.store.act_step(batch.key).await.unwrap().unwrap().batch;
    assert_eq!((second.failed, second.pending()), (50 - STEP, STEP), "the next ones, none of the first");
    bench.audited(batch.key).await;
    // Another process, as after a kill.
    let again = bench.again().await;
    assert_eq!(again.acts_under_way().await.unwrap(), [batch.key]);
    again.close().await;
    fail_all(&bench).await;
    assert_eq!(bench.stepped(batch.key).await, (50 - 2 * STEP).div_ceil(STEP));
    fail_all(&bench).await;
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.failed, ended.state, ended.finishes), (50, BatchState::Failed, 2));
    let query = crate::protocol::ItemQuery { limit: Some(500), ..Default::default() };
    for item in bench.store.items(&ended, &query).await.unwrap().items {
        let item = bench.store.item(&ended, item.row.seq).await.unwrap();
        let again = if item.row.state == ItemState::Failed { 2 } else { 1 };
        assert_eq!(item.history.len(), again, "item {} ran again once", item.row.seq);
    }
}

async fn the_last_step_ends_a_batch_that_waits_for_nothing_else(bench: Bench) {
    let batch = half_failed(&bench, 2 * (STEP + 1), Options::default()).await;
    bench.store.retry(batch.key, &all()).await.unwrap();
    // A second one, while the first is under way: what it takes is not taken again by the first.
    let second = bench.store.retry(batch.key, &all()).await.unwrap().batch;
    assert_eq!((second.failed, second.pending(), second.generation), (0, STEP + 1, 3));
    fail_all(&bench).await;
    let waits = bench.audited(batch.key).await;
    assert_eq!((waits.state, waits.failed, waits.finishes), (BatchState::Running, STEP + 1, 1));
    assert_eq!(bench.stepped(batch.key).await, 1);
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.state, ended.finishes), (BatchState::Failed, 2));
}

async fn a_cancel_ends_a_retry_under_way(bench: Bench) {
    let batch = half_failed(&bench, 100, Options::default()).await;
    bench.store.retry(batch.key, &all()).await.unwrap();
    let claim = bench.claim("a", 1, 1).await.unwrap();
    let cancelled = bench.store.cancel(batch.key, None).await.unwrap().batch;
    assert_eq!((cancelled.cancelled, cancelled.failed), (STEP - 1, 50 - STEP));
    assert!(matches!(bench.store.retry(batch.key, &all()).await, Err(StoreError::WrongState(_))));
    assert!(bench.store.act_step(batch.key).await.unwrap().is_none());
    let rest = LeaseReport { handback: claim.ranges.clone(), ..report(&claim, 1) };
    bench.record("a", rest).await;
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.state, ended.cancelled, ended.failed), (BatchState::Cancelled, STEP, 50 - STEP));
}

async fn a_retry_of_a_paused_batch_goes_on_in_steps_and_stays_paused(bench: Bench) {
    let batch = half_failed(&bench, 80, Options::default()).await;
    bench.store.retry(batch.key, &all()).await.unwrap();
    bench.store.pause(batch.key, None).await.unwrap();
    assert_eq!(bench.stepped(batch.key).await, (40 - STEP).div_ceil(STEP));
    let paused = bench.audited(batch.key).await;
    assert_eq!((paused.state, paused.pending(), paused.failed), (BatchState::Paused, 40, 0));
    assert!(bench.claim("a", 1, 1).await.is_none());
    let nothing = bench.store.retry(batch.key, &all()).await.unwrap().batch;
    assert_eq!(nothing, paused, "a retry of nothing changes nothing");
}

async fn a_cancel_of_many_waiting_rows_goes_in_steps(bench: Bench) {
    let batch = half_failed(&bench, 100, Options::default()).await;
    bench.store.retry(batch.key, &all()).await.unwrap();
    assert_eq!(bench.stepped(batch.key).await, (50 - STEP).div_ceil(STEP));
    let first = bench.store.cancel(batch.key, None).await.unwrap().batch;
    assert_eq!((first.state, first.cancelled, first.pending()), (BatchState::Cancelling, STEP, 50 - STEP));
    bench.audited(batch.key).await;
    assert!(bench.claim("a", 9, 9).await.is_none(), "what waits is not handed out any more");
    assert_eq!(bench.store.cancel(batch.key, None).await.unwrap().batch, first);
    assert_eq!(bench.stepped(batch.key).await, (50 - STEP).div_ceil(STEP));
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.state, ended.cancelled, ended.succeeded), (BatchState::Cancelled, 50, 50));
}

async fn a_cancel_may_let_items_finish_and_be_hastened(bench: Bench) {
    let batch = bench.generated(10, Options::default()).await;
    let claim = bench.claim("a", 2, 2).await.unwrap();
    let change = bench.store.cancel_as(batch.key, None, Running::Finish).await.unwrap();
    assert!(change.batch.cancel_drains);
    let part = LeaseReport {
        outcomes: vec![quick(SeqRange::one(1))],
        handback: vec![SeqRange::new(3, 4)],
        started: vec![SeqRange::one(2)],
        ..report(&claim, 1)
    };
    let (answer, _changes) = bench.record("a", part).await;
    let cancelling = |drains, version| {
        let state = BatchState::Cancelling;
        LeaseAnswer::Applied { version, state, drains, closed: false }
    };
    assert_eq!(answer, cancelling(true, 2));
    let same = bench.store.cancel_as(batch.key, None, Running::Finish).await.unwrap().batch;
    assert_eq!((same.succeeded, same.cancelled), (1, 8));
    assert!(!bench.store.cancel(batch.key, None).await.unwrap().batch.cancel_drains);
    let asks = LeaseReport { started: vec![SeqRange::one(2)], ..report(&claim, 2) };
    assert_eq!(bench.record("a", asks).await.0, cancelling(false, 2));
    let last = LeaseReport { outcomes: vec![failure(2, "f")], ..report(&claim, 2) };
    bench.record("a", last).await;
    let ended = bench.audited(batch.key).await;
    assert_eq!((ended.state, ended.failed, ended.succeeded), (BatchState::Cancelled, 1, 1));
}

async fn a_budget_pauses_with_the_outcome_that_spends_it(bench: Bench) {
    let budget = Budget { failed_percent: None, failed_in_a_row: Some(3) };
    let batch = bench.generated(20, Options { budget: Some(budget), ..Options::default() }).await;
    let one = bench.claim("a", 1, 5).await.unwrap();
    let other = bench.claim("b", 1, 5).await.unwrap();
    let two = LeaseReport { outcomes: vec![failure(1, "f"), failure(2, "f")], ..report(&one, 1) };
    bench.record("a", two).await;
    assert_eq!(bench.audited(batch.key).await.state, BatchState::Running);
    // The third in a row is recorded by another node.
    let third = LeaseReport { outcomes: vec![failure(6, "f")], ..report(&other, 1) };
    let (answer, changes) = bench.record("b", third).await;
    assert!(matches!(answer, LeaseAnswer::Applied { state: BatchState::Paused, .. }));
    assert_eq!(changes[0].batch.reason.as_deref(), Some("budget"));
    let resumed = bench.store.resume(batch.key).await.unwrap().batch;
    assert_eq!((resumed.state, resumed.reason), (BatchState::Running, None));
    let two = LeaseReport {
        outcomes: vec![failure(3, "f"), failure(4, "f")],
        started: vec![SeqRange::one(5)],
        ..report(&one, 2)
    };
    bench.record("a", two).await;
    assert_eq!(bench.audited(batch.key).await.state, BatchState::Running, "the counts began anew");
    let lost =
        bench.store.reclaim(ReclaimScope::All, RetryPolicy { attempts_max: 1, ..POLICY }).await.unwrap();
    let batch = bench.audited(batch.key).await;
    assert_eq!((lost[0].batch.state, batch.reason.as_deref()), (BatchState::Paused, Some("budget")));
}

async fn a_share_of_failures_counts_from_the_hundredth_end_and_a_batch_that_ends_just_ends(bench: Bench) {
    let budget = Budget { failed_percent: Some(10.0), failed_in_a_row: None };
    let options = Options { budget: Some(budget), ..Options::default() };
    let batch = bench.generated(200, options.clone()).await;
    let claim = bench.claim("a", 1, 200).await.unwrap();
    let outcomes: Vec<_> = (1..=99).map(|seq| failure(seq, "f")).collect();
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    assert_eq!(bench.audited(batch.key).await.state, BatchState::Running);
    let hundredth = LeaseReport { outcomes: vec![quick(SeqRange::one(100))], ..report(&claim, 2) };
    bench.record("a", hundredth).await;
    assert_eq!(bench.audited(batch.key).await.state, BatchState::Paused);
    bench.store.cancel(batch.key, None).await.unwrap();
    let ended = half_failed(&bench, 120, options).await;
    assert_eq!((ended.state, ended.reason), (BatchState::Failed, None));
}

fn follow_up(on: &str) -> Options {
    let then = format!(r#"{{"task":"demo","items":["x"]{on}}}"#);
    Options { then: Some(Json::parse(&then).unwrap()), ..Options::default() }
}

async fn a_follow_up_is_due_once_at_the_first_end_that_matches(bench: Bench) {
    let failed = half_failed(&bench, 4, follow_up("")).await;
    let finished = half_failed(&bench, 4, follow_up(r#","on":"finished""#)).await;
    let due = async || {
        let due = bench.store.follows_due().await.unwrap();
        due.iter().map(|batch| batch.key).collect::<Vec<_>>()
    };
    assert_eq!(due().await, [finished.key]);
    bench.store.retry(failed.key, &all()).await.unwrap();
    while let Some(claim) = bench.claim("a", 1, 100).await {
        let outcomes = claim.ranges.iter().copied().map(quick).collect();
        bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    }
    assert_eq!(due().await, [failed.key, finished.key]);
    let made = bench.store.follow(failed.key, new_batch(), &[lines(1, 3)]).await.unwrap().unwrap();
    assert_eq!((made.batch.total, made.batch.sealed), (3, true));
    assert!(made.parent.rev > failed.rev);
    assert!(bench.store.follow(failed.key, new_batch(), &[lines(1, 3)]).await.unwrap().is_none());
    let told = bench.store.follow_fails(finished.key, "gone".to_owned()).await.unwrap().unwrap();
    assert_eq!(told.reason.as_deref(), Some("gone"));
    assert!(bench.store.follow_fails(finished.key, "gone".to_owned()).await.unwrap().is_none());
    let claim = bench.claim("a", 1, 3).await.unwrap();
    assert_eq!(claim.batch.key, made.batch.key);
    assert_eq!(bench.store.inputs(&claim.batch, claim.hull()).await.unwrap().len(), 3);
    bench.record("a", LeaseReport { outcomes: vec![quick(claim.hull())], ..report(&claim, 1) }).await;
    bench.audited(made.batch.key).await;
    // A second end of the same batch does not do it again.
    let again = RetryRequest { states: Some(vec![ItemState::Failed]), ..all() };
    bench.store.retry(finished.key, &again).await.unwrap();
    fail_all(&bench).await;
    assert_eq!(due().await, [] as [i64; 0]);
    let cancelled = bench.generated(5, follow_up(r#","on":"finished""#)).await;
    bench.store.cancel(cancelled.key, None).await.unwrap();
    assert_eq!(due().await, [] as [i64; 0], "never after a cancel");
}

async fn a_batch_starts_at_its_time_whatever_was_done_to_it_before(bench: Bench) {
    let at = |ms| Options { start_at: Some(Timestamp(START + ms)), ..Options::default() };
    let state = async |batch: &BatchRecord| bench.audited(batch.key).await.state;
    assert_eq!(bench.generated(1, at(0)).await.state, BatchState::Pending, "what is past starts at once");
    let plain = bench.generated(1, at(1_000)).await;
    let paused = bench.generated(1, at(1_000)).await;
    let resumed = bench.generated(1, at(1_000)).await;
    let cancelled = bench.generated(1, at(1_000)).await;
    for batch in [&paused, &resumed] {
        bench.store.pause(batch.key, None).await.unwrap();
    }
    bench.store.resume(resumed.key).await.unwrap();
    assert_eq!(state(&resumed).await, BatchState::Scheduled);
    assert_eq!(bench.store.retry(plain.key, &all()).await.unwrap().batch, plain);
    bench.store.cancel(cancelled.key, None).await.unwrap();
    let whole = RetryRequest { states: Some(vec![ItemState::Cancelled]), ..all() };
    bench.store.retry(cancelled.key, &whole).await.unwrap();
    assert_eq!(state(&cancelled).await, BatchState::Scheduled, "its time has not come");
    assert_eq!(bench.store.next_due().await.unwrap(), Some(Timestamp(START + 1_000)));
    assert!(bench.store.start_due().await.unwrap().is_empty());
    bench.pass(1_000);
    assert_eq!(bench.store.start_due().await.unwrap().len(), 3);
    for batch in [&plain, &resumed, &cancelled] {
        assert_eq!(state(batch).await, BatchState::Pending);
    }
    assert_eq!(state(&paused).await, BatchState::Paused);
    bench.store.resume(paused.key).await.unwrap();
    assert_eq!(state(&paused).await, BatchState::Pending);
}
