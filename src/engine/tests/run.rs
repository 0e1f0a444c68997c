//! How items run: quick and slow ones, failures, limits, fairness.
//!
//! Uses the bench of its parent. Every batch that ended passes the store's audit.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::*;
use crate::engine::record::Group;
use crate::engine::record::catch_up;
use crate::protocol::{Codec, ItemQuery, Key, Row, ServerFrame, Topic};
use crate::store::{Recorded, Viewer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_quick_items_succeed_once() {
    let bench = Bench::new(4).await;
    let batch = bench.submit(10_000, "{}", Options::default()).await;
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.state, ended.succeeded), (BatchState::Succeeded, 10_000));
    assert_eq!(bench.counts.runs.load(Ordering::Relaxed), 10_000);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_and_counted_by_family() {
    let bench = Bench::new(4).await;
    let passing = bench.submit(200, r#"{"fail_each":10,"fail_attempts":2}"#, quick_retries()).await;
    assert_eq!(bench.ended(&passing).await.state, BatchState::Succeeded);
    let lasting = bench.submit(200, r#"{"fail_each":10}"#, quick_retries()).await;
    let ended = bench.ended(&lasting).await;
    assert_eq!((ended.state, ended.failed, ended.succeeded), (BatchState::Failed, 20, 180));
    let families = bench.store.families(&ended).await.unwrap().families;
    assert_eq!((families.len(), families[0].count), (1, 20));
    let item = bench.store.item(&ended, 10).await.unwrap();
    assert_eq!((item.row.attempts, item.history.len()), (3, 3));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_and_time_limits_fail_one_item() {
    let bench = Bench::new(4).await;
    let once = Options { attempts_max: Some(1), timeout_seconds: Some(0.05), ..Options::default() };
    let panicking = bench.submit(3, r#"{"panic":true}"#, once.clone()).await;
    let ended = bench.ended(&panicking).await;
    let items = bench.store.items(&ended, &ItemQuery::default()).await.unwrap().items;
    assert!(items.iter().all(|item| item.row.error.as_deref() == Some("The task panicked: as asked")));
    let hanging = bench.submit(3, r#"{"wait_ms":60000}"#, once).await;
    let ended = bench.ended(&hanging).await;
    assert_eq!((ended.failed, ended.state), (3, BatchState::Failed));
    assert!(bench.engine.unready().is_none());
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_left_files_leave_no_folder_behind() {
    let bench = Bench::new(2).await;
    let batch = bench.submit(3, r#"{"talk":true,"fail_each":1}"#, quick_retries()).await;
    assert_eq!(bench.ended(&batch).await.failed, 3);
    assert_eq!(std::fs::read_dir(&bench.options.work).unwrap().count(), 0);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_very_long_error_is_cut() {
    let bench = Bench::new(2).await;
    let once = Options { attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(1, r#"{"fail_each":1,"shout_bytes":1000000}"#, once).await;
    let item = bench.store.item(&bench.ended(&batch).await, 1).await.unwrap();
    let error = item.row.error.unwrap();
    assert!(error.starts_with("item 1 does") && error.ends_with("!…") && error.len() < 17_000);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_answer_was_lost_is_still_told() {
    let bench = Bench::new(2).await;
    let once = Options { attempts_max: Some(1), ..Options::default() };
    let batch = bench.submit(20, r#"{"fail_each":10}"#, once).await;
    let ended = bench.ended(&batch).await;
    let group = Group { reports: Vec::new(), batches: vec![batch.key, batch.key], frees: false };
    let mut recorded = Recorded { answers: Vec::new(), changes: Vec::new() };
    catch_up(&bench.store, bench.engine.stages.loops(), &group, &mut recorded).await;
    let [change] = recorded.changes.as_slice() else { panic!("{:?}", recorded.changes) };
    assert_eq!((&change.batch, change.families.len()), (&ended, 1));
    catch_up(&bench.store, bench.engine.stages.loops(), &group, &mut recorded).await;
    assert_eq!(recorded.changes.len(), 1);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_logs_are_kept() {
    let bench = Bench::new(2).await;
    let batch = bench.submit(3, r#"{"talk":true}"#, Options::default()).await;
    let ended = bench.ended(&batch).await;
    let key = async |seq| bench.store.item_file(&ended, seq, "a.txt", None).await.unwrap().key;
    assert_eq!(key(2).await, key(3).await, "equal contents are stored once");
    for (seq, text) in [(1, &b""[..]), (2, b"text"), (3, b"text")] {
        let file = bench.store.item_file(&ended, seq, "a.txt", None).await.unwrap();
        let path = bench.store.file_store().local_path(&file.key).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), text, "item {seq}");
    }
    assert!(bench.store.item(&ended, 2).await.unwrap().log.contains("hello"));
    assert_eq!(std::fs::read_dir(&bench.options.work).unwrap().count(), 0);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_is_kept() {
    let bench = Bench::new(8).await;
    let options = Options { concurrency: Some(3), ..Options::default() };
    let batch = bench.submit(120, r#"{"wait_ms":3}"#, options).await;
    bench.ended(&batch).await;
    assert!(bench.counts.most.load(Ordering::Relaxed) <= 3);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_items_start_soon_beside_many() {
    let bench = Bench::new(4).await;
    let many = bench.submit(100_000, r#"{"wait_ms":2}"#, Options::default()).await;
    bench.until(&many, |batch| batch.succeeded > 100).await;
    let few = bench.submit(10, "{}", Options::default()).await;
    bench.ended(&few).await;
    assert!(!bench.store.batch_by_key(many.key).await.unwrap().state.is_finished());
    bench.engine.cancel(many.key).await.unwrap();
    bench.ended(&many).await;
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_start_soon_goes_back() {
    let bench = Bench::new(2).await;
    let batch = bench.submit(50_000, r#"{"wait_ms":200,"wait_after":1000}"#, Options::default()).await;
    bench.until(&batch, |batch| batch.succeeded > 1_000).await;
    let waiting = || {
        bench
            .engine
            .stages
            .acts
            .dispatcher
            .table()
            .leases
            .values()
            .map(crate::engine::dispatch::Lease::waiting)
            .sum::<u64>()
    };
    for _ in 0..1_000 {
        if waiting() < 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(waiting() < 100, "{}", waiting());
    bench.store.audit(batch.key).await.unwrap();
    bench.engine.cancel(batch.key).await.unwrap();
    bench.ended(&batch).await;
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stretch_of_failures_is_tried_again_as_one() {
    let bench = Bench::new(4).await;
    let options = Options { retry_base_ms: Some(400), attempts_max: Some(2), ..Options::default() };
    let batch = bench.submit(5_000, r#"{"fail_each":1,"fail_attempts":1}"#, options).await;
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.succeeded, bench.counts.runs.load(Ordering::Relaxed)), (5_000, 10_000));
    assert!(ended.rev < 500, "{} commits", ended.rev);
    bench.engine.drain().await;
}

/// Reads commit after commit until `batch` has ended: how many items of all batches were counted as running at most.
async fn most_running(bench: &Bench, batch: &BatchRecord) -> u64 {
    let (mut most, begun) = (0, std::time::Instant::now());
    while !bench.store.batch_by_key(batch.key).await.unwrap().state.is_finished() {
        most = most.max(bench.store.running_in_all().await.unwrap());
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {:?}", bench.engine.unready());
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_counts_more_running_than_there_are_slots() {
    let bench = Bench::new(2).await;
    // Claims come between the end of an item and its record, ahead of time, and for retries.
    for params in [
        r#"{"wait_ms": 15}"#,
        r#"{"wait_ms": 3}"#,
        r#"{"wait_ms": 7, "wait_after": 20}"#,
        r#"{"wait_ms": 10, "fail_each": 2, "fail_attempts": 1}"#,
    ] {
        let batch = bench.submit(80, params, quick_retries()).await;
        let most = most_running(&bench, &batch).await;
        assert!((1..=2).contains(&most), "{most} with {params}");
        bench.ended(&batch).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_gets_its_turn_is_not_counted_as_running_before_a_slot_is_free() {
    let bench = Bench::new(1).await;
    let long = bench.submit(400, r#"{"wait_ms": 5}"#, Options::default()).await;
    bench.until(&long, |batch| batch.succeeded > 10).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(bench.submit(10, r#"{"wait_ms": 5}"#, Options::default()).await);
    }
    assert_eq!(most_running(&bench, &long).await, 1, "in all batches together");
    for batch in &others {
        bench.ended(batch).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_a_strip_that_doubles_is_told_and_reads_nothing_again() {
    let bench = Bench::new(2).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    let topic = Topic::Strip(batch.id);
    let viewer = Viewer::of("ada".to_owned(), false);
    let mut session = bench.engine.stages.hub.session(viewer, Codec::Json);
    session.subscribe(topic).unwrap();
    session.answer(topic, None, 1, Some(Vec::new()));
    let mut shown: BTreeMap<Key, Row> = BTreeMap::new();
    let mut pushed = 0;
    for grown in [1_024, 1_026, 2_060] {
        for line in pushed..grown {
            intake.push(&Json::string(&line.to_string())).await.unwrap();
        }
        pushed = grown;
        bench.until(&batch, |batch| batch.succeeded == grown).await;
        let mut looks = 0;
        loop {
            let turn = session.turn(Instant::now());
            assert!(turn.ask.is_empty(), "the strip would be read again");
            for frame in turn.frames {
                let frame = ServerFrame::from_json(std::str::from_utf8(frame.payload()).unwrap()).unwrap();
                let ServerFrame::Update { rows, gone, .. } = frame else { panic!("{frame:?}") };
                shown.extend(rows.into_iter().map(|row| (row.key(), row)));
                gone.iter().for_each(|key| drop(shown.remove(key)));
            }
            let (_rev, cells) = bench.store.strip(&batch).await.unwrap();
            if shown.values().cloned().eq(cells.into_iter().map(Row::Cell)) {
                break;
            }
            looks += 1;
            assert!(looks < 4_000, "what is told is not the strip");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    intake.finish(None).await.unwrap();
    bench.ended(&batch).await;
    bench.engine.drain().await;
}
