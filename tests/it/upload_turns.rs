//! Several requests fill one batch at once: each waits for those before it, and nothing is out of order or there twice.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{TestServer, id, number};

async fn open(server: &TestServer) -> Value {
    let body = json!({"task": "demo", "items": [], "options": {"open": true}});
    server.post_json("/batches", &body).await.ok()
}

async fn in_order(server: &TestServer) {
    let batch = open(server).await;
    let part = |at: usize| {
        let path = format!("/batches/{}/items?first_seq={}&wait_seconds=30", id(&batch), at * 3 + 1);
        let items: Vec<usize> = (at * 3 + 1..=at * 3 + 3).collect();
        async move { server.post_json(&path, &json!({"items": items})).await.ok() }
    };
    // The last is asked first.
    let answers = join_all((0..6).rev().map(part)).await;
    let most = answers.iter().map(|answer| number(answer, "total")).max();
    assert_eq!(most, Some(18));
    server.post(&format!("/batches/{}/seal", id(&batch))).await.ok();
    assert_eq!(number(&server.finished(&batch).await, "succeeded"), 18);
    let expected: Vec<Value> = (1..=18).map(Value::from).collect();
    assert_eq!(server.inputs(&batch).await, expected);
}

#[tokio::test]
async fn parts_that_come_at_once_stand_in_their_order() {
    in_order(&TestServer::start().await).await;
}

#[tokio::test]
async fn parts_that_come_at_once_stand_in_their_order_on_postgres() {
    let Some(cluster) = Cluster::own() else { return };
    in_order(&TestServer::start_on(Some(&cluster), &[]).await.expect("there is a cluster")).await;
}

#[tokio::test]
async fn a_turn_that_does_not_come_is_refused_with_the_total() {
    let server = TestServer::start().await;
    let batch = open(&server).await;
    let path = |first: u64, seconds: u64| {
        format!("/batches/{}/items?first_seq={first}&wait_seconds={seconds}", id(&batch))
    };
    let late = server.post_json(&path(3, 1), &json!({"items": ["c"]})).await;
    assert_eq!(late.problem(409, "wrong_first_seq")["total"], 0);
    let once = server.post_json(&path(2, 0), &json!({"items": ["b"]})).await;
    assert_eq!(once.problem(409, "wrong_first_seq")["total"], 0);
    server.post_json(&path(1, 30), &json!({"items": ["a", "b"]})).await.ok();
    let again = server.post_json(&path(1, 30), &json!({"items": ["a", "b"]})).await;
    assert_eq!(again.problem(409, "wrong_first_seq")["total"], 2, "what is there is not waited for");
}

#[tokio::test]
async fn what_waits_for_its_turn_is_told_of_the_end() {
    let server = TestServer::start().await;
    let batch = open(&server).await;
    let path = format!("/batches/{}/items?first_seq=5&wait_seconds=60", id(&batch));
    let (body, sealed) = (json!({"items": ["e"]}), format!("/batches/{}/seal", id(&batch)));
    let waits = server.post_json(&path, &body);
    let (answer, _sealed) = tokio::join!(waits, server.post(&sealed));
    answer.problem(409, "wrong_state");
}
