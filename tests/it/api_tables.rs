//! CSV from spreadsheets and from Milepost itself, names of files as browsers write them.
//!
//! Whatever a table's encoding, its items are its values; what was exported can be submitted again.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Reply, TestServer, id, send};

/// Records of the task that takes them, with columns of any kind.
const RECORDS: &str = "/batches?task=csv-check&params=%7B%22columns%22%3A%7B%22none%22%3A%7B%22type%22%3A%22integer%22%2C%22required%22%3Afalse%7D%7D%7D";
/// Records of which `age` must be a whole number.
const AGES: &str = "/batches?task=csv-check&params=%7B%22columns%22%3A%7B%22age%22%3A%22integer%22%7D%7D";

async fn table(server: &TestServer, query: &str, body: impl Into<Vec<u8>>) -> Reply {
    server.post_body(&format!("{RECORDS}{query}"), "text/csv", body.into()).await
}

async fn inputs(server: &TestServer, reply: Reply) -> Vec<Value> {
    let batch = reply.ok();
    server.finished(&batch).await;
    server.inputs(&batch).await
}

#[tokio::test]
async fn a_table_is_read_in_the_encoding_in_which_it_was_saved() {
    let server = TestServer::start().await;
    let text = "id,name\r\n1,Zoë\r\n2,Jürgen\r\n";
    let people = [json!({"id": "1", "name": "Zoë"}), json!({"id": "2", "name": "Jürgen"})];
    let marked = format!("\u{feff}{text}");
    let wide = |text: &str, bytes_of: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    };
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (query, body) in [
        ("", text.as_bytes().to_vec()),
        ("", marked.as_bytes().to_vec()),
        ("", wide(&marked, u16::to_le_bytes)),
        ("", wide(&marked, u16::to_be_bytes)),
        ("", wide(text, u16::to_le_bytes)),
        ("&encoding=utf-16be", wide(text, u16::to_be_bytes)),
        ("&encoding=windows-1252", latin.clone()),
    ] {
        let reply = table(&server, query, body).await;
        assert_eq!(inputs(&server, reply).await, people, "{query}");
    }
    let problem = table(&server, "", latin).await.problem(422, "invalid");
    assert_eq!(problem["line"], 2, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("encoding=windows-1252"), "{problem}");
    let problem = table(&server, "&encoding=utf-8", wide(&marked, u16::to_le_bytes)).await;
    assert!(problem.problem(422, "invalid")["detail"].as_str().unwrap().contains("utf-16le"));
    table(&server, "&encoding=latin1", text).await.problem(422, "invalid");

    let lines = wide("\u{feff}one\r\nzwö\r\n", u16::to_le_bytes);
    let batch = server.post_body("/batches?task=demo", "text/plain", lines).await.ok();
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!("one"), json!("zwö")]);
    let values = wide("\u{feff}{\"a\":\"ö\"}\n", u16::to_be_bytes);
    let batch = server.post_body("/batches?task=demo", "application/x-ndjson", values).await.ok();
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!({"a": "ö"})]);
}

#[tokio::test]
async fn empty_columns_at_the_end_are_left_out() {
    let server = TestServer::start().await;
    let reply = table(&server, "", "id,name,,\n1,Ada,,\n2,Bob,,\n").await;
    let expected = [json!({"id": "1", "name": "Ada"}), json!({"id": "2", "name": "Bob"})];
    assert_eq!(inputs(&server, reply).await, expected);
    let problem = table(&server, "", "id,name,\n1,Ada,\n2,Bob,x\n").await.problem(422, "invalid");
    assert_eq!(problem["line"], 3, "{problem}");
}

#[tokio::test]
async fn columns_are_mapped_and_the_delimiter_is_found() {
    let server = TestServer::start().await;
    let columns = "&columns=%7B%22a%22%3A%22id%22%2C%22b%22%3Anull%7D";
    let reply = table(&server, &format!("&delimiter=auto{columns}"), "a;b;c\n1;2;3\n").await;
    assert_eq!(inputs(&server, reply).await, [json!({"id": "1", "c": "3"})]);
    let reply = table(&server, "&header=false&delimiter=auto", "1\tada\n2\tbob\n").await;
    let expected = [json!({"column_1": "1", "column_2": "ada"}), json!({"column_1": "2", "column_2": "bob"})];
    assert_eq!(inputs(&server, reply).await, expected);
    let problem = table(&server, "", "a,b,a\n1,2,3\n").await.problem(422, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("Columns 1 and 3"), "{problem}");
    let reply = table(&server, "&duplicate=rename", "a,b,a\n1,2,3\n").await;
    assert_eq!(inputs(&server, reply).await, [json!({"a": "1", "b": "2", "a_2": "3"})]);
    table(&server, "&header=maybe", "a\n1\n").await.problem(422, "invalid");
}

#[tokio::test]
async fn an_export_can_be_submitted_any_number_of_times() {
    let server = TestServer::start().await;
    let mut csv = "id,age\n1,x\n2,7\n3,y\n".to_owned();
    for round in 1..=4 {
        let batch = server.post_body(AGES, "text/csv", csv).await.ok();
        server.finished(&batch).await;
        let rows = server.inputs(&batch).await;
        assert_eq!(rows.last().unwrap()["id"], "3", "round {round}");
        for row in &rows {
            assert!(row.get("milepost_seq").is_none() && row.get("milepost_error").is_none(), "{row}");
        }
        csv = server.get(&format!("/batches/{}/results?format=csv&only=failed", id(&batch))).await.text;
        let header = csv.trim_start_matches('\u{feff}').lines().next().unwrap().to_owned();
        let mut names: Vec<&str> = header.split(',').collect();
        assert_eq!(&names[..2], ["id", "age"], "round {round}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), header.split(',').count(), "round {round}: {header}");
        assert_eq!(csv.lines().count(), 3, "round {round}: {csv}");
    }
}

#[tokio::test]
async fn names_of_files_are_what_browsers_meant() {
    let server = TestServer::start().await;
    let names = ["file\"q.txt", "two\nlines.txt", "50%off.pdf", "50%25.pdf", "€.txt"];
    let written = [
        "filename=\"file%22q.txt\"",
        "filename=\"two%0Alines.txt\"",
        "filename=\"50%off.pdf\"",
        "filename=\"50%25.pdf\"",
        "filename=\"E.txt\"; filename*=UTF-8''%E2%82%AC.txt",
    ];
    let mut body = "--b\r\nContent-Disposition: form-data; name=\"task\"\r\n\r\nchecksum\r\n".to_owned();
    for name in written {
        body.push_str(&format!("--b\r\nContent-Disposition: form-data; name=\"file\"; {name}\r\n\r\nx\r\n"));
    }
    body.push_str("--b--\r\n");
    let batch = server.post_body("/batches", "multipart/form-data; boundary=b", body).await.ok();
    server.finished(&batch).await;
    let found: Vec<Value> =
        server.inputs(&batch).await.into_iter().map(|input| input["name"].clone()).collect();
    assert_eq!(found, names);
    let path = format!("/batches/{}/items/2/files/two%0Alines.txt", id(&batch));
    let reply = send(server.request(Method::GET, &path)).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, "x"), "{reply:?}");
}
