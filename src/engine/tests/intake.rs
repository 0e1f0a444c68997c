//! How items come in: lines, files, open batches, and what is refused or cut off.
//!
//! Uses the bench of its parent. Only whole items ever run.

use super::super::Empty;
use super::*;
use crate::store::StoreError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_batch_that_could_not_be_ended_is_ended_later() {
    let bench = Bench::new(1).await;
    let asked = asked("{}", Options::default());
    let mut intake = begin(&bench.engine, asked).await.unwrap();
    bench.store.only_reads("ON").await;
    intake.push(&Json::string("a")).await.unwrap();
    let batch = intake.batch().clone();
    let cut = tokio::spawn(intake.abort("cut".to_owned(), Empty::Shown));
    bench.until(&batch, |_now| !bench.engine.stages.intake.settler.queue.is_empty()).await;
    assert!(!bench.store.batch_by_key(batch.key).await.unwrap().state.is_finished());
    bench.store.only_reads("OFF").await;
    assert_eq!(cut.await.unwrap().unwrap().key, batch.key, "who waits is told of it");
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.state, ended.reason.as_deref(), ended.total), (BatchState::Cancelled, Some("cut"), 0));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_is_refused_is_done_later() {
    let bench = Bench::new(1).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    intake.push(&Json::string("a")).await.unwrap();
    bench.until(&batch, |batch| batch.succeeded == 1).await;
    bench.store.only_reads("ON").await;
    let finishing = tokio::spawn(intake.finish(None));
    bench.until(&batch, |_now| !bench.engine.stages.intake.settler.queue.is_empty()).await;
    assert!(!bench.store.batch_by_key(batch.key).await.unwrap().sealed);
    bench.store.only_reads("OFF").await;
    assert!(finishing.await.unwrap().unwrap().sealed, "who waits is told of it");
    let ended = bench.ended(&batch).await;
    assert_eq!((ended.state, ended.succeeded), (BatchState::Succeeded, 1));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dropped_intake_owes_is_done_when_the_database_lets_it() {
    let bench = Bench::new(1).await;
    let open = Options { open: true, ..Options::default() };
    for options in [Options::default(), open] {
        let mut intake = begin(&bench.engine, asked("{}", options)).await.unwrap();
        let batch = intake.batch().clone();
        intake.push(&Json::string("a")).await.unwrap();
        bench.until(&batch, |batch| batch.succeeded == 1).await;
        bench.store.only_reads("ON").await;
        drop(intake);
        bench.until(&batch, |_now| !bench.engine.stages.intake.settler.queue.is_empty()).await;
        bench.store.only_reads("OFF").await;
        let ended = bench.ended(&batch).await;
        assert_eq!(ended.reason.as_deref(), Some("the upload was cut off"));
        assert_eq!((ended.state, ended.succeeded), (BatchState::Cancelled, 1));
    }
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_takes_nothing_new_and_ends_what_there_is() {
    let bench = Bench::new(1).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    intake.push(&Json::string("a")).await.unwrap();
    bench.until(&batch, |batch| batch.succeeded == 1).await;
    // Found again and again, so that the look for room does not end it in the middle of this.
    let store = bench.store.clone();
    let full = tokio::spawn(async move {
        loop {
            store.record_full(&StoreError::DiskFull);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    bench.until(&batch, |_now| bench.store.is_disk_full()).await;
    assert!(bench.engine.unready().is_some_and(|reason| reason.contains("disk is full")));
    let refused = begin(&bench.engine, asked("{}", Options::default())).await;
    assert!(matches!(refused, Err(EngineError::Store(StoreError::DiskFull))));
    let refused = numbers(&bench.engine, asked("{}", Options::default()), 1).await;
    assert!(matches!(refused, Err(EngineError::Store(StoreError::DiskFull))));
    intake.finish(None).await.unwrap();
    assert_eq!(bench.ended(&batch).await.succeeded, 1);
    bench.engine.delete(batch.key).await.unwrap();
    full.abort();
    bench.until_ready().await;
    bench.submit(1, "{}", Options::default()).await;
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushed_lines_run_while_more_come() {
    let bench = Bench::new(4).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    intake.push(&Json::string("first")).await.unwrap();
    bench.until(&batch, |batch| batch.succeeded == 1).await;
    for line in 0..5_000 {
        intake.push(&Json::parse(&format!("{{\"a\":\n{line}}}")).unwrap()).await.unwrap();
    }
    let total = intake.finish(None).await.unwrap().total;
    let ended = bench.ended(&batch).await;
    assert_eq!((total, ended.succeeded), (5_001, 5_001));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intake_that_is_dropped_cancels_and_an_empty_one_leaves_nothing() {
    let bench = Bench::new(2).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    intake.push(&Json::string("first")).await.unwrap();
    bench.until(&batch, |batch| batch.succeeded == 1).await;
    drop(intake);
    let ended = bench.until(&batch, |batch| batch.sealed).await;
    assert_eq!(ended.reason.as_deref(), Some("the upload was cut off"));
    let empty = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let id = empty.batch().id;
    assert!(matches!(empty.finish(None).await, Err(EngineError::NoItems)));
    assert!(bench.store.batch(id).await.is_err());
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused() {
    let bench = Bench::new(1).await;
    let bad = [
        Options { attempts_max: Some(0), ..Options::default() },
        Options { timeout_seconds: Some(-1.0), ..Options::default() },
        Options { concurrency: Some(0), ..Options::default() },
        Options { rate_per_s: Some(0.0), ..Options::default() },
        Options { try_first: Some(0), ..Options::default() },
        Options { then: Some(Json::parse(r#"{"task":"probe","items":1}"#).unwrap()), ..Options::default() },
        Options { webhook: Some("ftp://x".to_owned()), ..Options::default() },
    ];
    for options in bad {
        let refused = numbers(&bench.engine, asked("{}", options.clone()), 1).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{options:?}");
    }
    let refused = numbers(&bench.engine, asked(r#"{"nope":1}"#, Options::default()), 1).await;
    assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_batches_grow_until_they_are_sealed() {
    let bench = Bench::new(2).await;
    let open = Options { open: true, ..Options::default() };
    let mut intake = begin(&bench.engine, asked("{}", open)).await.unwrap();
    intake.push(&Json::string("first")).await.unwrap();
    let batch = intake.finish(None).await.unwrap();
    bench.until(&batch, |batch| batch.succeeded == 1).await;
    assert!(bench.engine.append(batch.key, 1, Duration::ZERO).await.is_err());
    let mut intake = bench.engine.append(batch.key, 2, Duration::ZERO).await.unwrap();
    for _ in 0..2_000 {
        intake.push(&Json::string("more")).await.unwrap();
    }
    intake.finish(None).await.unwrap();
    bench.engine.seal(batch.key).await.unwrap();
    assert_eq!(bench.ended(&batch).await.succeeded, 2_001);
    assert!(bench.engine.append(batch.key, 2_002, Duration::ZERO).await.is_err());
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_stops_the_intake() {
    let bench = Bench::new(2).await;
    let mut intake = begin(&bench.engine, asked("{}", Options::default())).await.unwrap();
    let batch = intake.batch().clone();
    intake.push(&Json::string("first")).await.unwrap();
    bench.until(&batch, |batch| batch.total == 1).await;
    bench.engine.cancel(batch.key).await.unwrap();
    let refused = loop {
        if let Err(refused) = intake.push(&Json::string("more")).await {
            break refused;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(matches!(refused, EngineError::Store(crate::store::StoreError::WrongState(_))), "{refused:?}");
    drop(intake);
    bench.engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_in_and_results_go_out() {
    let bench = Bench::new(2).await;
    let new = NewBatch { task: "reader".to_owned(), name: None, params: None, options: Options::default() };
    let mut intake = begin(&bench.engine, new).await.unwrap();
    assert!(matches!(intake.push(&Json::string("x")).await, Err(EngineError::Invalid { .. })));
    for number in 1..=1_030 {
        let mut draft = bench.store.file_store().draft();
        draft.write(format!("file {number}").as_bytes()).await.unwrap();
        let stored = draft.seal("a.txt").await.unwrap();
        intake.push_file(&format!("in/{number}.txt"), stored).await.unwrap();
    }
    let batch = intake.finish(None).await.unwrap();
    let ended = bench.ended(&batch).await;
    assert_eq!(ended.succeeded, 1_030);
    let item = bench.store.item(&ended, 1_030).await.unwrap();
    assert_eq!(item.row.result.unwrap().display_text(), "in/1030.txt 9 file 1030");
    let file = bench.store.item_file(&ended, 7, "in/7.txt", None).await.unwrap();
    assert_eq!(std::fs::read(bench.store.file_store().local_path(&file.key).unwrap()).unwrap(), b"file 7");
    bench.engine.drain().await;
}
