//! Downloads whose bytes do not change: a part of them, whether they are the same, and how long they are.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::support::{Reply, TestServer, id, send};

async fn asked(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

/// Every rule that holds for `path`, of which `whole` is all; `length` is told where `knows_length`.
async fn assert_parts(server: &TestServer, path: &str, knows_length: bool) {
    let whole = asked(server, Method::GET, path, &[]).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let (text, etag) = (whole.text.as_str(), whole.header("etag"));
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let length = text.len();
    if knows_length {
        assert_eq!(whole.header("content-length"), length.to_string());
    }
    let head = asked(server, Method::HEAD, path, &[("range", "bytes=1-2")]).await;
    assert_eq!((head.status.as_u16(), head.header("etag"), head.text.as_str()), (200, etag, ""));

    for (range, part) in [
        ("bytes=3-11".to_owned(), 3..12),
        (format!("bytes={}-", length - 4), length - 4..length),
        ("bytes=-7".to_owned(), length - 7..length),
        (format!("bytes=5-{}", length + 99), 5..length),
        ("bytes=0-".to_owned(), 0..length),
    ] {
        let known = [("range", range.as_str()), ("if-range", etag), ("accept-encoding", "gzip")];
        let reply = asked(server, Method::GET, path, &known).await;
        assert_eq!(reply.status, 206, "{range}: {reply:?}");
        assert_eq!(reply.text, &text[part.clone()], "{range}");
        let within = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(reply.header("content-range"), within);
        assert_eq!(reply.header("content-length"), part.len().to_string());
        assert_eq!((reply.header("etag"), reply.header("content-encoding")), (etag, ""));
    }
    let beyond = asked(server, Method::GET, path, &[("range", &format!("bytes={length}-"))]).await;
    beyond.problem(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
    for other in [
        vec![("range", "bytes=3-11"), ("if-range", "\"other\"")],
        vec![("range", "bytes=0-1,4-5")],
        vec![("range", "lines=0-1")],
        vec![("if-none-match", "\"other\"")],
    ] {
        let reply = asked(server, Method::GET, path, &other).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, text), "{other:?}");
    }
    let same = asked(server, Method::GET, path, &[("if-none-match", &format!("\"x\", W/{etag}"))]).await;
    assert_eq!((same.status.as_u16(), same.text.as_str(), same.header("etag")), (304, "", etag));
}

#[tokio::test]
async fn files_and_finished_results_come_in_parts() {
    let server = TestServer::start().await;
    let content: String = (0..9_000).map(|at| format!("{at} é\n")).collect();
    let part = Part::bytes(content.clone().into_bytes()).file_name("some \"words\".txt");
    let form = Form::new().text("task", "checksum").part("file", part);
    let batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    let done = server.finished(&batch).await;
    let path = format!("/batches/{}/items/1/files/some%20%22words%22.txt", id(&batch));
    assert_eq!(server.get(&path).await.text, content);
    // `é` is two bytes: parts are cut where text can be.
    let plain: String = (0..9_000).map(|at| format!("{at}\n")).collect();
    let form = Form::new().text("task", "checksum").part("file", Part::text(plain).file_name("n"));
    let plain = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    server.finished(&plain).await;
    assert_parts(&server, &format!("/batches/{}/items/1/files/n", id(&plain)), true).await;
    assert_eq!(done["state"], "succeeded");

    let batch = server.finished(&server.demo(3_000, json!({"fail_rate": 0.01})).await).await;
    for query in ["format=csv", "format=ndjson", "format=csv&only=failed"] {
        assert_parts(&server, &format!("/batches/{}/results?{query}", id(&batch)), false).await;
    }
    let etag = |query: &str| {
        let path = format!("/batches/{}/results?{query}", id(&batch));
        let server = &server;
        async move { server.get(&path).await.header("etag").to_owned() }
    };
    let before = etag("format=csv").await;
    assert_ne!(before, etag("format=ndjson").await);
    assert_ne!(before, etag("format=csv&bom=true").await);
    let zip = server.get(&format!("/batches/{}/results?format=zip", id(&batch))).await;
    assert_eq!((zip.header("accept-ranges"), zip.header("etag").is_empty()), ("none", false));
    server.post_json(&format!("/batches/{}/retry", id(&batch)), &json!({})).await.ok();
    server.finished(&batch).await;
    assert_ne!(before, etag("format=csv").await, "a retry may change results");
}

#[tokio::test]
async fn results_of_what_still_runs_are_partial() {
    let server = TestServer::start().await;
    let batch = server.demo(500, json!({"duration_ms": 300})).await;
    let path = format!("/batches/{}/results", id(&batch));
    server.until(&batch, "began", |now| now["succeeded"].as_u64() > Some(0)).await;
    let reply = asked(&server, Method::GET, &format!("{path}?format=csv"), &[("range", "bytes=0-9")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("milepost-partial")), (200, "true"));
    assert_eq!((reply.header("etag"), reply.header("accept-ranges")), ("", "none"));
    let lines: Vec<&str> = reply.text.lines().collect();
    assert_eq!((lines.len(), lines[500]), (501, "500,500,pending,,"));
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    server.finished(&batch).await;
    let whole = server.get(&path).await;
    assert_eq!((whole.header("milepost-partial"), whole.header("accept-ranges")), ("", "bytes"));
    let rows: Vec<Value> = whole.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 500);
}
