//! Fallback connections that read nothing, ask for much, or meet a fault.
//!
//! What a client does not take is not made; nobody waits for a client that asks for much; every topic is answered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::live_client::LiveClient;
use super::support::plain::Plain;
use super::support::process::{MIB, figure, resident_bytes};
use super::support::{PATIENCE, TestServer, id, send};

/// Items of the batch, and bytes of each.
const ITEMS: usize = 1_500;
const INPUT_BYTES: usize = 4_000;
/// Overlapping windows that each connection asks for.
const WINDOWS: usize = 200;
/// Connections of each kind that read nothing.
const UNREAD: usize = 6;
/// What the server may hold more than before, for all of them.
const GROWTH_MAX: u64 = 80 * MIB;
/// Longest wait for an answer beside them.
const ANSWER_MAX: Duration = Duration::from_secs(15);

async fn batch(server: &TestServer) -> Value {
    let items: Vec<String> = (0..ITEMS).map(|at| format!("{at:INPUT_BYTES$}")).collect();
    let batch = server.post_json("/batches", &json!({"task": "demo", "items": items})).await.ok();
    server.finished(&batch).await
}

fn windows(batch: &Value) -> Vec<String> {
    (0..WINDOWS).map(|at| format!("batch/{}/items/{}-{}", id(batch), at * 5 + 1, at * 5 + 500)).collect()
}

fn query(topics: &[String]) -> String {
    topics.iter().map(|topic| format!("topic={topic}")).collect::<Vec<_>>().join("&")
}

