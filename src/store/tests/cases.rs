//! Targeted cases: one rule of the tape each.
//!
//! Every case ends in an audit.

use super::*;
use crate::protocol::{BatchState, FileRow, ItemQuery, RetryRequest};

on_both!(
    a_streamed_batch_runs_to_its_end,
    a_record_is_applied_once_and_only_by_the_holder,
    cancel_ends_what_nobody_holds_and_then_the_rest,
    retry_makes_a_new_generation_and_keeps_the_history,
    files_that_nobody_names_go_from_every_shelf,
    failures_of_a_page_and_more_are_retried_whole,
    many_failures_are_retried_and_families_are_bounded,
    the_strip_doubles_while_items_come,
    claims_take_turns_and_respect_bounds,
    poison_is_set_aside_alone,
    items_are_found_by_state_and_text,
    calls_that_are_dropped_half_way_leave_nothing_behind,
    items_that_failed_here_and_there_come_back_in_one_lease,
    a_batch_that_is_swept_away_is_not_audited,
    a_lease_that_nobody_was_told_of_goes_back_unspent,
);

async fn a_streamed_batch_runs_to_its_end(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    let batch = bench.store.append(batch.key, 1, &[lines(1, 3), lines(4, 2)], &[]).await.unwrap();
    assert_eq!((batch.total, batch.state), (5, BatchState::Pending));
    let again = bench.store.append(batch.key, 5, &[lines(5, 1)], &[]).await;
    assert!(matches!(again, Err(StoreError::WrongFirstSeq { total: 5 })));
    let (claim, change) = bench.try_claim("a", 2, 10).await.unwrap();
    assert_eq!((claim.hull(), claim.slots, claim.started), (SeqRange::new(1, 5), 2, 2));
    assert_eq!((change.batch.running, change.batch.state), (2, BatchState::Running));
    let inputs = bench.store.inputs(&claim.batch, claim.hull()).await.unwrap();
    assert_eq!(inputs[4].json.as_str(), "\"line 5\"");
    let window = bench.store.window(&batch, 1, 100).await.unwrap();
    let states: Vec<ItemState> = window.items.iter().map(|item| item.row.state).collect();
    assert_eq!(states, [vec![ItemState::Running; 2], vec![ItemState::Pending; 3]].concat());
    assert!(bench.store.seal(batch.key).await.unwrap().batch.sealed);
    let all = LeaseReport { outcomes: vec![quick(claim.hull())], ..report(&claim, 1) };
    let (answer, changes) = bench.record("a", all.clone()).await;
    assert_eq!(
        answer,
        LeaseAnswer::Applied { version: 2, state: BatchState::Succeeded, drains: false, closed: true }
    );
    assert_eq!((changes[0].ended, changes[0].cells.len()), (5, 5));
    assert_eq!(bench.record("a", all).await.0, LeaseAnswer::Lost);
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.succeeded, batch.finishes, batch.state), (5, 1, BatchState::Succeeded));
    assert!(bench.claim("a", 2, 10).await.is_none());
}

async fn a_record_is_applied_once_and_only_by_the_holder(bench: Bench) {
    let batch = bench.generated(10, Options::default()).await;
    let claim = bench.claim("a", 1, 10).await.unwrap();
    let part = LeaseReport {
        outcomes: vec![quick(SeqRange::new(1, 4))],
        started: vec![SeqRange::one(5)],
        ..report(&claim, 1)
    };
    let (first, changes) = bench.record("a", part.clone()).await;
    assert_eq!(
        first,
        LeaseAnswer::Applied { version: 2, state: BatchState::Running, drains: false, closed: false }
    );
    assert_eq!(changes.len(), 1);
    let (second, changes) = bench.record("a", part.clone()).await;
    assert_eq!((second, changes.len()), (first, 0));
    assert_eq!(bench.record("b", part.clone()).await.0, LeaseAnswer::Lost);
    let stray = LeaseReport { outcomes: vec![quick(SeqRange::new(4, 5))], ..report(&claim, 2) };
    let refused = bench.store.record(&NodeId("a".to_owned()), &[stray]).await;
    assert!(matches!(refused, Err(StoreError::Invariant(_))));
    assert_eq!(bench.audited(batch.key).await.succeeded, 4);
    bench.reclaim_but(&[]).await;
    assert_eq!(bench.record("a", LeaseReport { version: 2, ..part }).await.0, LeaseAnswer::Lost);
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.running, batch.retrying, batch.pending()), (0, 1, 5));
}

