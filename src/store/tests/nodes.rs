//! Nodes of one database: who is expelled, what is taken back, what goes on.
//!
//! Every case ends in an audit.

use std::time::Duration;

use super::*;
use crate::protocol::{BatchState, NodeState, Role};
use crate::store::access::KeyClaim;

const LEASE: Duration = Duration::from_secs(3);

on_both!(
    who_does_not_beat_is_expelled_and_stays_so,
    what_a_lost_node_held_is_taken_back_once,
    an_intake_goes_on_under_the_new_id_of_its_node,
    a_turn_is_one_nodes_until_it_is_over,
    nothing_waits_longer_than_its_attempt_may,
    changes_are_told_since_a_revision,
);

fn node(id: &str) -> NodeRecord {
    NodeRecord {
        id: NodeId(id.to_owned()),
        name: id.to_owned(),
        role: Role::All,
        version: "0".to_owned(),
        slots: 2,
        busy: 0,
        state: NodeState::Up,
        heartbeat_at: Timestamp(0),
        rate_per_s: 0.0,
    }
}

impl Bench {
    async fn beat(&self, id: &str) -> Result<NodeState, StoreError> {
        self.store.node_beat(&NodeId(id.to_owned()), 1, 2.5, NodeState::Up).await
    }

    /// Nodes `a` and `b`, of which only `b` has beaten within the lease.
    async fn with_a_lost(&self) {
        self.store.node_started(&node("b")).await.unwrap();
        self.store.node_started(&node("a")).await.unwrap();
        if !self.store.is_shared() {
            // Each start on a file says that all others are gone.
            let text = "UPDATE nodes SET state = 'up'";
            run(self.store.inner.backend.writer(), text, vec![]).await.unwrap();
        }
        self.pass(2_000);
        self.beat("b").await.unwrap();
        self.pass(1_500);
    }
}

async fn who_does_not_beat_is_expelled_and_stays_so(bench: Bench) {
    bench.with_a_lost().await;
    assert_eq!(bench.store.expel(LEASE).await.unwrap(), [NodeId("a".to_owned())]);
    assert!(bench.store.expel(LEASE).await.unwrap().is_empty(), "once");
    assert!(matches!(bench.beat("a").await, Err(StoreError::NotFound(_))));
    assert_eq!(bench.beat("b").await.unwrap(), NodeState::Up);
    let b = NodeId("b".to_owned());
    bench.store.node_drain(&b).await.unwrap();
    assert_eq!(bench.beat("b").await.unwrap(), NodeState::Draining, "the wish outlives the beat");
    let gone = bench.store.node_drain(&NodeId("a".to_owned())).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
    bench.pass(3_600_001);
    bench.beat("b").await.unwrap();
    bench.store.expel(LEASE).await.unwrap();
    let left: Vec<NodeId> = bench.store.nodes().await.unwrap().into_iter().map(|node| node.id).collect();
    assert_eq!(left, [b], "after an hour nobody asks any more");
}

async fn what_a_lost_node_held_is_taken_back_once(bench: Bench) {
    bench.with_a_lost().await;
    let batch = bench.generated(10, Options::default()).await;
    let lost = bench.claim("a", 2, 3).await.unwrap();
    let kept = bench.claim("b", 2, 2).await.unwrap();
    assert!(
        bench.store.reclaim(ReclaimScope::Gone, POLICY).await.unwrap().is_empty(),
        "not before it is expelled"
    );
    bench.store.expel(LEASE).await.unwrap();
    let (one, two) = tokio::join!(
        bench.store.reclaim(ReclaimScope::Gone, POLICY),
        bench.store.reclaim(ReclaimScope::Gone, POLICY)
    );
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1, "two at once do it once");
    let late = LeaseReport { outcomes: vec![quick(lost.hull())], ..report(&lost, 1) };
    assert_eq!(bench.record("a", late).await.0, LeaseAnswer::Lost);
    let end = LeaseReport { outcomes: vec![quick(kept.hull())], ..report(&kept, 1) };
    assert!(matches!(bench.record("b", end).await.0, LeaseAnswer::Applied { closed: true, .. }));
    let batch = bench.audited(batch.key).await;
    assert_eq!((batch.succeeded, batch.running, batch.retrying), (4, 0, 2));
    let item = bench.store.item(&batch, lost.hull().first).await.unwrap();
    assert_eq!(item.history.len(), 1, "the lost attempt is told");
}