async fn unread(server: &TestServer, path: &str, token: &str) -> Plain {
    let mut plain = Plain::dial_narrow(server).await;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        server.authority()
    );
    assert!(plain.send(head.as_bytes()).await);
    assert_eq!(plain.status().await, 200);
    plain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_told_nothing() {
    let server = TestServer::start().await;
    let batch = batch(&server).await;
    let query = query(&windows(&batch));
    let viewer = server.make_token("viewer", "viewer").await;
    let before = resident_bytes(&server);
    let mut held = Vec::new();
    for _client in 0..UNREAD {
        held.push(unread(&server, &format!("/live/events?{query}"), &viewer).await);
        held.push(unread(&server, &format!("/live/frames?{query}"), &viewer).await);
    }
    let places = figure(&server, "milepost_live_connections").await.unwrap();
    assert!(places as usize == held.len(), "a poll holds a place too: {places}");
    // Somebody else is told all they ask for meanwhile, and the unread have had time to be told too much.
    let mut client = LiveClient::connect(&server).await;
    let mut most = 0;
    for topic in windows(&batch).iter().take(6) {
        client.subscribe(topic, None).await;
        let known = tokio::time::timeout(ANSWER_MAX, client.until(topic, |known| known.snapshots == 1)).await;
        assert_eq!(known.expect("an answer").rows.len(), 500);
        most = most.max(resident_bytes(&server));
    }
    let grown = most.saturating_sub(before);
    drop((held, client));
    let deadline = Instant::now() + PATIENCE;
    while figure(&server, "milepost_live_connections").await != Some(0.0) {
        assert!(Instant::now() < deadline, "places are given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{} MiB before, {} more at most, {} after",
        before / MIB,
        grown / MIB,
        resident_bytes(&server) / MIB
    );
    assert!(grown <= GROWTH_MAX, "{grown} bytes for clients that read nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_much_holds_nobody_else_up() {
    let server = TestServer::start().await;
    let batch = batch(&server).await;
    let query = query(&windows(&batch));
    let viewer = server.make_token("viewer", "viewer").await;
    let mut polls = Vec::new();
    for _poll in 0..50 {
        polls.push(unread(&server, &format!("/live/frames?{query}"), &viewer).await);
    }
    let reading: Vec<_> = polls.into_iter().map(|poll| tokio::spawn(poll.drained())).collect();
    let mut client = LiveClient::connect(&server).await;
    client.subscribe(&format!("batch/{}", id(&batch)), None).await;
    let topic = format!("batch/{}", id(&batch));
    let answered = tokio::time::timeout(ANSWER_MAX, client.until(&topic, |known| known.snapshots == 1)).await;
    answered.expect("a socket of somebody else is answered");
    let listed = tokio::time::timeout(ANSWER_MAX, server.get("/batches")).await;
    listed.expect("and so is a list").ok();
    reading.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The frames of one poll.
async fn polled(server: &TestServer, asked: &[(String, Option<u64>)]) -> Vec<Value> {
    let mut query = String::new();
    for (topic, rev) in asked {
        query.push_str(&format!("&topic={topic}"));
        if let Some(rev) = rev {
            query.push_str(&format!("&rev={rev}"));
        }
    }
    let url = format!("{}/live/frames?hz=1{query}", server.base);
    let reply = send(server.client.get(url).bearer_auth(&server.token)).await;
    assert!(reply.text.len() < 8 * 1024 * 1024, "{} bytes in one poll", reply.text.len());
    reply.ok().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_poll_comes_whole_however_it_is_encoded() {
    let server = TestServer::start().await;
    let batch = batch(&server).await;
    let url = format!("{}/live/frames?{}", server.base, query(&windows(&batch)[..2]));
    for encoding in ["identity", "gzip", "br", "gzip, deflate, br, zstd"] {
        let request = server.client.get(&url).bearer_auth(&server.token).header("accept-encoding", encoding);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers().contains_key("content-encoding"), encoding != "identity", "{encoding}");
        answer.bytes().await.unwrap_or_else(|fault| panic!("{encoding}: the answer breaks off: {fault}"));
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test]
async fn what_does_not_fit_into_a_poll_comes_with_the_next() {
    let server = TestServer::start().await;
    let batch = batch(&server).await;
    let mut asked: Vec<(String, Option<u64>)> =
        windows(&batch).into_iter().take(10).map(|topic| (topic, None)).collect();
    asked.push(("nonsense".to_owned(), None));
    let mut polls = 0;
    let mut refused = false;
    while asked.iter().any(|(topic, rev)| rev.is_none() && topic != "nonsense") {
        polls += 1;
        assert!(polls <= 10, "each poll leads on: {asked:?}");
        let frames = polled(&server, &asked).await;
        assert!(frames[0].get("welcome").is_some());
        for frame in &frames[1..] {
            if let Some(error) = frame.get("error") {
                assert_eq!((&error["topic"], &error["code"]), (&json!("nonsense"), &json!("not_found")));
                refused = true;
                continue;
            }
            let body = frame.get("snapshot").or(frame.get("update")).unwrap();
            let topic = body["topic"].as_str().unwrap();
            let known = asked.iter_mut().find(|(name, _)| name == topic).unwrap();
            known.1 = body["rev"].as_u64();
        }
    }
    assert!(polls > 1, "ten windows of two megabytes do not fit into one");
    asked.retain(|(topic, _)| topic != "nonsense");
    let frames = polled(&server, &asked).await;
    assert_eq!(frames.len(), asked.len() + 1, "all that is shown is confirmed at once");
    assert!(refused || polls == 1, "the refusal came with one of them");
}

#[tokio::test]
async fn rows_that_are_kept_for_listeners_are_bounded() {
    let server = TestServer::start().await;
    let batch = batch(&server).await;
    let mut client = LiveClient::connect(&server).await;
    let mut refused = 0;
    for topic in windows(&batch).iter().take(30) {
        client.subscribe(topic, None).await;
        loop {
            let frame = client.next().await.expect("it lives");
            if frame["snapshot"]["topic"] == topic.as_str() {
                break;
            }
            if frame["error"]["topic"] == topic.as_str() {
                assert_eq!(frame["error"]["code"], "too_many");
                refused += 1;
                break;
            }
        }
    }
    assert!((1..30).contains(&refused), "{refused} of 30 windows of two megabytes are refused");
    // Who leaves some can have others.
    for topic in windows(&batch).iter().take(30) {
        client.send(&json!({"unsubscribe": {"topic": topic}})).await;
    }
    let last = windows(&batch).pop().unwrap();
    client.subscribe(&last, None).await;
    client.until(&last, |known| known.snapshots == 1).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_read_that_panics_is_answered() {
    let mut server = TestServer::prepare(&[]).await;
    assert!(server.spawn_with(&[("FAILPOINTS", "window.read=panic(as told)")]).await);
    let batch = server.demo(3, json!({})).await;
    let topic = format!("batch/{}/items/1-3", id(&batch));
    let mut client = LiveClient::connect(&server).await;
    client.subscribe(&topic, None).await;
    let frame = client.next().await.expect("it lives");
    assert_eq!((&frame["error"]["topic"], &frame["error"]["code"]), (&json!(topic), &json!("internal")));
    // It goes on.
    client.subscribe("nodes", None).await;
    client.until("nodes", |known| known.snapshots == 1).await;

    let frames = polled(&server, &[(topic.clone(), None), ("nodes".to_owned(), None)]).await;
    assert_eq!(frames[1]["error"]["code"], "internal", "{frames:?}");
    assert_eq!(frames[2]["snapshot"]["topic"], "nodes", "{frames:?}");

    let mut events = unread(&server, &format!("/live/events?topic={topic}&topic=nodes"), &server.token).await;
    let came = async {
        let mut rest = String::new();
        while !(rest.contains(r#""code":"internal""#) && rest.contains(r#"{"snapshot":{"topic":"nodes""#)) {
            assert!(events.sip().await, "it ended: {rest}");
            rest = events.came();
        }
    };
    tokio::time::timeout(PATIENCE, came).await.expect("an error, then the other topic");
}