async fn cancel_ends_what_nobody_holds_and_then_the_rest(bench: Bench) {
    let batch = bench.generated(100, Options::default()).await;
    let claim = bench.claim("a", 2, 5).await.unwrap();
    let change = bench.store.cancel(batch.key, None).await.unwrap();
    assert_eq!((change.batch.state, change.batch.cancelled), (BatchState::Cancelling, 90));
    assert!(bench.claim("b", 2, 5).await.is_none());
    let rest = LeaseReport {
        outcomes: vec![quick(SeqRange::one(1))],
        handback: vec![SeqRange::new(2, 10)],
        ..report(&claim, 1)
    };
    let (answer, _changes) = bench.record("a", rest).await;
    assert_eq!(
        answer,
        LeaseAnswer::Applied { version: 2, state: BatchState::Cancelled, drains: false, closed: true }
    );
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.cancelled, batch.succeeded), (99, 1));
    let all = RetryRequest { states: Some(vec![ItemState::Cancelled]), ..RetryRequest::default() };
    let change = bench.store.retry(batch.key, &all).await.unwrap();
    assert_eq!((change.batch.pending(), change.batch.state), (99, BatchState::Running));
    bench.audited(batch.key).await;
}

async fn retry_makes_a_new_generation_and_keeps_the_history(bench: Bench) {
    let batch = bench.generated(6, Options::default()).await;
    let claim = bench.claim("a", 6, 1).await.unwrap();
    let file = FileRecord {
        key: "aa11".to_owned(),
        seq: 2,
        side: FileSide::Output,
        row: FileRow { name: "x".to_owned(), bytes: 1, media_type: "text/plain".to_owned() },
        blake3: String::new(),
    };
    let ends = vec![
        quick(SeqRange::one(1)),
        failure(2, "f"),
        failure(3, "f"),
        quick(SeqRange::new(4, 5)),
        failure(6, "g"),
    ];
    let all = LeaseReport { outcomes: ends, files: vec![file], ..report(&claim, 1) };
    bench.record("a", all).await;
    let before = bench.audited(batch.key).await;
    assert_eq!((before.state, before.failed, before.left_bytes), (BatchState::Failed, 3, 1));
    assert_eq!(bench.store.families(&batch).await.unwrap().families.len(), 2);
    assert!(bench.store.item_file(&batch, 2, "x", None).await.is_ok());
    let one = RetryRequest { family: Some(FamilyId("f".to_owned())), ..RetryRequest::default() };
    let change = bench.store.retry(batch.key, &one).await.unwrap();
    assert_eq!((change.families.len(), change.families[0].count), (1, 0));
    let after = bench.audited(batch.key).await;
    assert_eq!(
        (after.generation, after.failed, after.pending(), after.state),
        (2, 1, 2, BatchState::Running)
    );
    assert_eq!(after.left_bytes, 0, "its file was taken away");
    assert!(after.finished_at.is_none());
    assert!(bench.store.item_file(&batch, 2, "x", None).await.is_err());
    let item = bench.store.item(&batch, 2).await.unwrap();
    assert_eq!((item.row.state, item.history.len()), (ItemState::Pending, 1));
    let claim = bench.claim("a", 6, 1).await.unwrap();
    assert_eq!((claim.hull(), claim.generation, claim.attempt), (SeqRange::new(2, 3), 2, 1));
    bench.record("a", LeaseReport { outcomes: vec![quick(claim.hull())], ..report(&claim, 1) }).await;
    assert_eq!(bench.audited(batch.key).await.finishes, 2);
    assert_eq!(bench.store.item(&batch, 3).await.unwrap().history.len(), 2);
    bench.store.delete(batch.key).await.unwrap();
    while bench.store.sweep().await.unwrap() {}
    assert!(bench.store.audit(batch.key).await.is_err());
}

