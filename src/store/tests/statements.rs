//! How many statements an act or a read sends to the database: bounds that hold however many items or batches there are.
//!
//! What is counted is what goes to the driver. Each bound is named with what it is made of.

use super::*;
use crate::protocol::{BatchState, ItemCursor, ItemQuery, RetryRequest};

on_both!(
    a_page_of_failures_far_apart_takes_a_few_statements,
    a_page_over_many_small_blocks_takes_a_few_statements,
    blocks_are_read_some_megabytes_at_a_time,
    a_search_takes_a_few_statements_a_step,
    files_of_items_far_apart_are_read_in_one_statement,
    chosen_items_are_retried_in_a_few_statements,
    what_comes_due_is_read_in_one_statement,
    a_claim_skips_batches_of_other_tasks_in_one_query,
    a_claim_skips_batches_that_are_at_their_bounds_in_one_query,
    counts_are_read_in_one_statement_and_folded,
);

/// The batch, the positions, its leases, and what lies there: outcomes, requeue, files, which blocks, and the blocks.
const PAGE_MAX: usize = 8;

/// A batch in which every `apart`th of `items` items has failed and the others have succeeded.
async fn failing(bench: &Bench, items: u64, apart: u64) -> BatchRecord {
    let batch = bench.store.create(new_batch()).await.unwrap();
    for first in (1..=items).step_by(1_000) {
        let count = u32::try_from((items + 1 - first).min(1_000)).unwrap();
        bench.store.append(batch.key, first, &[lines(first, count)], &[]).await.unwrap();
    }
    bench.store.seal(batch.key).await.unwrap();
    end_all(bench, apart).await;
    bench.audited(batch.key).await
}

/// Ends all that can be claimed, every `apart`th item as failed.
async fn end_all(bench: &Bench, apart: u64) {
    while let Some(claim) = bench.claim("a", 1, 10_000).await {
        let hull = claim.hull();
        let mut outcomes = Vec::new();
        let mut first = hull.first;
        for seq in (hull.first..=hull.last).filter(|seq| seq % apart == 0) {
            if first < seq {
                outcomes.push(quick(SeqRange::new(first, seq - 1)));
            }
            outcomes.push(failure(seq, "f"));
            first = seq + 1;
        }
        if first <= hull.last {
            outcomes.push(quick(SeqRange::new(first, hull.last)));
        }
        bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    }
}

#[track_caller]
fn at_most(most: usize, sent: &[String]) {
    assert!(
        sent.len() <= most,
        "{} statements, at most {most}: {:#?}",
        sent.len(),
        &sent[..sent.len().min(20)]
    );
}

fn failed(after: Option<ItemCursor>) -> ItemQuery {
    ItemQuery { state: Some(ItemState::Failed), after, limit: Some(500), ..ItemQuery::default() }
}

async fn a_page_of_failures_far_apart_takes_a_few_statements(bench: Bench) {
    let batch = failing(&bench, 12_000, 10).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        // From memory, and from the database.
        let store = bench.again().await;
        for store in [&bench.store, &store] {
            store.inner.backend.statements.start();
            let page = store.items(&batch, &failed(after)).await.unwrap();
            at_most(PAGE_MAX, &store.inner.backend.statements.stop());
            assert!(page.items.iter().all(|item| item.row.error.as_deref() == Some("no f")));
        }
        let page = store.items(&batch, &failed(after)).await.unwrap();
        seen.extend(page.items.iter().map(|item| (item.row.seq, item.row.input.as_str().to_owned())));
        store.close().await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (10..=12_000).step_by(10).map(|seq| (seq, format!("\"line {seq}\""))).collect();
    assert_eq!(seen, expected);
}

async fn a_page_over_many_small_blocks_takes_a_few_statements(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    let blocks: Vec<NewBlock> = (1..=600).map(|seq| lines(seq, 1)).collect();
    bench.store.append(batch.key, 1, &blocks, &[]).await.unwrap();
    let (page, sent) = bench.sent(bench.store.window(&batch, 51, 550)).await;
    at_most(PAGE_MAX, &sent);
    let page = page.unwrap().items;
    assert_eq!((page.len(), page[499].row.input.as_str()), (500, "\"line 550\""));
    let ranges = [SeqRange::new(40, 60), SeqRange::one(70), SeqRange::new(540, 600)];
    let (inputs, sent) = bench.sent(bench.store.inputs_of(&batch, &ranges)).await;
    at_most(2, &sent);
    let seqs: Vec<Seq> = inputs.unwrap().iter().map(|input| input.seq).collect();
    assert_eq!(seqs, (40..=60).chain([70]).chain(540..=600).collect::<Vec<_>>());
}