async fn an_intake_goes_on_under_the_new_id_of_its_node(bench: Bench) {
    bench.with_a_lost().await;
    let (a, b) = (NodeId("a".to_owned()), NodeId("b".to_owned()));
    let streamed = |node: &NodeId| CreateBatch { intake_node: Some(node.clone()), ..new_batch() };
    let (one, two) = (streamed(&a), streamed(&a));
    let (one, two) = (bench.store.create(one).await.unwrap(), bench.store.create(two).await.unwrap());
    assert!(matches!(bench.store.key_claim("ada", "k", &a).await.unwrap(), KeyClaim::Fresh { .. }));
    bench.store.seal(two.key).await.unwrap();
    assert!(bench.store.intakes_of_the_gone().await.unwrap().is_empty());
    bench.store.expel(LEASE).await.unwrap();
    assert_eq!(bench.store.intakes_of_the_gone().await.unwrap(), [one.key], "what is sealed is whole");
    bench.store.node_replaced(&a, &node("a2")).await.unwrap();
    assert!(bench.store.intakes_of_the_gone().await.unwrap().is_empty());
    bench.store.append(one.key, 1, &[lines(1, 2)], &[]).await.unwrap();
    if bench.store.is_shared() {
        assert_eq!(bench.store.key_claim("ada", "k", &b).await.unwrap(), KeyClaim::InFlight);
        bench.store.node_stopped(&NodeId("a2".to_owned())).await.unwrap();
        assert_eq!(bench.store.intakes_of_the_gone().await.unwrap(), [one.key]);
    }
    assert!(matches!(bench.store.key_claim("ada", "k", &b).await.unwrap(), KeyClaim::Fresh { .. }));
    bench.store.cancel(one.key, None).await.unwrap();
    assert!(bench.store.intakes_of_the_gone().await.unwrap().is_empty());
    assert_eq!(bench.audited(one.key).await.state, BatchState::Cancelled);
}

async fn a_turn_is_one_nodes_until_it_is_over(bench: Bench) {
    assert!(bench.store.take_turn("tidy", LEASE).await.unwrap());
    assert!(!bench.store.take_turn("tidy", LEASE).await.unwrap());
    bench.pass(3_000);
    let (one, two) = tokio::join!(bench.store.take_turn("tidy", LEASE), bench.store.take_turn("tidy", LEASE));
    assert_eq!(u8::from(one.unwrap()) + u8::from(two.unwrap()), 1);
}

async fn nothing_waits_longer_than_its_attempt_may(bench: Bench) {
    let options = Options { retry_base_ms: Some(4_000), retry_max_ms: Some(60_000), ..Options::default() };
    let batch = bench.generated(1, options).await;
    bench.claim("a", 1, 1).await.unwrap();
    bench.reclaim_but(&[]).await;
    let due = bench.store.next_due().await.unwrap().unwrap();
    bench.store.clamp_due(POLICY).await.unwrap();
    assert_eq!(bench.store.next_due().await.unwrap().unwrap(), due, "it was not late");
    // As after a start with another clock, which nobody saw being set.
    bench.pass(-86_400_000);
    bench.store.clamp_due(POLICY).await.unwrap();
    let latest = bench.store.steady().plus_ms(4_000);
    assert_eq!(bench.store.next_due().await.unwrap().unwrap(), latest, "the longest delay after one attempt");
    bench.audited(batch.key).await;
}

async fn changes_are_told_since_a_revision(bench: Bench) {
    let batch = bench.generated(4, Options::default()).await;
    let claim = bench.claim("a", 1, 4).await.unwrap();
    let before = bench.store.batch(batch.id).await.unwrap();
    let since = |rev| Since {
        rev,
        cell_items: Some(before.cell_items),
        pulse_ms: Some(before.pulse_ms),
        families: Some(Default::default()),
    };
    assert!(bench.store.changes_since(batch.id, &since(before.rev)).await.unwrap().is_none());
    let ends = vec![failure(1, "f"), quick(SeqRange::new(2, 4))];
    let (_answer, changes) = bench.record("a", LeaseReport { outcomes: ends, ..report(&claim, 1) }).await;
    let heard = bench.store.changes_since(batch.id, &since(before.rev)).await.unwrap().unwrap();
    assert_eq!(heard.batch, changes[0].batch);
    assert_eq!((&heard.families, &heard.cells), (&changes[0].families, &changes[0].cells));
    let shown = heard.families.iter().map(|family| family.id.clone()).collect();
    bench.store.retry(batch.key, &crate::protocol::RetryRequest::default()).await.unwrap();
    let known = Since { families: Some(shown), ..since(heard.batch.rev) };
    let heard = bench.store.changes_since(batch.id, &known).await.unwrap().unwrap();
    assert_eq!(heard.families.iter().map(|family| family.count).collect::<Vec<_>>(), [0], "it has left");
    let standings = bench.store.standings(&[batch.id]).await.unwrap();
    assert!(standings.iter().all(|at| (at.batch, at.rev, at.finished) == (batch.id, heard.batch.rev, false)));
    let nobody = bench.store.changes_since(BatchId::from_u128(1 << 90), &known).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))));
    bench.audited(batch.key).await;
}
