//! Requests whose bodies are still coming when the server is told to stop.
//!
//! Each is answered before its connection ends: one that comes whole in a moment as always, any other with 503.

use serde_json::{Value, json};

use super::support::plain::Plain;
use super::support::{TestServer, number};

/// A request whose body goes on, sent up to `first`.
async fn begun(server: &TestServer, method: &str, path: &str, kind: &str, first: &[u8]) -> Plain {
    let mut plain = Plain::dial(server).await;
    let (host, token) = (server.authority(), &server.token);
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n\
         Upload-Offset: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert!(plain.send(head.as_bytes()).await && plain.chunk(first).await);
    plain
}

/// The answer to a body that was cut by the stop.
fn is_told(kind: &str, answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 503"), "{kind}: {answer:?}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for header in ["content-type: application/problem+json", "retry-after: ", "connection: close"] {
        assert!(head.contains(header), "{kind}: {head}");
    }
    assert!(body.contains(r#""code":"busy""#) && body.contains("the server is stopping"), "{kind}: {body}");
}

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"task\"\r\n\r\nchecksum\r\n--b\r\n\
    Content-Disposition: form-data; name=\"name\"\r\n\r\nform\r\n--b\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\nx";

#[tokio::test]
async fn an_upload_at_the_stop_is_told_to_come_again() {
    let mut server = TestServer::start().await;
    let announced = server.post_json("/uploads", &json!({"name": "a", "bytes": 100})).await.ok();
    let piece = format!("/uploads/{}", announced["id"].as_str().unwrap());
    let open = server.post_json("/batches", &json!({"task": "demo", "options": {"open": true}})).await.ok();
    let append = format!("/batches/{}/items?first_seq=1", open["id"].as_str().unwrap());
    let mut under_way = Vec::new();
    for (kind, method, path, content_type, first) in [
        ("text", "POST", "/batches?task=demo&name=text", "text/plain", "1\n2\n3\n"),
        ("ndjson", "POST", "/batches?task=demo&name=ndjson", "application/x-ndjson", "1\n2\n3\n"),
        (
            "csv",
            "POST",
            "/batches?task=csv-check&params=%7B%22columns%22%3A%7B%22a%22%3A%22integer%22%7D%7D&name=csv",
            "text/csv",
            "a\n1\n2\n3\n",
        ),
        ("form", "POST", "/batches", "multipart/form-data; boundary=b", FORM),
        ("append", "POST", append.as_str(), "text/plain", "1\n2\n3\n"),
        ("json", "POST", "/batches", "application/json", "{\"task\":\"demo\","),
        ("piece", "PATCH", piece.as_str(), "application/offset+octet-stream", "1234567"),
    ] {
        under_way.push((kind, begun(&server, method, path, content_type, first.as_bytes()).await));
    }
    let mut whole = begun(&server, "POST", "/batches?task=demo&name=whole", "text/plain", b"1\n").await;
    for name in ["text", "ndjson", "csv", "form", "whole"] {
        server.until_named(name).await;
    }
    server.signal("TERM").await;
    assert!(whole.chunk(b"2\n").await && whole.send(b"0\r\n\r\n").await);
    let answer = whole.drained().await;
    assert!(answer.starts_with("HTTP/1.1 201"), "what comes whole in a moment is taken: {answer}");
    for (kind, upload) in under_way {
        is_told(kind, &upload.drained().await);
    }
    let ended = server.ended().await;
    assert!(ended.success(), "{ended:?}: {}", server.log());

    server.spawn().await;
    for name in ["text", "ndjson", "csv", "form"] {
        let batch: Value = server.until_named(name).await;
        let batch = server.finished(&batch).await;
        assert_eq!(batch["state"], "cancelled", "{batch}");
        assert!(batch["reason"].as_str().unwrap().contains("the server is stopping"), "{batch}");
        assert!((1..=3).contains(&number(&batch, "total")), "what came stays visible: {batch}");
    }
    let batch = server.until_named("whole").await;
    assert_eq!(number(&server.finished(&batch).await, "succeeded"), 2);
    let batch = server.get(&format!("/batches/{}", open["id"].as_str().unwrap())).await.ok();
    assert_eq!((&batch["sealed"], number(&batch, "total")), (&json!(false), 3), "it goes on: {batch}");
    assert_eq!(server.get(&piece).await.ok()["offset"], 7, "and so does the upload");
}