async fn blocks_are_read_some_megabytes_at_a_time(bench: Bench) {
    let batch = bench.store.create(new_batch()).await.unwrap();
    // What does not compress: a mebibyte a block and more.
    let mut dice = 1_u64;
    let mut block = |seq: Seq| {
        let mut text = format!("\"{seq} ");
        while text.len() < 1_300_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(b'0' + u8::try_from((dice >> 33) % 64).unwrap()).to_ascii_lowercase());
        }
        NewBlock { count: 1, ndjson: (text.replace('\\', "/") + "\"\n").into_bytes() }
    };
    for seq in 1..=12 {
        bench.store.append(batch.key, seq, &[block(seq)], &[]).await.unwrap();
    }
    let (inputs, sent) = bench.sent(bench.store.inputs(&batch, SeqRange::new(1, 12))).await;
    let inputs = inputs.unwrap();
    assert!(inputs.iter().all(|input| input.json.as_str().starts_with(&format!("\"{} ", input.seq))));
    assert!((4..=6).contains(&sent.len()), "{} statements for about 14 MiB, 4 at a time", sent.len());
}

async fn a_search_takes_a_few_statements_a_step(bench: Bench) {
    let batch = failing(&bench, 21_000, 7).await;
    let query = ItemQuery { q: Some("line 2".to_owned()), ..failed(None) };
    let (list, sent) = bench.sent(bench.store.items(&batch, &query)).await;
    let list = list.unwrap();
    // 20 steps: errors, which blocks, and the blocks.
    at_most(PAGE_MAX + 20 * 3, &sent);
    let hits = (7..=20_000_u64).step_by(7).filter(|seq| seq.to_string().starts_with('2'));
    let seen: Vec<Seq> = list.items.iter().map(|item| item.row.seq).collect();
    assert_eq!(seen, hits.take(500).collect::<Vec<_>>());
    assert_eq!(list.searched_to, Some(20_000));
}

async fn files_of_items_far_apart_are_read_in_one_statement(bench: Bench) {
    let batch = bench.generated(5_000, Options::default()).await;
    let claim = bench.claim("a", 1, 10_000).await.unwrap();
    let file = |seq| FileRecord {
        side: FileSide::Output,
        seq,
        row: crate::protocol::FileRow { name: "f".to_owned(), bytes: 1, media_type: "text/plain".to_owned() },
        key: format!("{seq:032}"),
        blake3: String::new(),
    };
    let files = (10..=5_000).step_by(10).map(file).collect();
    let all = LeaseReport { outcomes: vec![quick(claim.hull())], files, ..report(&claim, 1) };
    bench.record("a", all).await;
    let ranges: Vec<SeqRange> = (20..=5_000).step_by(20).map(SeqRange::one).collect();
    let (files, sent) = bench.sent(bench.store.files(&batch, &ranges)).await;
    at_most(1, &sent);
    let seqs: Vec<Seq> = files.unwrap().iter().map(|file| file.seq).collect();
    assert_eq!(seqs, (20..=5_000).step_by(20).collect::<Vec<_>>());
}

async fn chosen_items_are_retried_in_a_few_statements(bench: Bench) {
    let batch = failing(&bench, 20_000, 2).await;
    let seqs: Vec<Seq> = (2..=20_000).step_by(2).collect();
    let request = RetryRequest { seqs: Some(seqs), ..RetryRequest::default() };
    let (change, sent) = bench.sent(bench.store.retry(batch.key, &request)).await;
    assert_eq!(change.unwrap().batch.failed, 0);
    // Three lists to find them, four statements for each of three to move them, and the new rows: on SQLite 512 each.
    at_most(3 + 3 * 4 + 24 + 10, &sent);
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.failed, batch.succeeded, batch.pending()), (0, 10_000, 10_000));
}

async fn what_comes_due_is_read_in_one_statement(bench: Bench) {
    for _batch in 0..30 {
        bench.generated(2, Options::default()).await;
    }
    let at = Timestamp(START + 60_000);
    bench.generated(2, Options { start_at: Some(at), ..Options::default() }).await;
    let rated = Options { rate_per_s: Some(0.5), priority: 9, ..Options::default() };
    bench.generated(2, rated).await;
    bench.claim("a", 1, 1).await.unwrap();
    let (due, sent) = bench.sent(bench.store.next_due()).await;
    assert_eq!(due.unwrap(), Some(Timestamp(START + 2_000)), "the bucket holds an item again");
    at_most(1, &sent);
    assert!(!sent[0].contains('*') && !sent[0].contains("options"), "{}", sent[0]);
    bench.pass(10_000);
    assert_eq!(bench.store.next_due().await.unwrap(), Some(at));
}

