//! What items leave as files is bounded: for each item, for the batch, and in the time that it takes to take them in.
//!
//! A sparse file of a terabyte takes no room and a quarter of an hour to read: whoever reads it is found out here.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{PATIENCE, TestServer, id, number};

/// 2^50, so that a terabyte is not refused for its length.
const TASKS: &str = r#"
[[task]]
name = "usual"
input = "line"
command = ["truncate", "-s", "{line}", "{out}/big"]

[[task]]
name = "vast"
input = "line"
command = ["truncate", "-s", "{line}", "{out}/big"]
limits = { files_bytes_max = 1_125_899_906_842_624 }
"#;

async fn start(settings: &[(&str, &str)]) -> TestServer {
    let settings: Vec<_> = settings.iter().copied().chain([("MILEPOST_CONFIG", "milepost.toml")]).collect();
    let mut server = TestServer::bare(&settings);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    server
}

async fn submitted(server: &TestServer, task: &str, items: &[&str], options: Value) -> Value {
    server.post_json("/batches", &json!({"task": task, "items": items, "options": options})).await.ok()
}

async fn item(server: &TestServer, batch: &Value, seq: u64) -> Value {
    server.get(&format!("/batches/{}/items/{seq}", id(batch))).await.ok()
}

#[tokio::test]
async fn a_sparse_terabyte_is_refused_by_its_length() {
    let server = start(&[]).await;
    let batch = submitted(&server, "usual", &["1T", "300K"], json!({})).await;
    let batch = server.finished(&batch).await;
    assert_eq!((number(&batch, "succeeded"), number(&batch, "failed")), (1, 1), "{batch}");
    let refused = item(&server, &batch, 1).await;
    let told = "The files of the item have 1099511627776 bytes; 17179869184 are allowed.";
    assert_eq!((&refused["error"], number(&refused, "attempts")), (&json!(told), 1), "{refused}");
    assert_eq!(item(&server, &batch, 2).await["files"][0]["bytes"], 300 * 1024);
}

#[tokio::test]
async fn the_bound_for_an_item_can_be_set_for_all_tasks() {
    let server = start(&[("MILEPOST_LIMITS_FILES_BYTES_PER_ITEM_MAX", "1000")]).await;
    let batch = server.finished(&submitted(&server, "usual", &["1001", "1000"], json!({})).await).await;
    let refused = item(&server, &batch, 1).await;
    assert_eq!(refused["error"], "The files of the item have 1001 bytes; 1000 are allowed.", "{refused}");
    assert_eq!(item(&server, &batch, 2).await["state"], "succeeded");
    // A task that says otherwise goes before.
    let batch = server.finished(&submitted(&server, "vast", &["1001"], json!({})).await).await;
    assert_eq!(batch["state"], "succeeded", "{batch}");
}