async fn files_that_nobody_names_go_from_every_shelf(bench: Bench) {
    let mut left = Vec::new();
    for age_hours in [0, 2, 2, 2] {
        let mut draft = bench.store.file_store().draft();
        draft.write(b"x").await.unwrap();
        let key = draft.keep("a.txt").await.unwrap().key;
        let path = bench.store.file_store().local_path(&key).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age_hours * 3_600);
        std::fs::File::open(&path).unwrap().set_modified(then).unwrap();
        left.push(path);
    }
    while bench.store.sweep_unnamed().await.unwrap() {}
    assert_eq!(left.iter().map(|path| path.exists()).collect::<Vec<_>>(), [true, false, false, false]);
}

async fn failures_of_a_page_and_more_are_retried_whole(bench: Bench) {
    let batch = bench.generated(101, Options::default()).await;
    let claim = bench.claim("a", 1, 101).await.unwrap();
    let outcomes = (1..=101)
        .map(|seq| if seq % 3 == 0 { quick(SeqRange::one(seq)) } else { failure(seq, "f") })
        .collect();
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    assert_eq!(bench.audited(batch.key).await.failed, 68);
    let request = RetryRequest {
        states: Some(vec![ItemState::Failed, ItemState::Cancelled]),
        ..RetryRequest::default()
    };
    bench.store.retry(batch.key, &request).await.unwrap();
    bench.stepped(batch.key).await;
    let retried = bench.audited(batch.key).await;
    assert_eq!((retried.failed, retried.succeeded, retried.pending(), retried.generation), (0, 33, 68, 2));
    bench.audited(batch.key).await;
    assert!(bench.store.families(&batch).await.unwrap().families.is_empty());
    let item = bench.store.item(&retried, 100).await.unwrap();
    assert_eq!((item.row.state, item.history.len()), (ItemState::Pending, 1));
    let unchanged = bench.store.retry(batch.key, &request).await.unwrap().batch;
    assert_eq!(unchanged, retried);
}

async fn many_failures_are_retried_and_families_are_bounded(bench: Bench) {
    let batch = bench.generated(2_100, Options::default()).await;
    assert_eq!(batch.cell_items, 4);
    let claim = bench.claim("a", 1, 10_000).await.unwrap();
    let ends = (1..=2_100).map(|seq| failure(seq, &format!("f{}", seq % 250))).collect();
    bench.record("a", LeaseReport { outcomes: ends, ..report(&claim, 1) }).await;
    let families = bench.store.families(&batch).await.unwrap().families;
    assert_eq!(families.len(), 201);
    assert_eq!(families.iter().map(|family| family.count).sum::<u64>(), 2_100);
    assert!(families.iter().any(|family| family.id.0 == "other" && family.samples.len() == 5));
    bench.audited(batch.key).await;
    let query =
        ItemQuery { family: Some(FamilyId("other".to_owned())), limit: Some(3), ..ItemQuery::default() };
    let page = bench.store.items(&batch, &query).await.unwrap();
    assert_eq!((page.items.len(), page.next), (3, page.items.last().map(|item| item.row.seq.into())));
    bench.store.retry(batch.key, &RetryRequest::default()).await.unwrap();
    bench.stepped(batch.key).await;
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.failed, batch.pending()), (0, 2_100));
    assert!(bench.store.families(&batch).await.unwrap().families.is_empty());
}

async fn the_strip_doubles_while_items_come(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    bench.store.append(batch.key, 1, &[lines(1, 1_000)], &[]).await.unwrap();
    let claim = bench.claim("a", 1, 10_000).await.unwrap();
    bench.record("a", LeaseReport { outcomes: vec![quick(claim.hull())], ..report(&claim, 1) }).await;
    let batch = bench.store.append(batch.key, 1_001, &[lines(1_001, 1_200)], &[]).await.unwrap();
    assert_eq!(batch.cell_items, 4);
    bench.audited(batch.key).await;
    let (_rev, cells) = bench.store.strip(&batch).await.unwrap();
    assert_eq!((cells.len(), cells[249].succeeded, cells[249].last), (250, 4, 1_000));
}

