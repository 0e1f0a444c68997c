//! What a program says, followed to every way out: list, item, live frames, NDJSON, CSV and pages.
//!
//! A value is shown and exported with the bytes in which the program wrote it, or the item fails and says why;
//! nothing is dropped.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{TestServer, id, number};

/// One program as a command and as a worker: each item is the line that it prints.
const TASKS: &str = r#"
[[task]]
name = "say"
input = "line"
command = ["python3", "-c", "import sys; sys.stdout.buffer.write(sys.argv[1].encode().replace(b'<F6>', b'\\xf6') + b'\\n')", "{line}"]

[[task]]
name = "say-worker"
input = "line"
worker = ["python3", "-u", "-c", "import json, sys\nfor line in sys.stdin: sys.stdout.buffer.write(json.loads(line)['input'].encode().replace(b'<F6>', b'\\xf6') + b'\\n'); sys.stdout.buffer.flush()"]
timeout_seconds = 60

[[task]]
name = "hand-over"
input = "record"
command = ["python3", "-c", "import json, sys; print(json.dumps({'result': sys.argv[1:]}))", "{column:id}", "{column:price}", "{width}", "{record}"]
[task.params.width]
type = "number"
default = 1
"#;

async fn with_tasks(mut server: TestServer) -> TestServer {
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.kill().await;
    server.spawn().await;
    server
}

