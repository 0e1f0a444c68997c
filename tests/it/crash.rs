//! kill -9, again and again, in the middle of batches.
//!
//! Nothing is lost, nothing counted twice, nothing stuck.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::support::{TestServer, assert_sums, id, number, times};

/// How often the server is killed.
const KILLS: u32 = 20;
/// Items of one batch.
const ITEMS: u64 = 3_000;

#[tokio::test]
async fn nothing_is_lost_and_nothing_counted_twice() {
    let mut server = TestServer::start().await;
    // The seed is fixed: which moments are hit still differs with the machine.
    let mut random = StdRng::seed_from_u64(7);
    let mut batches = vec![batch(&server, 0).await];
    let mut revs: BTreeMap<String, u64> = BTreeMap::new();
    for round in 1..=times(KILLS) {
        tokio::time::sleep(Duration::from_millis(random.random_range(20..250))).await;
        server.kill().await;
        server.spawn().await;
        for batch in &batches {
            let now = server.get(&format!("/batches/{}", id(batch))).await.ok();
            assert_sums(&now);
            assert_eq!(number(&now, "total"), ITEMS, "what was answered is there: {now}");
            let last = revs.entry(id(batch).to_owned()).or_default();
            assert!(number(&now, "rev") >= *last, "rev never goes back");
            *last = number(&now, "rev");
        }
        if round % 5 == 0 {
            batches.push(batch(&server, u64::from(round)).await);
        }
    }
    for batch in &batches {
        let done = server.finished(batch).await;
        check(&server, &done).await;
    }
}

/// Lines and numbers by turns, with some failures and retries among them.
async fn batch(server: &TestServer, round: u64) -> Value {
    let params = json!({"duration_ms": 2, "fail_rate": 0.01, "fail_attempts": 1});
    if round.is_multiple_of(2) {
        let lines: Vec<String> = (1..=ITEMS).map(|number| format!("{round}-{number}")).collect();
        let body =
            json!({"task": "demo", "params": params, "options": {"retry_base_ms": 20}, "items": lines});
        return server.post_json("/batches", &body).await.ok();
    }
    server.demo(ITEMS, params).await
}

/// Every item ended exactly once, and the counters are what the rows say.
async fn check(server: &TestServer, done: &Value) {
    let rows = server.rows(done).await;
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(number(row, "seq"), at as u64 + 1, "each once, in order");
        *states.entry(row["state"].as_str().unwrap()).or_default() += 1;
        if row["state"] == "failed" {
            // Only an item that was in a slot when the server was killed may fail for it.
            let error = row["error"].as_str().unwrap_or_default();
            let history = server.get(&format!("/batches/{}/items/{}", id(done), row["seq"])).await.ok();
            let lost =
                history["history"].as_array().unwrap().iter().filter(|a| a["outcome"] == "lost").count();
            assert!(lost >= 2, "{error}: {history}");
        }
    }
    assert_eq!(rows.len() as u64, ITEMS);
    for state in ["succeeded", "failed", "cancelled"] {
        assert_eq!(states.get(state).copied().unwrap_or(0), number(done, state), "{state} of {done}");
    }
    assert_eq!(number(done, "succeeded") + number(done, "failed"), ITEMS);
}
