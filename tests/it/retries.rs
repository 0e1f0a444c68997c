//! A retry as something that can be looked at: what it took and what has come of it, in the API, live, on the page and in
//! the terminal, on both databases.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::live_client::LiveClient;
use super::support::{TestServer, id, number, send};

/// Items of the batch.
const ITEMS: u64 = 1_000;

/// The demonstration, quicker: every tenth fails, and a retry mends about half of those.
async fn demonstration(server: &TestServer) -> Value {
    let params = json!({"fail_rate": 0.1, "mend_rate": 0.5, "results": true});
    let body = json!({"task": "demo", "params": params, "options": {"attempts_max": 2, "retry_base_ms": 1},
        "items": {"count": ITEMS}});
    server.post_json("/batches", &body).await.ok()
}

async fn printed(server: &TestServer, arguments: &[&str]) -> String {
    let mut command = server.command(arguments);
    command.env("MILEPOST_URL", &server.base).env("MILEPOST_TOKEN", &server.token);
    let output = command.output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What the last retry has come to: items, and those that succeeded, failed and were cancelled.
fn counts(batch: &Value) -> [u64; 4] {
    ["items", "succeeded", "failed", "cancelled"].map(|member| number(&batch["retry"], member))
}

async fn a_retry_says_what_it_took_and_what_came_of_it(server: TestServer) {
    let batch = demonstration(&server).await;
    assert_eq!((&batch["retry"], &batch["rested_ms"]), (&Value::Null, &json!(0)));
    let first = server.finished(&batch).await;
    let failed = number(&first, "failed");
    assert!((60..140).contains(&failed), "{first}");
    assert_eq!(first["retry"], Value::Null, "the engine's second attempts are no retry");
    let path = format!("/batches/{}", id(&batch));
    let mut live = LiveClient::connect(&server).await;
    let topic = format!("batch/{}", id(&batch));
    live.subscribe(&topic, Some(number(&first, "rev"))).await;
    let answer = server.post(&format!("{path}/retry")).await.ok();
    assert_eq!((&answer["retry"]["by"], number(&answer["retry"], "items")), (&json!("token:admin"), failed));
    assert!(answer["retry"]["at"].as_str().unwrap().ends_with('Z'), "{answer}");

    let ended = server.until(&batch, "mended", |now| !now["finished_at"].is_null()).await;
    let [items, mended, again, cancelled] = counts(&ended);
    assert_eq!((items, mended + again, cancelled), (failed, failed, 0), "{ended}");
    assert!((failed * 3 / 10..=failed * 7 / 10).contains(&mended), "about half: {ended}");
    let ends = (number(&ended, "succeeded"), number(&ended, "failed"));
    assert_eq!(ends, (ITEMS - failed + mended, again));
    let told = live.until(&topic, |known| known.rows.values().any(|row| row["rev"] == ended["rev"])).await;
    assert_eq!(told.rows.values().next().unwrap()["retry"], ended["retry"]);

    // An item that it mended says so, and one of the first run does not.
    let rows = server.rows(&batch).await;
    let runs = |run: u64| rows.iter().filter(|row| row["result"]["run"] == run).count() as u64;
    assert_eq!((runs(1), runs(2)), (ITEMS - failed, mended));
    let words = format!("{mended} succeeded · {again} failed again");
    let html = send(
        server
            .client
            .get(format!("{}/batches/{}", server.base, id(&batch)))
            .bearer_auth(&server.token)
            .header("accept", "text/html,*/*"),
    )
    .await
    .text;
    assert!(html.contains(&format!("Retry of {failed} by token:admin, ")) && html.contains(&words), "{html}");
    let shown = printed(&server, &["show", id(&batch)]).await;
    assert!(shown.contains(&format!("retry      of {failed} by token:admin, ")), "{shown}");
    assert!(shown.contains(&words), "{shown}");
    let watched = printed(&server, &["watch", id(&batch)]).await;
    assert!(watched.contains(&format!("; retry of {failed}: {words}")), "{watched}");

    // A second one counts anew, and mends again about half of what is left.
    server.post(&format!("{path}/retry")).await.ok();
    let ended = server.finished(&batch).await;
    let [items, mended, left, _none] = counts(&ended);
    assert_eq!((items, mended + left), (again, again), "{ended}");
    assert!(mended > 0 && left > 0, "{ended}");
}

#[tokio::test]
async fn a_retry_says_what_came_of_it_on_sqlite() {
    a_retry_says_what_it_took_and_what_came_of_it(TestServer::start().await).await;
}

#[tokio::test]
async fn a_retry_says_what_came_of_it_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    a_retry_says_what_it_took_and_what_came_of_it(server).await;
}

#[tokio::test]
async fn a_cancel_and_a_retry_of_one_item_are_counted_too() {
    let server = TestServer::start().await;
    let params = json!({"duration_ms": 60_000});
    let body = json!({"task": "demo", "params": params, "items": {"count": 20}});
    let batch = server.post_json("/batches", &body).await.ok();
    let path = format!("/batches/{}", id(&batch));
    server.until(&batch, "runs", |now| number(now, "running") == 8).await;
    server.post(&format!("{path}/cancel")).await.ok();
    server.finished(&batch).await;
    server.post_json(&format!("{path}/retry"), &json!({"seqs": [3, 17]})).await.ok();
    let runs = server.until(&batch, "runs again", |now| number(now, "running") == 2).await;
    assert_eq!(counts(&runs), [2, 0, 0, 0]);
    server.post(&format!("{path}/cancel")).await.ok();
    let ended = server.finished(&batch).await;
    assert_eq!((counts(&ended), number(&ended, "cancelled")), ([2, 0, 0, 2], 20));
}

#[tokio::test]
async fn a_share_link_does_not_say_who_retried() {
    let server = TestServer::start().await;
    let batch = demonstration(&server).await;
    server.finished(&batch).await;
    let path = format!("/batches/{}", id(&batch));
    server.post(&format!("{path}/retry")).await.ok();
    let ended = server.finished(&batch).await;
    let link = server.post_json(&format!("{path}/shares"), &json!({})).await.ok();
    let mut live = LiveClient::connect_by_link(&server, link["path"].as_str().unwrap()).await;
    let topic = format!("batch/{}/progress", id(&batch));
    live.subscribe(&topic, None).await;
    let told = live.until(&topic, |known| !known.rows.is_empty()).await;
    let row = told.rows.values().next().unwrap();
    assert_eq!((&row["retry"]["by"], counts(row)), (&json!(""), counts(&ended)));
}