async fn a_claim_skips_batches_of_other_tasks_in_one_query(bench: Bench) {
    for _batch in 0..100 {
        bench.generated(2, Options::default()).await;
    }
    let known =
        CreateBatch { task: "known".to_owned(), source: Source::Generated, generated: 2, ..new_batch() };
    let known = bench.store.create(known).await.unwrap();
    let tasks = RunnableTasks::Named(vec!["other".to_owned(), "known".to_owned()]);
    assert_eq!(bench.store.next_batch(&tasks).await.unwrap(), Some(known.key));
    let node = NodeId("a".to_owned());
    let request = ClaimRequest { tasks: &tasks, ..bench.request(&node, 2) };
    let (claim, sent) = bench.sent(bench.store.claim(&request)).await;
    assert_eq!(claim.unwrap().unwrap().0.batch.key, known.key);
    // The choice, the batch under its lock, what waits, the number of the turn, the lease, the batch.
    at_most(6, &sent);
    let (claim, sent) = bench.sent(bench.store.claim(&request)).await;
    assert!(claim.unwrap().is_none(), "what is left is of a task that is not known");
    at_most(1, &sent);
    assert_eq!(bench.store.next_batch(&tasks).await.unwrap(), None);
    let none = RunnableTasks::Named(Vec::new());
    let request = ClaimRequest { tasks: &none, ..bench.request(&node, 2) };
    assert!(bench.store.claim(&request).await.unwrap().is_none());
}

async fn a_claim_skips_batches_that_are_at_their_bounds_in_one_query(bench: Bench) {
    let node = NodeId("a".to_owned());
    let bounds = [
        Options { concurrency: Some(1), ..Options::default() },
        Options { rate_per_s: Some(1.0), ..Options::default() },
        Options { try_first: Some(1), ..Options::default() },
    ];
    for options in bounds.iter().cycle().take(60) {
        bench.generated(5, Options { priority: 9, ..options.clone() }).await;
    }
    for _batch in 0..60 {
        assert_eq!(bench.claim("a", 1, 1).await.unwrap().count(), 1);
    }
    let free = bench.generated(5, Options::default()).await;
    let (claim, sent) = bench.sent(bench.store.claim(&bench.request(&node, 2))).await;
    assert_eq!(claim.unwrap().unwrap().0.batch.key, free.key);
    at_most(6, &sent);
    bench.pass(1_000);
    let rated = bench.claim("a", 1, 1).await.unwrap().batch;
    assert_eq!(rated.options.rate_per_s, Some(1.0), "the bucket has filled");
}

async fn counts_are_read_in_one_statement_and_folded(bench: Bench) {
    let all = Viewer::of("admin".to_owned(), true);
    let ada = Viewer::of("ada".to_owned(), false);
    let bob = Viewer::of("bob".to_owned(), false);
    for at in 0..400_u64 {
        let batch = bench.generated(1, Options { private: at % 2 == 0, ..Options::default() }).await;
        bench.claim("a", 1, 1).await.unwrap();
        if at % 4 == 0 {
            bench.store.cancel(batch.key, None).await.unwrap();
        }
    }
    let kept = || async {
        let text = "SELECT COUNT(*) FROM batch_counts";
        backend::number(bench.store.inner.backend.reader(), text, vec![]).await.unwrap().unwrap()
    };
    let sums = || async {
        let mut sums = Vec::new();
        for viewer in [&all, &ada, &bob] {
            let (counts, sent) = bench.sent(bench.store.counts(viewer)).await;
            at_most(1, &sent);
            assert!(!sent[0].contains("FROM batches"), "no batch is counted: {}", sent[0]);
            sums.push(counts.unwrap());
        }
        sums
    };
    assert!(kept().await > 1_000);
    let before = sums().await;
    assert_eq!([before[0].all, before[1].all, before[2].all], [400, 400, 200]);
    assert_eq!([before[0].active, before[2].active, before[2].with_failures], [400, 200, 0]);
    bench.store.fold_counts().await.unwrap();
    assert!(kept().await <= 10, "{} rows are left", kept().await);
    assert_eq!(sums().await, before);
    let (folded, sent) = bench.sent(bench.store.fold_counts()).await;
    folded.unwrap();
    at_most(1, &sent);
    let unfinished = bench.store.unfinished().await.unwrap();
    assert!(unfinished.iter().any(|batch| batch.state == BatchState::Cancelling));
}

/// Postgres keeps figures about its tables and chooses by them; SQLite is held to the keys that were made for it.
#[tokio::test]
async fn what_comes_due_is_the_first_of_three_indexes_on_sqlite() {
    let bench = Bench::open(On::Sqlite).await.unwrap();
    let (due, sent) = bench.sent(bench.store.next_due()).await;
    assert_eq!(due.unwrap(), None);
    let reader = bench.store.inner.backend.reader();
    let plan = backend::rows(reader, &format!("EXPLAIN QUERY PLAN {}", sent[0]), vec![START.into()]).await;
    let plan: Vec<String> = plan.unwrap().iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
    let plan = plan.join("\n");
    for index in ["requeue_due", "batches_start", "batches_rate_due"] {
        assert!(plan.contains(&format!("INDEX {index} ")), "{index}: {plan}");
    }
    assert!(!plan.contains("TEMP B-TREE"), "nothing is sorted: {plan}");
}
