//! Acts over many batches: each goes to a batch once, whoever steps it and wherever it is cut off.
//!
//! Every step ends in an audit.

use super::*;
use crate::protocol::limits::{BULK_ACTS_KEPT_MAX, BULK_ACTS_PER_PERSON_MAX};
use crate::protocol::{
    AuditQuery, BatchAct, BatchState, BulkAct, BulkActId, BulkReason, BulkRefusal, BulkState,
};

on_both!(
    an_act_goes_to_each_batch_once_and_says_why_it_left_some,
    a_retry_takes_nothing_twice_whoever_steps_it,
    a_step_that_is_cut_off_has_done_nothing,
    an_abort_stops_after_the_step_in_hand,
    one_node_goes_on_with_an_act_until_it_stops,
    acts_are_bounded_and_kept_for_a_while,
);

async fn finished(bench: &Bench, fail: bool) -> BatchRecord {
    let batch = bench.generated(2, Options::default()).await;
    let claim = bench.claim("a", 1, 2).await.unwrap();
    let outcome = |seq| if fail { failure(seq, "f") } else { quick(SeqRange::one(seq)) };
    bench.record("a", LeaseReport { outcomes: vec![outcome(1), outcome(2)], ..report(&claim, 1) }).await;
    bench.audited(batch.key).await
}

async fn add(bench: &Bench, who: &str, act: BatchAct, batches: &[&BatchRecord]) -> BulkAdded {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let act = BulkAct {
        id: BulkActId::from_u128(u128::from(NEXT.fetch_add(1, Ordering::SeqCst))),
        act,
        by: who.to_owned(),
        state: BulkState::Running,
        total: batches.len() as u64,
        done: 0,
        refused: 0,
        refusals: Vec::new(),
        failure: None,
        created_at: bench.store.now(),
        ended_at: None,
    };
    let batches = batches.iter().map(|batch| (batch.key, batch.id)).collect();
    let new = CreateBulkAct { act, address: "::1".to_owned(), batches };
    bench.store.bulk_add(&new).await.unwrap()
}

async fn begun(bench: &Bench, act: BatchAct, batches: &[&BatchRecord]) -> BulkAct {
    match add(bench, "ada", act, batches).await {
        BulkAdded::Made(act) => act,
        full => panic!("{full:?}"),
    }
}

/// Takes all steps that are left to `node`; how many.
async fn stepped(store: &Store, node: &str) -> u64 {
    let mut steps = 0;
    loop {
        let mut any = false;
        for key in store.bulk_under_way(node).await.unwrap() {
            any |= store.bulk_step(key, node).await.unwrap().is_some();
            steps += u64::from(any);
        }
        if !any {
            return steps;
        }
    }
}

async fn an_act_goes_to_each_batch_once_and_says_why_it_left_some(bench: Bench) {
    let [gone, early, late] =
        [finished(&bench, false).await, finished(&bench, false).await, finished(&bench, false).await];
    let open = bench.generated(3, Options::default()).await;
    bench.store.delete(gone.key).await.unwrap();
    let act = begun(&bench, BatchAct::Cancel, &[&open, &gone, &early, &late]).await;
    assert_eq!((act.state, act.total, act.looked()), (BulkState::Running, 4, 0));
    assert_eq!(stepped(&bench.store, "a").await, 4);
    let act = bench.store.bulk_act(act.id).await.unwrap();
    assert_eq!((act.state, act.done, act.refused), (BulkState::Done, 1, 3));
    assert_eq!(
        act.refusals,
        [
            BulkRefusal { reason: BulkReason::NotFound, count: 1, first: gone.id },
            BulkRefusal { reason: BulkReason::Ended, count: 2, first: early.id },
        ]
    );
    assert!(act.ended_at.is_some());
    assert_eq!(bench.audited(open.key).await.state, BatchState::Cancelled);
    // Who asked stands in the log, of each batch.
    let query = AuditQuery { object: Some(open.id.to_string()), ..AuditQuery::default() };
    let log = bench.store.audit_log(&query, None).await.unwrap().entries;
    let said: Vec<_> =
        log.iter().map(|entry| [&*entry.who, &*entry.act, &*entry.via, &*entry.address]).collect();
    assert_eq!(said, [["ada", "batch.cancel", "act", "::1"]]);
    assert_eq!(bench.store.bulk_under_way("a").await.unwrap(), [0_i64; 0]);

    let act = begun(&bench, BatchAct::Delete, &[&open, &late]).await;
    assert_eq!(stepped(&bench.store, "a").await, 2);
    assert_eq!(bench.store.bulk_act(act.id).await.unwrap().done, 2);
    assert!(bench.store.batch_by_key(late.key).await.is_err());
}

async fn a_retry_takes_nothing_twice_whoever_steps_it(bench: Bench) {
    let mut batches = Vec::new();
    for _ in 0..5 {
        batches.push(finished(&bench, true).await);
    }
    let act = begun(&bench, BatchAct::Retry, &batches.iter().collect::<Vec<_>>()).await;
    let key = bench.store.bulk_under_way("a").await.unwrap()[0];
    bench.store.bulk_step(key, "a").await.unwrap().unwrap();
    // What was taken fails anew before the act is at its end.
    let claim = bench.claim("a", 1, 2).await.unwrap();
    let outcomes = vec![failure(1, "f"), failure(2, "f")];
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    // Another process goes on, as after a kill, and both at once.
    let again = bench.again().await;
    let both = tokio::join!(again.bulk_step(key, "b"), bench.store.bulk_step(key, "a"));
    assert!(both.0.unwrap().is_some() && both.1.unwrap().is_some());
    bench.pass(60_000);
    assert_eq!(stepped(&again, "b").await, 2);
    again.close().await;
    assert_eq!(bench.store.bulk_act(act.id).await.unwrap().done, 5);
    for batch in &batches {
        let now = bench.audited(batch.key).await;
        assert_eq!((now.generation, now.retry.unwrap().by.as_str()), (2, "ada"), "batch {}", batch.key);
    }
}

