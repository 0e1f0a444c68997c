//! Items by how long they took and by when they ended: pages by key that hold whatever ends meanwhile.

use super::*;
use crate::protocol::{ItemCursor, ItemQuery, ItemSort, RetryRequest};

on_both!(
    pages_by_what_items_took_hold_while_others_end,
    runs_of_quick_items_are_listed_by_when_they_ended,
    a_filtered_page_looks_at_a_bounded_number_of_outcomes,
);

/// The first `limit` items in this order, after a cursor.
fn sorted(sort: ItemSort, after: Option<ItemCursor>, limit: u32) -> ItemQuery {
    ItemQuery { sort: Some(sort), after, limit: Some(limit), ..ItemQuery::default() }
}

/// What a page lists, and where the next begins.
async fn listed(bench: &Bench, batch: &BatchRecord, query: &ItemQuery) -> (Vec<Seq>, Option<ItemCursor>) {
    let (page, sent) = bench.sent(bench.store.items(batch, query)).await;
    // The batch, the order, its leases, and what lies there: outcomes, requeue, files, blocks, and the message of a family.
    assert!(sent.len() <= 9, "{sent:#?}");
    let page = page.unwrap();
    let ended = usize::from(query.sort == Some(ItemSort::Ended)) * page.items.len();
    assert_eq!(page.ended_at.len(), ended);
    assert!(page.ended_at.is_sorted_by(|newer, older| newer >= older));
    (page.items.iter().map(|item| item.row.seq).collect(), page.next)
}

fn took(seq: Seq, ms: u64) -> OutcomeRun {
    OutcomeRun { ms: Some(ms), started_at: Some(Timestamp(START)), ..quick(SeqRange::one(seq)) }
}

async fn pages_by_what_items_took_hold_while_others_end(bench: Bench) {
    let batch = bench.generated(12, Options::default()).await;
    let claim = bench.claim("a", 1, 20).await.unwrap();
    let mut outcomes: Vec<_> =
        [5, 300, 20, 300, 1].into_iter().zip(1..).map(|(ms, seq)| took(seq, ms)).collect();
    outcomes.push(quick(SeqRange::new(6, 7)));
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 1) }).await;
    let (first, next) = listed(&bench, &batch, &sorted(ItemSort::Took, None, 2)).await;
    assert_eq!((first, next), (vec![4, 2], Some(ItemCursor { by: Some(300), seq: 2 })));
    // One that took longer, one that took as long, and the one that the page ended with is run again.
    let outcomes = vec![took(8, 900), took(9, 300), failure(10, "f")];
    bench.record("a", LeaseReport { outcomes, ..report(&claim, 2) }).await;
    let (second, next) = listed(&bench, &batch, &sorted(ItemSort::Took, next, 2)).await;
    assert_eq!((second, next), (vec![3, 10], Some(ItemCursor { by: Some(12), seq: 10 })));
    let seqs = RetryRequest { seqs: Some(vec![10]), ..RetryRequest::default() };
    bench.store.retry(batch.key, &seqs).await.unwrap();
    bench.stepped(batch.key).await;
    let (third, next) = listed(&bench, &batch, &sorted(ItemSort::Took, next, 5)).await;
    assert_eq!((third, next), (vec![1, 5], None), "what was timed with others is not among them");
    bench.audited(batch.key).await;
}

async fn runs_of_quick_items_are_listed_by_when_they_ended(bench: Bench) {
    let batch = bench.generated(20, Options::default()).await;
    let claim = bench.claim("a", 1, 20).await.unwrap();
    let ends = [
        vec![quick(SeqRange::new(1, 4))],
        vec![failure(9, "f"), quick(SeqRange::new(5, 8))],
        vec![took(10, 7)],
    ];
    for (outcomes, version) in ends.into_iter().zip(1..) {
        bench.record("a", LeaseReport { outcomes, ..report(&claim, version) }).await;
        bench.pass(1_000);
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, next) = listed(&bench, &batch, &sorted(ItemSort::Ended, after, 3)).await;
        seen.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
        // What ends later stands above, and moves nothing over the edge.
        if seen.len() == 3 {
            let outcomes = vec![quick(SeqRange::new(11, 12))];
            bench.record("a", LeaseReport { outcomes, ..report(&claim, 4) }).await;
        }
    }
    assert_eq!(seen, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let failed = ItemQuery { state: Some(ItemState::Failed), ..sorted(ItemSort::Ended, None, 3) };
    assert_eq!(listed(&bench, &batch, &failed).await, (vec![9], None));
    let family = ItemQuery { family: Some(FamilyId("f".into())), ..sorted(ItemSort::Took, None, 3) };
    assert_eq!(listed(&bench, &batch, &family).await, (vec![9], None));
    let pending = ItemQuery { state: Some(ItemState::Pending), ..sorted(ItemSort::Ended, None, 3) };
    assert_eq!(listed(&bench, &batch, &pending).await, (vec![], None));
}

async fn a_filtered_page_looks_at_a_bounded_number_of_outcomes(bench: Bench) {
    let batch = bench.generated(20_010, Options::default()).await;
    while let Some(claim) = bench.claim("a", 1, 10_000).await {
        let SeqRange { first, last } = claim.hull();
        if first == 1 {
            bench.record("a", LeaseReport { outcomes: vec![failure(1, "f")], ..report(&claim, 1) }).await;
            bench.pass(1_000);
        }
        let outcomes = (first.max(2)..=last).map(|seq| took(seq, seq)).collect();
        let version = if first == 1 { 2 } else { 1 };
        bench.record("a", LeaseReport { outcomes, ..report(&claim, version) }).await;
    }
    let failed = ItemQuery { state: Some(ItemState::Failed), ..sorted(ItemSort::Ended, None, 3) };
    let (none, next) = listed(&bench, &batch, &failed).await;
    assert_eq!((none, next.map(|next| next.seq)), (vec![], Some(11)), "20,000 were looked at");
    assert_eq!(listed(&bench, &batch, &ItemQuery { after: next, ..failed }).await, (vec![1], None));
    let (longest, _next) = listed(&bench, &batch, &sorted(ItemSort::Took, None, 3)).await;
    assert_eq!(longest, [20_010, 20_009, 20_008]);
}