async fn claims_take_turns_and_respect_bounds(bench: Bench) {
    let big = bench.generated(1_000, Options { concurrency: Some(3), ..Options::default() }).await;
    let small = bench.generated(4, Options { rate_per_s: Some(2.0), ..Options::default() }).await;
    let first = bench.claim("a", 2, 1).await.unwrap();
    let second = bench.claim("a", 2, 1).await.unwrap();
    assert_eq!((first.batch.key, second.batch.key), (big.key, small.key));
    let third = bench.claim("a", 2, 1).await.unwrap();
    assert_eq!((third.batch.key, third.slots), (big.key, 1), "one slot of three was left");
    assert!(bench.claim("a", 2, 1).await.is_none(), "the bucket is empty, the slots are taken");
    assert!(bench.store.next_due().await.unwrap().is_some_and(|due| due.0 == START + 500));
    bench.pass(500);
    assert_eq!(bench.claim("a", 2, 1).await.unwrap().hull(), SeqRange::one(3));
    bench.clock.store(0, Ordering::SeqCst);
    assert_eq!(bench.claim("a", 2, 1).await.unwrap().hull(), SeqRange::one(4), "no wait for the old time");
    let tried = bench.generated(9, Options { try_first: Some(2), priority: 5, ..Options::default() }).await;
    let claim = bench.claim("a", 9, 9).await.unwrap();
    assert_eq!(claim.hull(), SeqRange::new(1, 2));
    let (answer, changes) =
        bench.record("a", LeaseReport { outcomes: vec![quick(claim.hull())], ..report(&claim, 1) }).await;
    assert!(matches!(answer, LeaseAnswer::Applied { state: BatchState::Paused, .. }));
    assert_eq!(changes[0].batch.reason.as_deref(), Some("tried_first"));
    bench.store.resume(tried.key).await.unwrap();
    assert_eq!(bench.claim("a", 9, 9).await.unwrap().hull(), SeqRange::new(3, 9));
}

async fn poison_is_set_aside_alone(bench: Bench) {
    let batch = bench.generated(8, Options { attempts_max: Some(9), ..Options::default() }).await;
    assert_eq!(bench.claim("a", 1, 8).await.unwrap().count(), 8);
    bench.reclaim_but(&[]).await;
    let piece = bench.claim("a", 2, 100).await.unwrap();
    assert_eq!((piece.hull(), piece.crashes), (SeqRange::new(2, 3), 1));
    bench.reclaim_but(&[]).await;
    let mut seen = Vec::new();
    while let Some(claim) = bench.claim("a", 4, 100).await {
        seen.push((claim.hull(), claim.attempt, claim.crashes));
    }
    assert_eq!(seen[0], (SeqRange::new(4, 7), 1, 1));
    assert!(seen.contains(&(SeqRange::one(2), 2, 2)) && seen.contains(&(SeqRange::one(3), 2, 2)));
    bench.reclaim_but(&[]).await;
    let batch = bench.audited(batch.key).await;
    assert_eq!(batch.failed, 2);
    let families = bench.store.families(&batch).await.unwrap().families;
    assert_eq!((families[0].id.0.as_str(), families[0].count), ("poison", 2));
}

async fn items_are_found_by_state_and_text(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    let batch = bench.store.append(batch.key, 1, &[lines(1, 30)], &[]).await.unwrap();
    let claim = bench.claim("a", 2, 5).await.unwrap();
    let some = LeaseReport {
        outcomes: vec![quick(SeqRange::new(1, 3)), failure(4, "f")],
        retries: vec![RetryItem { seq: 5, attempt: 2, crashes: 0, not_before: Timestamp(START + 5) }],
        started: vec![SeqRange::one(6)],
        ..report(&claim, 1)
    };
    bench.record("a", some).await;
    let seqs = async |state: Option<ItemState>, q: Option<&str>| {
        let query = ItemQuery { state, q: q.map(str::to_owned), limit: Some(500), ..ItemQuery::default() };
        let list = bench.store.items(&batch, &query).await.unwrap();
        list.items.iter().map(|item| item.row.seq).collect::<Vec<Seq>>()
    };
    assert_eq!(seqs(Some(ItemState::Succeeded), None).await, [1, 2, 3]);
    assert_eq!(seqs(Some(ItemState::Failed), None).await, [4]);
    assert_eq!(seqs(Some(ItemState::Retrying), None).await, [5]);
    assert_eq!(seqs(Some(ItemState::Running), None).await, [6]);
    assert_eq!(seqs(Some(ItemState::Pending), None).await, (7..=30).collect::<Vec<_>>());
    assert_eq!(seqs(None, Some("LINE 2")).await, [vec![2], (20..=29).collect()].concat());
    assert_eq!(seqs(None, Some("no f")).await, [4]);
    assert_eq!(bench.store.next_due().await.unwrap(), Some(Timestamp(START + 5)));
}

