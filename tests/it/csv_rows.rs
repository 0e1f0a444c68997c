//! The rows of a CSV before they run and as they do: rules that check nothing, types that are guessed, rows that would fail,
//! rows that cannot be read.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::support::{Reply, TestServer, number, send};

/// 400 people, ten of them with an age that is none, seven with an address that is none.
fn people() -> String {
    let mut csv = "id,Full name,email,age,city\n".to_owned();
    for at in 1..=400 {
        let age = if at % 37 == 0 { "abc".to_owned() } else { (at % 90).to_string() };
        let email = if at % 53 == 0 { "not-an-email".to_owned() } else { format!("p{at}@example.org") };
        let city = if at % 5 == 0 { "" } else { "Ghent" };
        csv.push_str(&format!("{at},\"Person, {at}\",{email},{age},{city}\n"));
    }
    csv
}

async fn post(server: &TestServer, path: &str, form: Form) -> Reply {
    let request = server.client.request(Method::POST, format!("{}{path}", server.base));
    send(request.bearer_auth(&server.token).header("accept", "text/html").multipart(form)).await
}

fn file(name: &str, csv: &str) -> Part {
    Part::bytes(csv.as_bytes().to_vec()).file_name(name.to_owned())
}

/// As a page without scripts posts it: what brings items stands before the settings.
fn page_form(csv: Part) -> Form {
    // Names stand as they are, as browsers write them.
    Form::new()
        .percent_encode_noop()
        .text("task", "csv-check")
        .text("kind", "csv")
        .part("csv", csv)
        .text("csv", "")
        .text("param.columns", "{}")
}

/// The names and values of fields in HTML, as a browser without scripts would post them.
fn fields(html: &str) -> Vec<(String, String)> {
    let (_, grid) = html.split_once("class=\"csv-look\"").unwrap_or_else(|| panic!("no grid: {html}"));
    let grid = &grid[..grid.find("csv-verdict").expect("a verdict")];
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest[..rest.find('"')?].to_owned())
    };
    let (mut fields, mut select) = (Vec::new(), String::new());
    for tag in grid.split('<').map(|part| format!(" {}", part.split('>').next().unwrap_or_default())) {
        let is = |name: &str| tag.starts_with(&format!(" {name} "));
        let checked = !tag.contains("checkbox") || tag.contains(" checked");
        if is("select") {
            select = attribute(&tag, "name").unwrap();
        } else if is("option") && tag.contains(" selected") {
            fields.push((select.clone(), attribute(&tag, "value").unwrap()));
        } else if is("input") && checked {
            fields.push((attribute(&tag, "name").unwrap(), attribute(&tag, "value").unwrap_or_default()));
        }
    }
    fields
}

fn action(html: &str) -> String {
    let (_, rest) = html.split_once(" action=\"/api/submit_form").expect("a form");
    format!("/api/submit_form{}", &rest[..rest.find('"').unwrap()])
}

#[tokio::test]
async fn rules_that_check_nothing_do_not_run() {
    let server = TestServer::start().await;
    let said = "Nothing would be checked";
    for params in
        [json!(null), json!({}), json!({"columns": {}}), json!({"columns": {"a": {"required": false}}})]
    {
        let body = json!({"task": "csv-check", "params": params, "items": [{"a": "1"}]});
        let refused = server.post_json("/batches", &body).await.problem(422, "invalid");
        assert!(refused["detail"].as_str().unwrap().contains(said), "{params}: {refused}");
    }
    let stream = server.post_body("/batches?task=csv-check", "text/csv", "a\n1\n").await;
    assert!(stream.problem(422, "invalid")["detail"].as_str().unwrap().contains(said));
    let form = Form::new().text("task", "csv-check").part("csv", file("a.csv", "a\n1\n"));
    let refused =
        send(server.request(Method::POST, "/batches").multipart(form)).await.problem(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains(said), "{refused}");
    let image = Form::new().text("task", "image").part("file", file("a.png", "x"));
    let refused =
        send(server.request(Method::POST, "/batches").multipart(image)).await.problem(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("Nothing would be changed"), "{refused}");
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]));
}

#[tokio::test]
async fn a_csv_is_looked_at_before_it_runs() {
    let server = TestServer::start().await;
    let looked = post(&server, "/new/csv", page_form(file("people.csv", &people()))).await;
    assert_eq!(looked.status, 200, "{looked:?}");
    let html = &looked.text;
    assert!(html.contains("people.csv · 400 rows · 5 columns"), "{html}");
    assert!(html.contains("17 of 400 rows would fail."), "{html}");
    assert!(
        html.contains("Line 38: age: expected a whole number, found &quot;abc&quot;")
            || html.contains("Line 38: age: expected a whole number, found \"abc\""),
        "{html}"
    );
    assert!(html.contains("over 400 rows"), "{html}");
    assert!(!html.contains("milepost.wasm"), "it comes without the program");
    let found = fields(html);
    let value = |name: &str| {
        let posted = found.iter().rev().find(|(other, _value)| other == name);
        posted.map(|(_name, value)| value.as_str())
    };
    for (column, kind, required) in [
        ("id", "integer", "true"),
        ("Full%20name", "text", "true"),
        ("email", "email", "true"),
        ("age", "integer", "true"),
        ("city", "text", "false"),
    ] {
        assert_eq!(value(&format!("param./columns/{column}/type")), Some(kind), "{column}: {found:?}");
        assert_eq!(value(&format!("param./columns/{column}/required")), Some(required), "{column}");
    }
    assert_eq!(
        (value("delimiter"), value("encoding"), value("header")),
        (Some(","), Some("utf-8"), Some("true"))
    );

    // What comes back runs as it is: the same rows fail.
    let mut form = page_form(file("people.csv", &people()));
    for (name, value) in &found {
        form = form.text(name.clone(), value.clone());
    }
    let run = post(&server, &action(html), form).await;
    assert!(run.status.is_redirection() || run.status == 200, "{run:?}");
    let batch = server.until_named("people.csv").await;
    let done = server.finished(&batch).await;
    assert_eq!((number(&done, "failed"), number(&done, "succeeded")), (17, 383), "{done}");
}

