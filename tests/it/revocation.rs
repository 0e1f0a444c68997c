//! Uploads and downloads under way when the right to come in is taken away.
//!
//! Within about a second no more of a body becomes an item and no more of an answer leaves, whatever carries it and
//! however it is taken; a batch whose upload was cut ends cancelled with the reason.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::plain::Plain;
use super::support::process::holds;
use super::support::{PATIENCE, TestServer, id, number, send};

/// `{"columns":{"a":"integer"}}` in a query.
const AGES: &str = "%7B%22columns%22%3A%7B%22a%22%3A%22integer%22%7D%7D";

/// Within this everything has ended, on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(1);
/// For a loaded machine.
const GRACE: Duration = Duration::from_secs(4);
/// Rows of the batch whose results are downloaded: far more than the system buffers.
const ROWS: u64 = 30_000;

/// The uploads that make a batch at once, named after them.
const NAMED: [&str; 4] = ["text", "ndjson", "csv", "form"];

const TASKS: &str = r#"
[[task]]
name = "big"
input = "line"
command = ["dd", "if=/dev/zero", "of={out}/big", "bs=1M", "count=24", "status=none"]
"#;

/// What there is to download.
struct Downloads {
    rows: String,
    files: String,
}

async fn prepared(server: &TestServer) -> Downloads {
    let rows = server.demo(ROWS, json!({})).await;
    let files = server.post_json("/batches", &json!({"task": "big", "items": ["x"]})).await.ok();
    let rows = id(&server.finished(&rows).await).to_owned();
    let files = server.finished(&files).await;
    assert_eq!(number(&files, "succeeded"), 1, "{files}");
    Downloads { rows, files: id(&files).to_owned() }
}

