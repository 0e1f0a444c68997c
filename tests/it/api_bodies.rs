//! Streamed bodies: text, NDJSON, CSV; appends; bodies that stop in the middle.
//!
//! Items are what came, in order; a fault names its line and ends the batch.

use serde_json::{Value, json};

use super::support::raw::RawRequest;
use super::support::{TestServer, id, number};

/// Records of the task that takes them.
const RECORDS: &str = "/batches?task=csv-check&params=%7B%22columns%22%3A%7B%22none%22%3A%7B%22type%22%3A%22integer%22%2C%22required%22%3Afalse%7D%7D%7D";

#[tokio::test]
async fn text_is_one_item_a_line() {
    let server = TestServer::start().await;
    let body = "\u{feff}a\r\n\n b \nlast";
    let reply = server.post_body("/batches?task=demo&name=t", "text/plain; charset=utf-8", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let batch = reply.json();
    assert_eq!((number(&batch, "total"), &batch["sealed"], &batch["name"]), (3, &json!(true), &json!("t")));
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!("a"), json!(" b "), json!("last")]);

    let bad =
        server.post_body("/batches?task=demo&name=bad", "text/plain", b"a\n\nb\n\xFF\nc\n".to_vec()).await;
    assert_eq!(bad.problem(422, "invalid")["line"], 4);
    assert_eq!(server.named("bad").await, None, "what is refused at its first bytes leaves nothing");
}

#[tokio::test]
async fn ndjson_is_one_value_a_line() {
    let server = TestServer::start().await;
    let body = "{\"b\":1.10,\"a\":2}\r\n\n\"x\"\n[1, 2]\n7";
    let batch = server.post_body("/batches?task=demo", "application/x-ndjson", body).await.ok();
    server.finished(&batch).await;
    let path = format!("/batches/{}/results?format=ndjson", id(&batch));
    let text = server.get(&path).await.text;
    assert!(text.contains(r#""input":{"b":1.10,"a":2}"#) && text.contains(r#""input":[1, 2]"#), "{text}");
    let first = server.post_body("/batches?task=demo&name=first", "application/x-ndjson", "{\n1\n").await;
    assert_eq!(first.problem(422, "invalid")["line"], 1);
    assert!(server.named("first").await.is_none(), "nothing had come before the fault");
    let records = server.post_body(RECORDS, "application/x-ndjson", "{\"a\":\"1\"}\n[]\n").await;
    assert_eq!(records.problem(422, "invalid")["line"], 2);
}

#[tokio::test]
async fn csv_is_one_record_an_item() {
    let server = TestServer::start().await;
    let body = "\u{feff}name;note\r\n\"a \"\"b\"\"\";\"two\r\nlines\"\r\n\r\n=1+1;-5\r\n";
    let batch = server.post_body(&format!("{RECORDS}&delimiter=%3B"), "text/csv", body).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "total"), 2, "{done}");
    let expected =
        [json!({"name": "a \"b\"", "note": "two\r\nlines"}), json!({"name": "=1+1", "note": "-5"})];
    assert_eq!(server.inputs(&batch).await, expected);
    let table = server.get(&format!("/batches/{}/results?format=csv", id(&batch))).await;
    let mut lines = csv::Reader::from_reader(table.text.as_bytes());
    let header: Vec<String> = lines.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..5], ["name", "note", "milepost_seq", "milepost_state", "milepost_error"]);
    let rows: Vec<csv::StringRecord> = lines.records().map(Result::unwrap).collect();
    assert_eq!((&rows[0][1], &rows[1][0], &rows[1][1], &rows[1][2]), ("two\r\nlines", "'=1+1", "-5", "2"));

    for (body, line) in
        [("a,b\n1,2\n\"x\ny\",2\n3\n", 5), ("a,a\n1,2\n", 1), ("a,\n1,2\n", 2), ("a,b\n1,2\n\"open\n", 3)]
    {
        let reply = server.post_body(RECORDS, "text/csv", body).await;
        assert_eq!(reply.problem(422, "invalid")["line"], line, "{body:?}");
    }
}

#[tokio::test]
async fn items_run_before_the_body_has_ended() {
    let server = TestServer::start().await;
    let headers = ["Content-Type: text/plain", "Transfer-Encoding: chunked"];
    let mut request = RawRequest::post(&server, "/batches?task=demo&name=early", &headers).await;
    request.chunk(b"one\ntwo\nthr").await;
    let batch = loop {
        if let Some(batch) = server.named("early").await {
            break batch;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let early = server.until(&batch, "ran two", |now| number(now, "succeeded") == 2).await;
    assert_eq!((&early["sealed"], number(&early, "total")), (&json!(false), 2));
    request.chunk(b"ee\nfour").await;
    request.send(b"0\r\n\r\n").await;
    let (status, _text) = request.answer().await;
    assert_eq!(status, 201);
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!("one"), json!("two"), json!("three"), json!("four")]);
}