async fn a_step_that_is_cut_off_has_done_nothing(bench: Bench) {
    let batch = finished(&bench, true).await;
    let others = [bench.generated(1, Options::default()).await, bench.generated(1, Options::default()).await];
    begun(&bench, BatchAct::Pause, &others.iter().collect::<Vec<_>>()).await;
    let first = bench.store.bulk_under_way("a").await.unwrap()[0];
    bench.store.bulk_step(first, "a").await.unwrap().unwrap();
    let act = begun(&bench, BatchAct::Retry, &[&batch]).await;
    let key = bench.store.bulk_under_way("a").await.unwrap()[1];
    // The row of the act cannot be written after the batch was: neither is.
    let writer = bench.store.inner.backend.writer();
    run(writer, "CREATE UNIQUE INDEX spoils ON bulk_acts (place)", vec![]).await.unwrap();
    bench.store.bulk_step(key, "a").await.unwrap_err();
    run(writer, "DROP INDEX spoils", vec![]).await.unwrap();
    assert_eq!(bench.audited(batch.key).await.generation, 1);
    assert_eq!(bench.store.bulk_act(act.id).await.unwrap().looked(), 0);
    assert_eq!(stepped(&bench.store, "a").await, 2);
    assert_eq!(bench.audited(batch.key).await.generation, 2);
}

async fn an_abort_stops_after_the_step_in_hand(bench: Bench) {
    let batches = [(); 3].map(|()| bench.generated(1, Options::default()));
    let batches = futures_util::future::join_all(batches).await;
    let act = begun(&bench, BatchAct::Cancel, &batches.iter().collect::<Vec<_>>()).await;
    let key = bench.store.bulk_under_way("a").await.unwrap()[0];
    bench.store.bulk_step(key, "a").await.unwrap().unwrap();
    let aborted = bench.store.bulk_abort(act.id).await.unwrap();
    assert_eq!((aborted.state, aborted.done, aborted.total), (BulkState::Aborted, 1, 3));
    assert!(bench.store.bulk_step(key, "a").await.unwrap().is_none());
    assert_eq!(bench.store.bulk_abort(act.id).await.unwrap(), aborted, "so already");
    let cancelled = |batch: BatchRecord| batch.state == BatchState::Cancelled;
    let mut ended = 0;
    for batch in &batches {
        ended += usize::from(cancelled(bench.audited(batch.key).await));
    }
    assert_eq!(ended, 1);
}

async fn one_node_goes_on_with_an_act_until_it_stops(bench: Bench) {
    let batches =
        [bench.generated(1, Options::default()).await, bench.generated(1, Options::default()).await];
    begun(&bench, BatchAct::Pause, &batches.iter().collect::<Vec<_>>()).await;
    let key = bench.store.bulk_under_way("a").await.unwrap()[0];
    bench.store.bulk_step(key, "a").await.unwrap().unwrap();
    assert_eq!(bench.store.bulk_under_way("a").await.unwrap(), [key]);
    // Alone, a process is called otherwise after each start, and waits for nobody.
    let for_others = if bench.store.is_shared() { vec![] } else { vec![key] };
    assert_eq!(bench.store.bulk_under_way("b").await.unwrap(), for_others);
    bench.pass(5_001);
    assert_eq!(bench.store.bulk_under_way("b").await.unwrap(), [key]);
}

async fn acts_are_bounded_and_kept_for_a_while(bench: Bench) {
    let batch = bench.generated(1, Options::default()).await;
    for _ in 0..BULK_ACTS_PER_PERSON_MAX {
        begun(&bench, BatchAct::Pause, &[&batch]).await;
    }
    assert_eq!(add(&bench, "ada", BatchAct::Pause, &[&batch]).await, BulkAdded::FullForPerson);
    for person in 1..5 {
        for _ in 0..BULK_ACTS_PER_PERSON_MAX {
            let made = add(&bench, &format!("person {person}"), BatchAct::Pause, &[&batch]).await;
            assert!(matches!(made, BulkAdded::Made(_)));
        }
    }
    assert_eq!(add(&bench, "bo", BatchAct::Pause, &[&batch]).await, BulkAdded::Full);
    assert_eq!(stepped(&bench.store, "a").await, 50);
    let page = |who: &str| BulkFilter { who: Some(who.to_owned()), limit: 500, ..BulkFilter::default() };
    for _ in 0..BULK_ACTS_KEPT_MAX + 3 {
        begun(&bench, BatchAct::Pause, &[]).await;
    }
    let kept = bench.store.bulk_acts(&page("ada")).await.unwrap().acts.len() as u64;
    assert_eq!(kept, BULK_ACTS_KEPT_MAX);
    assert_eq!(bench.store.bulk_acts(&page("person 1")).await.unwrap().acts.len(), 10);
    assert!(!bench.store.delete_bulk_acts(bench.store.now()).await.unwrap(), "none is old");
    bench.pass(1);
    while bench.store.delete_bulk_acts(bench.store.now()).await.unwrap() {}
    assert!(bench.store.bulk_acts(&page("ada")).await.unwrap().acts.is_empty());
}