#[tokio::test]
async fn what_was_corrected_is_kept() {
    let server = TestServer::start().await;
    let form = page_form(file("people.csv", &people()))
        .text("param./columns/age/type", "text")
        .text("param./columns/age/required", "false")
        .text("param./columns/email/type", "")
        .text("columns./city", "town")
        .text("columns./id", "")
        .text("param.no_other_columns", "false");
    let html = post(&server, "/new/csv", form).await.text;
    let found = fields(&html);
    let value = |name: &str| {
        found.iter().rev().find(|(other, _value)| other == name).map(|(_name, value)| value.as_str())
    };
    assert_eq!(value("param./columns/age/type"), Some("text"));
    assert_eq!(value("param./columns/age/required"), Some("false"));
    assert_eq!(value("param./columns/email/type"), Some(""));
    assert_eq!((value("columns./city"), value("columns./id")), (Some("town"), Some("")));
    assert!(html.contains("All 400 rows would pass."), "{html}");
    // What is left out is not checked, and nothing else either: it does not run.
    let nothing = page_form(file("a.csv", "a,b\n1,2\n"))
        .text("param./columns/a/type", "")
        .text("param./columns/b/type", "text")
        .text("param./columns/b/required", "false");
    let html = post(&server, "/new/csv", nothing).await.text;
    assert!(
        html.contains("Nothing would be checked</button>") || html.contains("Nothing would be checked: "),
        "{html}"
    );
}

#[tokio::test]
async fn a_ragged_csv_names_its_line_and_leaves_no_batch() {
    let server = TestServer::start().await;
    let ragged = format!("a,b\n{}3\n4,5\n", "1,2\n".repeat(50));
    let looked = post(&server, "/new/csv", page_form(file("ragged.csv", &ragged))).await;
    assert_eq!(looked.status, 422, "{looked:?}");
    assert!(looked.text.contains("(line 52)"), "{}", looked.text);
    assert!(looked.text.contains("1,2\n1,2"), "its text is not lost");
    let rules = "params=%7B%22columns%22%3A%7B%22a%22%3A%22integer%22%7D%7D";
    let stream =
        server.post_body(&format!("/batches?task=csv-check&{rules}"), "text/csv", ragged.clone()).await;
    assert_eq!(stream.problem(422, "invalid")["line"], 52);
    let form = Form::new()
        .text("task", "csv-check")
        .text("params", r#"{"columns":{"a":"integer"}}"#)
        .part("csv", file("ragged.csv", &ragged));
    let refused =
        send(server.request(Method::POST, "/batches").multipart(form)).await.problem(422, "invalid");
    assert_eq!(refused["line"], 52);
    for (task, kind, body) in [
        ("demo", "text/plain", b"one\ntwo\n\xFF\n".to_vec()),
        ("demo", "application/x-ndjson", b"1\n2\n{\n".to_vec()),
        ("demo", "text/csv", b"a,b\n1,2\n3\n".to_vec()),
    ] {
        let refused =
            server.post_body(&format!("/batches?task={task}"), kind, body).await.problem(422, "invalid");
        assert_eq!(refused["line"], 3, "{kind}");
    }
    let listed =
        json!({"task": "csv-check", "params": {"columns": {"a": "integer"}}, "items": [{"a": 1}, 7]});
    server.post_json("/batches", &listed).await.problem(422, "invalid");
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]), "nothing of it is in the list");
}

#[tokio::test]
async fn a_row_that_is_refused_late_says_what_had_come() {
    let server = TestServer::start().await;
    let (sender, body) = tokio::io::duplex(1 << 20);
    let stream = tokio_util::io::ReaderStream::new(body);
    let path = "/batches?task=csv-check&name=late&params=%7B%22columns%22%3A%7B%22a%22%3A%22integer%22%7D%7D";
    let posting = server.post_body(path, "text/csv", reqwest::Body::wrap_stream(stream));
    let feeding = async {
        use tokio::io::AsyncWriteExt as _;
        let mut sender = sender;
        let rows = format!("a,b\n{}", "1,2\n".repeat(3_000));
        sender.write_all(rows.as_bytes()).await.unwrap();
        let batch = server.until_named("late").await;
        server.until(&batch, "rows came", |now| number(now, "total") == 3_000).await;
        sender.write_all(b"3\n").await.unwrap();
        batch
    };
    let (reply, batch): (Reply, Value) = tokio::join!(posting, feeding);
    let refused = reply.problem(422, "invalid");
    assert_eq!(refused["line"], 3_002);
    let said = format!("3,000 items had come before: batch #{} is cancelled.", batch["number"]);
    assert!(refused["detail"].as_str().unwrap().ends_with(&said), "{refused}");
    let done = server.finished(&batch).await;
    assert_eq!(done["state"], "cancelled");
    assert!(done["reason"].as_str().unwrap().starts_with("line 3002: "), "{done}");
}