#[tokio::test]
async fn a_body_cut_short_ends_its_batch() {
    let server = TestServer::start().await;
    let kinds: [(&str, [&str; 2]); 2] = [
        ("length", ["Content-Type: text/plain", "Content-Length: 1000"]),
        ("chunked", ["Content-Type: text/plain", "Transfer-Encoding: chunked"]),
    ];
    for (name, headers) in kinds {
        let mut request =
            RawRequest::post(&server, &format!("/batches?task=demo&name={name}"), &headers).await;
        let body = b"one\ntwo\npart of a li";
        if name == "length" {
            request.send(body).await
        } else {
            request.chunk(body).await
        }
        let batch = loop {
            if let Some(batch) = server.named(name).await {
                break batch;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        server.until(&batch, "two came", |now| number(now, "total") == 2).await;
        request.cut().await;
        let done = server.finished(&batch).await;
        assert_eq!((&done["state"], number(&done, "total")), (&json!("cancelled"), 2), "{done}");
        assert!(done["reason"].as_str().unwrap().contains("line 3"), "{done}");
        assert_eq!(server.inputs(&batch).await, [json!("one"), json!("two")], "no part of a line is an item");
    }
}

#[tokio::test]
async fn open_batches_go_on() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "options": {"open": true}});
    let batch = server.post_json("/batches", &body).await.ok();
    assert_eq!((number(&batch, "total"), &batch["sealed"]), (0, &json!(false)));
    let path = format!("/batches/{}/items", id(&batch));
    let append = async |seq: u64, kind: &str, body: &str| {
        server.post_body(&format!("{path}?first_seq={seq}"), kind, body.to_owned()).await
    };
    assert_eq!(number(&append(1, "text/plain", "a\nb\n").await.ok(), "total"), 2);
    let wrong = append(2, "text/plain", "x\n").await;
    assert_eq!(wrong.problem(409, "wrong_first_seq")["total"], 2);
    assert_eq!(append(9, "text/plain", "x\n").await.problem(409, "wrong_first_seq")["total"], 2);
    append(0, "text/plain", "x\n").await.problem(400, "malformed");
    server.post_body(&path, "text/plain", "x\n").await.problem(400, "malformed");
    append(3, "application/xml", "x\n").await.problem(415, "unsupported_type");
    assert_eq!(number(&append(3, "application/json", r#"{"items":[1,{"x":2}]}"#).await.ok(), "total"), 4);
    assert_eq!(number(&append(5, "application/x-ndjson", "\"e\"\n").await.ok(), "total"), 5);
    append(6, "application/json", r#"{"items":{"count":2}}"#).await.problem(422, "invalid");

    let headers = ["Content-Type: text/plain", "Content-Length: 1000"];
    let mut cut = RawRequest::post(&server, &format!("{path}?first_seq=6"), &headers).await;
    cut.send(b"f\ng\nhal").await;
    server.until(&batch, "two more came", |now| number(now, "total") == 7).await;
    cut.cut().await;
    // What came whole stays, and the batch goes on from there.
    assert_eq!(number(&append(8, "text/plain", "h\n").await.ok(), "total"), 8);
    let now = server.get(&format!("/batches/{}", id(&batch))).await.ok();
    assert_eq!((&now["sealed"], &now["finished_at"]), (&json!(false), &Value::Null));
    let sealed = server.post(&format!("/batches/{}/seal", id(&batch))).await.ok();
    assert_eq!(sealed["sealed"], true);
    server.post(&format!("/batches/{}/seal", id(&batch))).await.ok();
    append(9, "text/plain", "x\n").await.problem(409, "wrong_state");
    assert_eq!(server.finished(&batch).await["state"], "succeeded");
    let expected =
        [json!("a"), json!("b"), json!(1), json!({"x": 2}), json!("e"), json!("f"), json!("g"), json!("h")];
    assert_eq!(server.inputs(&batch).await, expected);
}

#[tokio::test]
async fn a_cancel_stops_a_running_intake() {
    let server = TestServer::start().await;
    let headers = ["Content-Type: text/plain", "Transfer-Encoding: chunked"];
    let mut request = RawRequest::post(&server, "/batches?task=demo&name=stopped", &headers).await;
    request.chunk(b"one\ntwo\n").await;
    let batch = loop {
        if let Some(batch) = server.named("stopped").await {
            break batch;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    server.until(&batch, "two came", |now| number(now, "total") == 2).await;
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    request.chunk(b"three\nfour\n").await;
    request.send(b"0\r\n\r\n").await;
    let (status, text) = request.answer().await;
    assert_eq!(status, 409, "{text}");
    assert!(text.contains("wrong_state"), "{text}");
    assert_eq!(number(&server.finished(&batch).await, "total"), 2);
}