#[tokio::test]
async fn the_time_limit_holds_while_files_are_taken_in() {
    let server = start(&[("MILEPOST_LIMITS_FILES_BYTES_PER_BATCH_MAX", "9007199254740992")]).await;
    let begun = Instant::now();
    let options = json!({"timeout_seconds": 2, "attempts_max": 1});
    let batch = server.finished(&submitted(&server, "vast", &["1T"], options).await).await;
    println!("ended after {:?}", begun.elapsed());
    let ended = item(&server, &batch, 1).await;
    assert_eq!(ended["error"], "The time limit of 2 s passed.", "{ended}");
    assert_eq!(ended["history"][0]["outcome"], "timed_out", "{ended}");
    assert_eq!(ended["files"], json!([]), "nothing of it was kept");
    // Nor does anything read on, or stay behind.
    let batch = server.finished(&submitted(&server, "vast", &["10"], json!({})).await).await;
    assert_eq!(batch["state"], "succeeded", "{batch}");
    let drafts = server.folder.path().join("data/files/tmp");
    let deadline = Instant::now() + PATIENCE;
    while std::fs::read_dir(&drafts).unwrap().next().is_some() {
        assert!(Instant::now() < deadline, "a draft stays behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cancel_ends_the_taking_in_of_files() {
    let server = start(&[("MILEPOST_LIMITS_FILES_BYTES_PER_BATCH_MAX", "9007199254740992")]).await;
    let batch = submitted(&server, "vast", &["1T"], json!({"timeout_seconds": 86_400})).await;
    // Its file has been moved in as a draft: it is being read.
    let drafts = server.folder.path().join("data/files/tmp");
    let deadline = Instant::now() + PATIENCE;
    while std::fs::read_dir(&drafts).unwrap().next().is_none() {
        assert!(Instant::now() < deadline, "nothing is taken in");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cancelled_at = Instant::now();
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    let batch = server.finished(&batch).await;
    println!("cancelled after {:?}", cancelled_at.elapsed());
    assert_eq!(batch["state"], "cancelled", "{batch}");
    assert_eq!(number(&batch, "cancelled"), 1, "{batch}");
}

#[tokio::test]
async fn the_files_of_a_batch_are_bounded_all_told() {
    let server = start(&[("MILEPOST_LIMITS_FILES_BYTES_PER_BATCH_MAX", "1000")]).await;
    let items = ["300"; 20];
    let batch = server.finished(&submitted(&server, "usual", &items, json!({})).await).await;
    assert_eq!((number(&batch, "succeeded"), number(&batch, "failed")), (3, 17), "{batch}");
    let failed = server.get(&format!("/batches/{}/items?state=failed", id(&batch))).await.ok();
    let told = "With its files those of the batch would have 1200 bytes; 1000 are allowed.";
    let first = &failed["items"][0];
    let error = first["error"].as_str().unwrap();
    assert!(error.starts_with("With its files") && error.ends_with("1000 are allowed."), "{error}");
    assert_eq!(number(first, "attempts"), 1, "to try again would change nothing: {first}");

    // One by one it fails with the exact sum, again after a retry; and what a retry gives back can be used again.
    let one = json!({"concurrency": 1});
    let batch = server.finished(&submitted(&server, "usual", &["300"; 4], one).await).await;
    assert_eq!(item(&server, &batch, 4).await["error"], told);
    let retry = format!("/batches/{}/retry", id(&batch));
    server.post_json(&retry, &json!({"states": ["failed"]})).await.ok();
    let batch = server.finished(&batch).await;
    assert_eq!(item(&server, &batch, 4).await["error"], told);
    let again = server.finished(&submitted(&server, "usual", &["300"; 3], json!({})).await).await;
    assert_eq!(again["state"], "succeeded", "each batch has a bound of its own: {again}");
}

#[tokio::test]
async fn the_start_of_a_file_is_plain_text_whatever_it_is() {
    let server = start(&[]).await;
    let batch = server.finished(&submitted(&server, "usual", &["300K", "9"], json!({})).await).await;
    let file = |seq: u64, query: &str| format!("/batches/{}/items/{seq}/files/big{query}", id(&batch));
    for (seq, bytes) in [(1, 65_536), (2, 9)] {
        let text = server.get(&file(seq, "?side=output&as=text")).await;
        assert_eq!((text.status.as_u16(), text.text.len()), (200, bytes));
        assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(text.header("x-content-type-options"), "nosniff");
        assert_eq!(text.header("x-frame-options"), "SAMEORIGIN");
        let policy = text.header("content-security-policy");
        assert!(policy.starts_with("sandbox;") && policy.contains("default-src 'none'"), "{policy}");
    }
    server.get(&file(1, "?as=html")).await.problem(400, "malformed");
    server.get(&file(1, "?side=both")).await.problem(400, "malformed");
    server.get(&file(1, "?side=input")).await.problem(404, "not_found");
    assert!(server.get(&file(2, "")).await.header("content-disposition").starts_with("attachment"));
}

/// What runs says since when, to whoever asks on its node, and live on any node.
async fn says_since_when(server: &TestServer) {
    let batch = server.demo(1, json!({"duration_ms": 60_000, "steps": 600})).await;
    let path = format!("/batches/{}/items/1", id(&batch));
    let deadline = Instant::now() + PATIENCE;
    let item = loop {
        let item = server.get(&path).await.ok();
        if item["state"] == "running" && !item["started_at"].is_null() {
            break item;
        }
        assert!(Instant::now() < deadline, "{item}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(item["started_at"].as_str() >= batch["created_at"].as_str(), "{item} of {batch}");
    let nodes = server.get("/nodes").await.ok();
    let work = nodes["nodes"].as_array().unwrap().iter().find_map(|node| node["work"].get(0)).unwrap();
    assert_eq!((&work["seq"], &work["started_at"]), (&json!(1), &item["started_at"]), "{nodes}");
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    server.finished(&batch).await;
    assert!(server.get(&path).await.ok()["started_at"].is_null());
}

#[tokio::test]
async fn what_runs_says_since_when() {
    says_since_when(&TestServer::start().await).await;
}

#[tokio::test]
async fn what_runs_says_since_when_on_postgres_too() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    says_since_when(&server).await;
}