/// Each line as one item of `task`; the batch when all have ended.
async fn said(server: &TestServer, task: &str, lines: &[&str]) -> Value {
    let body = json!({"task": task, "items": lines, "options": {"attempts_max": 3, "retry_base_ms": 0}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.finished(&batch).await
}

async fn text(server: &TestServer, path: &str) -> String {
    let reply = server.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.text
}

/// Results whose bytes a reader of 64-bit floats would change, or could not read.
const EXACT: [&str; 7] = [
    r#"{"id":36893488147419103231,"under":-9223372036854775809}"#,
    r#"{"price":1.10,"exact":0.12345678901234567890123}"#,
    r#"{"power":1e3,"vast":1e999,"nested":{"a":[1.0,2.50]}}"#,
    r#"{"emoji":"\ud83d\ude00"}"#,
    r#""text""#,
    "true",
    "123456789012345678901234567890",
];

async fn results_keep_their_bytes(server: TestServer, task: &str) {
    let server = with_tasks(server).await;
    let lines: Vec<String> = EXACT.iter().map(|result| format!("{{\"result\":{result}}}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let batch = said(&server, task, &lines).await;
    assert_eq!(number(&batch, "succeeded"), 7, "{batch}");
    let path = format!("/batches/{}", id(&batch));

    let listed = text(&server, &format!("{path}/items")).await;
    let ndjson = text(&server, &format!("{path}/results?format=ndjson")).await;
    let mut live = String::new();
    for topic in [format!("batch/{}/items/1-10", id(&batch)), format!("item/{}/1", id(&batch))] {
        let url = format!("{}/live/frames?topic={topic}", server.base);
        let answer = server.client.get(url).bearer_auth(&server.token).send().await.unwrap();
        live.push_str(&answer.text().await.unwrap());
    }
    for (at, result) in EXACT.iter().enumerate() {
        let item = text(&server, &format!("{path}/items/{}", at + 1)).await;
        for (way, shown) in [("list", &listed), ("item", &item), ("live", &live), ("ndjson", &ndjson)] {
            assert!(shown.contains(&format!("\"result\":{result}")), "{way}: {result}: {shown}");
        }
    }

    let table = text(&server, &format!("{path}/results?format=csv")).await;
    // Columns come in the order in which they were first seen, which two slots do not fix; plain results come last.
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.iter().next_back(), Some("result"), "{header:?}");
    let cells: Vec<Vec<String>> = reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let named = header.iter().zip(row.iter()).skip(4).filter(|(_, cell)| !cell.is_empty());
            named.map(|(name, cell)| format!("{name}={cell}")).collect()
        })
        .collect();
    assert_eq!(
        cells,
        [
            vec!["id=36893488147419103231", "under=-9223372036854775809"],
            vec!["price=1.10", "exact=0.12345678901234567890123"],
            vec!["power=1e3", "vast=1e999", r#"nested={"a":[1.0,2.50]}"#],
            vec!["emoji=\u{1f600}"],
            vec!["result=text"],
            vec!["result=true"],
            vec!["result=123456789012345678901234567890"],
        ]
    );

    let page = |path: String| {
        let request = server.client.get(format!("{}{path}", server.base)).bearer_auth(&server.token);
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    assert!(page(format!("/batches/{}/items/1", id(&batch))).await.contains("36893488147419103231"));
    assert!(page(format!("/batches/{}", id(&batch))).await.contains("0.12345678901234567890123"));
}

#[tokio::test]
async fn results_of_a_command_keep_their_bytes() {
    results_keep_their_bytes(TestServer::start().await, "say").await;
}

#[tokio::test]
async fn results_of_a_worker_keep_their_bytes_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    results_keep_their_bytes(server, "say-worker").await;
}

/// Lines that are meant as an answer, and what the item says of each.
fn unclean() -> Vec<(String, &'static str)> {
    let deep = format!("{{\"result\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let long = format!("{{\"result\":\"{}\"}}", "x".repeat(1_200_000));
    let plain = [
        (r#"{"result":{"mean":NaN,"n":0}}"#, "not valid JSON"),
        (r#"{"result":{"max":Infinity}}"#, "not valid JSON"),
        (r#"{"error":"no data","stats":NaN}"#, "not valid JSON"),
        (r#"{"result":{"a":1}"#, "not valid JSON"),
        ("{'result': {'a': None}}", "not valid JSON"),
        (r#"{"result":"K\udcf6ln"}"#, "surrogate"),
        (r#"{"result":"K<F6>ln"}"#, "UTF-8"),
        (r#"{"error":"cannot read K\udcf6ln.txt","retry":false}"#, "cannot read K\u{fffd}ln.txt"),
        (r#"{"error":"cannot read K<F6>ln.txt","retry":false}"#, "cannot read K\u{fffd}ln.txt"),
        (r#"{"error":{"count":1e999},"retry":false}"#, r#"{"count":1e999}"#),
        (r#"{"error":"a\u0000b","retry":false}"#, "a"),
    ];
    let mut lines: Vec<_> = plain.iter().map(|(line, why)| ((*line).to_owned(), *why)).collect();
    // Longer than a command line takes: for the worker, whose items come by its input.
    lines.push((deep, "nested deeper"));
    lines.push((long, "bytes"));
    lines
}

async fn answers_that_are_none_fail(server: TestServer, task: &str, lines: &[(String, &str)]) {
    let server = with_tasks(server).await;
    let words: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let batch = said(&server, task, &words).await;
    for (row, (line, why)) in server.rows(&batch).await.iter().zip(lines) {
        let start: String = line.chars().take(80).collect();
        let error = row["error"].as_str().unwrap_or_default();
        assert_eq!((row["state"].as_str(), number(row, "attempts")), (Some("failed"), 1), "{start}: {row}");
        assert!(error.contains(why), "{start}: {error}");
    }
}

#[tokio::test]
async fn an_answer_of_a_command_that_is_none_fails_its_item_at_once() {
    let lines: Vec<_> = unclean().into_iter().filter(|(line, _)| line.len() < 100_000).collect();
    answers_that_are_none_fail(TestServer::start().await, "say", &lines).await;
}

#[tokio::test]
async fn an_answer_of_a_worker_that_is_none_fails_its_item_at_once() {
    let lines: Vec<_> = unclean().into_iter().filter(|(line, _)| line.len() < 1_000_000).collect();
    answers_that_are_none_fail(TestServer::start().await, "say-worker", &lines).await;
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        answers_that_are_none_fail(server, "say-worker", &lines).await;
    }
}

#[tokio::test]
async fn a_program_is_handed_numbers_as_they_were_written() {
    let server = with_tasks(TestServer::start().await).await;
    let body =
        r#"{"task":"hand-over","params":{"width":2.50},"items":[{"id":36893488147419103231,"price":1.10}]}"#;
    let batch = server.post_body("/batches", "application/json", body).await.ok();
    server.finished(&batch).await;
    assert_eq!(
        server.rows(&batch).await[0]["result"],
        json!(["36893488147419103231", "1.10", "2.50", r#"{"id":36893488147419103231,"price":1.10}"#])
    );
    let shown = text(&server, &format!("/batches/{}", id(&batch))).await;
    assert!(shown.contains(r#""params":{"width":2.50}"#), "{shown}");
}

#[tokio::test]
async fn what_no_reader_could_read_back_is_refused_where_it_comes_in() {
    let server = TestServer::start().await;
    let refused = server.post_body("/batches?task=demo", "application/x-ndjson", "1\n\"\\ud800\"\n").await;
    assert_eq!(refused.problem(422, "invalid")["line"], 2);
    let body = r#"{"task":"demo","items":["\ud83d\ude00","\ud83d"]}"#;
    server.post_body("/batches", "application/json", body).await.problem(422, "invalid");
    let body = r#"{"task":"demo","params":{"duration_ms":1e999},"items":[1]}"#;
    server.post_body("/batches", "application/json", body).await.problem(422, "invalid");
}
