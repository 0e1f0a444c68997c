//! Who hears what, and for how long.
//!
//! What takes away the right to come in takes away the connection, soon; what may not be seen answers as what is not
//! there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::live_client::LiveClient;
use super::support::raw_frames::RawMessage;
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{TestServer, id, number, send};

/// Within this a connection ends that may no longer be.
const SOON: Duration = Duration::from_secs(2);
/// For a loaded machine.
const GRACE: Duration = Duration::from_secs(3);
const UNKNOWN: &str = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";

/// A live connection with these headers, after its welcome.
async fn enter(server: &TestServer, headers: &str) -> RawWebSocket {
    let mut wire = RawWebSocket::dial(server).await;
    let (status, answer) = wire.ask(&head(server.authority(), headers)).await;
    assert_eq!(status, 101, "{answer}");
    let first = wire.receive().await;
    assert!(matches!(&first, RawMessage::Text(text) if text.starts_with("{\"welcome\":")), "{first:?}");
    wire
}

/// It is told to sign in, soon; and whoever tries again, too.
async fn is_cut_off(server: &TestServer, mut wire: RawWebSocket, headers: &str) {
    let begun = Instant::now();
    let end = wire.exchange(&[], |_heard| false).await;
    let waited = begun.elapsed();
    assert!(matches!(end, RawMessage::Close { code: Some(4401), .. }), "{end:?}");
    assert!(waited < SOON + GRACE, "{waited:?}");
    wire.part().await;
    let mut again = RawWebSocket::dial(server).await;
    let (status, answer) = again.ask(&head(server.authority(), headers)).await;
    assert_eq!(status, 101, "so that a page can tell: {answer}");
    let end = again.receive().await;
    assert!(matches!(end, RawMessage::Close { code: Some(4401), .. }), "{end:?}");
    again.part().await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_takes_the_connection() {
    let server = TestServer::start().await;
    let mut stays = LiveClient::connect(&server).await;

    let headers = bearer(&server.make_token("short", "viewer").await);
    let wire = enter(&server, &headers).await;
    assert!(server.runs(&["token", "revoke", "short", "--data", "data"], &[]).await);
    is_cut_off(&server, wire, &headers).await;

    server.add_person("bob", "operator").await;
    let browser = async |cookie: String| format!("Origin: {}\r\nCookie: {cookie}\r\n", server.base);
    let headers = browser(server.sign_in("bob").await).await;
    let wire = enter(&server, &headers).await;
    let cookie = headers.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap();
    let other = browser(server.sign_in("bob").await).await;
    let mut other_wire = enter(&server, &other).await;
    let logout = server.client.post(format!("{}/logout", server.base));
    let left = send(logout.header("cookie", cookie).header("origin", &server.base)).await;
    assert!(left.status.is_success(), "{left:?}");
    is_cut_off(&server, wire, &headers).await;

    // Another browser of the same person is still signed in, until the person is disabled.
    let words = super::support::raw_frames::text(r#"{"subscribe":{"topic":"nodes"}}"#);
    let answer = other_wire.exchange(&words, |heard| matches!(heard, RawMessage::Text(_))).await;
    assert!(matches!(answer, RawMessage::Text(_)), "{answer:?}");
    assert!(server.runs(&["user", "disable", "bob", "--data", "data"], &[]).await);
    is_cut_off(&server, other_wire, &other).await;

    stays.subscribe("nodes", None).await;
    stays.until("nodes", |known| known.rows.len() == 1).await;
}

/// Subscribes and reads the answer.
async fn answer(client: &mut LiveClient, topic: &str) -> Value {
    client.subscribe(topic, None).await;
    loop {
        let frame = client.next().await.expect("it lives");
        let of = ["snapshot", "update", "error"].iter().find_map(|kind| frame[*kind]["topic"].as_str());
        if of == Some(topic) {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_private_batch_is_not_there_for_others() {
    let server = TestServer::start().await;
    let (ada, bob) = (server.make_token("ada", "operator").await, server.make_token("bob", "operator").await);
    let mut owner = LiveClient::connect_as(&server, &ada).await;
    let mut other = LiveClient::connect_as(&server, &bob).await;
    let mut admin = LiveClient::connect(&server).await;
    for client in [&mut owner, &mut other, &mut admin] {
        client.subscribe("batches", None).await;
        client.until("batches", |known| known.snapshots == 1).await;
    }
    let body = json!({"task": "demo", "params": {"duration_ms": 20, "fail_rate": 0.2}, "items": {"count": 200},
        "options": {"private": true, "attempts_max": 1}});
    let submit = server.client.post(server.url("/batches")).bearer_auth(&ada).json(&body);
    let private = send(submit).await.ok();

    for tail in ["", "/strip", "/families", "/pulse", "/items/1-100"] {
        let topic = format!("batch/{}{tail}", id(&private));
        assert_eq!(
            hidden(&mut other, &topic).await,
            hidden(&mut other, &topic.replace(id(&private), UNKNOWN)).await
        );
    }
    let item = format!("item/{}/1", id(&private));
    assert_eq!(
        hidden(&mut other, &item).await,
        hidden(&mut other, &item.replace(id(&private), UNKNOWN)).await
    );
    // Naming a `rev` tells no more.
    client_names_a_rev(&mut other, &private).await;

    let topic = format!("batch/{}", id(&private));
    for client in [&mut owner, &mut admin] {
        assert!(answer(client, &topic).await.get("snapshot").is_some(), "seen by whoever may");
        client.until(&topic, |known| known.rows.values().all(|row| row["finished_at"].is_string())).await;
        client.until("batches", |known| known.rows.values().any(|row| row["id"] == private["id"])).await;
    }
    // One that all may see comes after: had the private one been told, it would have come before.
    let public = server.demo(1, json!({})).await;
    let known = other
        .until("batches", |known| {
            assert!(known.rows.values().all(|row| row["id"] != private["id"]), "it is not there");
            known.rows.values().any(|row| row["id"] == public["id"] && row["finished_at"].is_string())
        })
        .await;
    assert_eq!((known.rows.len(), known.snapshots), (1, 1));
    assert!(!other.topics.keys().any(|topic| topic.contains(id(&private))), "and nothing of it was told");
    assert!(number(&server.finished(&private).await, "failed") > 0);
}

/// The answer to a topic that is not there for the client: all of it but the name of the topic.
async fn hidden(client: &mut LiveClient, topic: &str) -> Value {
    let frame = answer(client, topic).await;
    let error = &frame["error"];
    assert_eq!(error["code"], "not_found", "{frame}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{frame}");
    json!({"code": error["code"], "message": error["message"]})
}

async fn client_names_a_rev(client: &mut LiveClient, private: &Value) {
    for rev in [number(private, "rev"), 0, u64::MAX] {
        client.subscribe(&format!("batch/{}", id(private)), Some(rev)).await;
        let frame = loop {
            let frame = client.next().await.expect("it lives");
            if frame.get("error").is_some() {
                break frame;
            }
            assert_eq!(frame["update"]["topic"], "batches", "{frame}");
        };
        assert_eq!(frame["error"]["code"], "not_found", "{frame}");
    }
}