async fn calls_that_are_dropped_half_way_leave_nothing_behind(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    for polls in 0..60 {
        let blocks = [lines(1, 5)];
        let append = bench.store.append(batch.key, 1, &blocks, &[]);
        let mut append = std::pin::pin!(append);
        for _poll in 0..polls {
            let polled = std::future::poll_fn(|context| {
                let _whether_ready = append.as_mut().poll(context).is_ready();
                std::task::Poll::Ready(_whether_ready)
            });
            if polled.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        if bench.audited(batch.key).await.total > 0 {
            break;
        }
    }
    let total = bench.audited(batch.key).await.total;
    bench.store.append(batch.key, total + 1, &[lines(1, 5)], &[]).await.unwrap();
}

async fn items_that_failed_here_and_there_come_back_in_one_lease(bench: Bench) {
    let batch = bench.generated(40, Options::default()).await;
    let claim = bench.claim("a", 2, 20).await.unwrap();
    let failed = |seq: Seq| OutcomeRun {
        state: ItemState::Failed,
        error: Some("no".to_owned()),
        family: Some((FamilyId("f".to_owned()), "no".to_owned())),
        ..quick(SeqRange::one(seq))
    };
    let ends = (1..=40).map(|seq| if seq % 3 == 0 { failed(seq) } else { quick(SeqRange::one(seq)) });
    bench.record("a", LeaseReport { outcomes: ends.collect(), ..report(&claim, 1) }).await;
    bench.store.retry(batch.key, &RetryRequest::default()).await.unwrap();
    bench.stepped(batch.key).await;
    let claim = bench.claim("a", 2, 5).await.unwrap();
    let threes: Vec<SeqRange> = (1..=10).map(|third| SeqRange::one(third * 3)).collect();
    assert_eq!(claim.ranges, threes);
    assert_eq!(claim.started_ranges(), threes[..2]);
    bench.audited(batch.key).await;
    let ends = threes.iter().map(|range| quick(*range)).collect();
    bench.record("a", LeaseReport { outcomes: ends, ..report(&claim, 1) }).await;
    let rest = bench.claim("a", 2, 20).await.unwrap();
    assert_eq!(rest.ranges, [33, 36, 39].map(SeqRange::one));
    bench.audited(batch.key).await;
}

async fn a_lease_that_nobody_was_told_of_goes_back_unspent(bench: Bench) {
    let batch = bench.generated(12, Options::default()).await;
    let known = bench.claim("a", 2, 2).await.unwrap();
    let stray = bench.claim("a", 2, 2).await.unwrap();
    let others = bench.claim("b", 2, 2).await.unwrap();
    let node = NodeId("a".to_owned());
    let changes = bench.store.return_orphaned_leases(&node, &[known.lease]).await.unwrap();
    assert_eq!((changes.len(), changes[0].batch.running), (1, 4));
    bench.audited(batch.key).await;
    let again = bench.claim("b", 2, 2).await.unwrap();
    assert_eq!((again.hull(), again.attempt, again.crashes), (stray.hull(), 1, 0));
    assert_eq!(bench.record("a", report(&stray, 1)).await.0, LeaseAnswer::Lost);
    assert!(matches!(bench.record("b", report(&others, 1)).await.0, LeaseAnswer::Applied { .. }));
    assert!(bench.store.return_orphaned_leases(&node, &[known.lease]).await.unwrap().is_empty());
    bench.store.cancel(batch.key, None).await.unwrap();
    bench.store.return_orphaned_leases(&node, &[]).await.unwrap();
    assert_eq!(bench.audited(batch.key).await.cancelled, 4);
}

async fn a_batch_that_is_swept_away_is_not_audited(bench: Bench) {
    let batch = bench.generated(3, Options::default()).await;
    bench.store.cancel(batch.key, None).await.unwrap();
    bench.store.audit_sums(batch.key).await.unwrap();
    bench.store.delete(batch.key).await.unwrap();
    // The first step takes the ends; the row of the batch goes with a later one.
    assert!(bench.store.sweep().await.unwrap());
    assert!(matches!(bench.store.audit_sums(batch.key).await, Err(StoreError::NotFound(_))));
}