/// What somebody has under way.
struct UnderWay {
    uploads: Vec<(&'static str, Plain)>,
    answers: Vec<(String, Plain)>,
}

/// Begins all of it, with these headers to come in by; batches are named after `round`.
async fn begun(server: &TestServer, there: &Downloads, open: &Value, headers: &str, round: &str) -> UnderWay {
    let host = server.authority();
    let announced = asked(server, headers, "/uploads", &json!({"name": "a", "bytes": 100})).await;
    let mut uploads = Vec::new();
    for (kind, method, path, content_type, first) in [
        ("text", "POST", format!("/batches?task=demo&name=text-{round}"), "text/plain", "1\n2\n3\n"),
        (
            "ndjson",
            "POST",
            format!("/batches?task=demo&name=ndjson-{round}"),
            "application/x-ndjson",
            "1\n2\n3\n",
        ),
        (
            "csv",
            "POST",
            format!("/batches?task=csv-check&params={AGES}&name=csv-{round}"),
            "text/csv",
            "a\n1\n2\n3\n",
        ),
        ("append", "POST", format!("/batches/{}/items?first_seq=1", id(open)), "text/plain", "1\n2\n3\n"),
        ("json", "POST", "/batches".to_owned(), "application/json", "{\"task\":\"demo\","),
        (
            "piece",
            "PATCH",
            format!("/uploads/{}", announced["id"].as_str().unwrap()),
            "application/offset+octet-stream",
            "1234567",
        ),
        (
            "form",
            "POST",
            "/batches".to_owned(),
            "multipart/form-data; boundary=b",
            &*format!(
                "--b\r\nContent-Disposition: form-data; name=\"task\"\r\n\r\nchecksum\r\n--b\r\n\
             Content-Disposition: form-data; name=\"name\"\r\n\r\nform-{round}\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\nx"
            ),
        ),
    ] {
        let mut plain = Plain::dial(server).await;
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\n{headers}Content-Type: {content_type}\r\n\
             Upload-Offset: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            server.base
        );
        assert!(plain.send(head.as_bytes()).await && plain.chunk(first.as_bytes()).await);
        uploads.push((kind, plain));
    }
    let window = format!("topic=batch/{}/items/1-500", there.rows);
    let mut answers = Vec::new();
    for path in [
        format!("/api/v1/batches/{}/results?format=ndjson", there.rows),
        format!("/api/v1/batches/{}/results?format=csv", there.rows),
        format!("/api/v1/batches/{}/results?format=zip", there.rows),
        format!("/api/v1/batches/{}/items/1/files/big", there.files),
        format!("/live/events?{}", [window.as_str(); 40].join("&")),
        format!("/live/frames?{}", [window.as_str(); 40].join("&")),
        "/live/events?topic=nodes".to_owned(),
    ] {
        let mut plain = Plain::dial_narrow(server).await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        assert!(plain.send(head.as_bytes()).await);
        assert_eq!(plain.status().await, 200, "{path}");
        answers.push((path, plain));
    }
    // All that came first has been taken: the uploads have begun.
    for (kind, _) in &uploads {
        let deadline = Instant::now() + PATIENCE;
        while NAMED.contains(kind) && server.named(&format!("{kind}-{round}")).await.is_none() {
            assert!(Instant::now() < deadline, "{kind} never began");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    UnderWay { uploads, answers }
}

/// All of it has ended, soon.
async fn has_ended(server: &TestServer, under_way: UnderWay, open: &Value, round: &str) {
    let gone_at = Instant::now();
    let UnderWay { uploads, mut answers } = under_way;
    for (kind, upload) in uploads {
        let told = upload.drained().await;
        let waited = gone_at.elapsed();
        assert!(told.starts_with("HTTP/1.1 401"), "{kind}: {told}");
        assert!(told.contains("may no longer come in"), "{kind}: {told}");
        assert!(waited < SOON + GRACE, "{kind} after {waited:?}");
    }
    // Nobody has read the answers: only the server can have ended them.
    for (path, answer) in &mut answers {
        // A stream of events that is read ends by itself; its connection may be asked for something else.
        let reads_on = path.as_str() == "/live/events?topic=nodes";
        while holds(server, answer.port()) && !(reads_on && answer.came().ends_with("0\r\n\r\n")) {
            if reads_on {
                let _sip = tokio::time::timeout(Duration::from_millis(100), answer.sip()).await;
                assert!(gone_at.elapsed() < SOON + GRACE, "{path} goes on");
                continue;
            }
            assert!(gone_at.elapsed() < SOON + GRACE, "{path} is still held");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("all has ended after {:?}", gone_at.elapsed());
    for (path, answer) in answers {
        if path == "/live/events?topic=nodes" {
            continue;
        }
        let came = answer.drained().await;
        let is_events = path.starts_with("/live/events");
        assert!(is_events || !came.ends_with("0\r\n\r\n"), "{path} passes for whole");
    }
    for kind in NAMED {
        let batch =
            server.named(&format!("{kind}-{round}")).await.unwrap_or_else(|| panic!("no batch of {kind}"));
        let batch = server.finished(&batch).await;
        assert_eq!(batch["state"], "cancelled", "{kind}: {batch}");
        let reason = batch["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("may no longer come in"), "{kind}: {batch}");
        assert!(number(&batch, "total") <= 3, "{kind}: {batch}");
    }
    let appended = server.get(&format!("/batches/{}", id(open))).await.ok();
    assert_eq!(
        (&appended["sealed"], number(&appended, "total")),
        (&json!(false), 3),
        "it goes on: {appended}"
    );
}

async fn open_batch(server: &TestServer, by: &str) -> Value {
    asked(server, by, "/batches", &json!({"task": "demo", "options": {"open": true}})).await
}

/// What a POST by these headers is answered.
async fn asked(server: &TestServer, by: &str, path: &str, body: &Value) -> Value {
    let request = server.client.post(server.url(path)).json(body);
    let mut headers = reqwest::header::HeaderMap::new();
    let (name, value) = by.trim_end().split_once(": ").unwrap();
    let name: reqwest::header::HeaderName = name.parse().unwrap();
    headers.insert(name, value.parse().unwrap());
    send(request.headers(headers).header("origin", &server.base)).await.ok()
}

/// Somebody comes in by `headers`, has all of it under way, and is sent away.
async fn sent_away(
    server: &TestServer,
    there: &Downloads,
    headers: &str,
    round: &str,
    taken_away: impl AsyncFnOnce(),
) {
    let open = open_batch(server, headers).await;
    let under_way = begun(server, there, &open, headers, round).await;
    taken_away().await;
    has_ended(server, under_way, &open, round).await;
}

async fn all_ways(server: TestServer) {
    let there = prepared(&server).await;
    let token = server.make_token("short", "operator").await;
    sent_away(&server, &there, &format!("Authorization: Bearer {token}\r\n"), "token", async || {
        assert!(server.runs(&["token", "revoke", "short", "--data", "data"], &[]).await);
    })
    .await;
    server.add_person("bob", "operator").await;
    let cookie = server.sign_in("bob").await;
    sent_away(&server, &there, &format!("Cookie: {cookie}\r\n"), "logout", async || {
        let logout = server.client.post(format!("{}/logout", server.base)).header("origin", &server.base);
        assert!(send(logout.header("cookie", &cookie)).await.status.is_success());
    })
    .await;
    let cookie = server.sign_in("bob").await;
    sent_away(&server, &there, &format!("Cookie: {cookie}\r\n"), "disable", async || {
        assert!(server.runs(&["user", "disable", "bob", "--data", "data"], &[]).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_ends_with_the_right_to_it() {
    let mut server = TestServer::bare(&[("MILEPOST_CONFIG", "milepost.toml")]);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    all_ways(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database();
    let mut server =
        TestServer::bare(&[("MILEPOST_CONFIG", "milepost.toml"), ("MILEPOST_DATABASE_URL", url.as_str())]);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    all_ways(server).await;
}
