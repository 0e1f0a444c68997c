//! What batches are called that nobody has named: after their input, whoever submits it.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{TestServer, id, send};

fn file(name: &str) -> Part {
    Part::bytes(name.as_bytes().to_vec()).file_name(name.to_owned())
}

async fn post_form(server: &TestServer, form: Form) -> Value {
    send(server.request(Method::POST, "/batches").multipart(form)).await.ok()
}

async fn names_come_from_the_input(server: &TestServer) {
    let stream = async |task: &str, kind: &str, body: &'static str| {
        server.post_body(&format!("/batches?task={task}"), kind, body).await.ok()["name"].clone()
    };
    assert_eq!(stream("demo", "text/plain", "a\nb\nc\n").await, "3 lines");
    assert_eq!(stream("demo", "application/x-ndjson", "1\n").await, "1 line");
    let rules = "csv-check&params=%7B%22columns%22%3A%7B%22a%22%3A%22integer%22%7D%7D";
    assert_eq!(stream(rules, "text/csv", "a\n1\n2\n").await, "2 rows");
    assert_eq!(stream(rules, "application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n").await, "2 records");
    let numbers = server.post_json("/batches", &json!({"task": "demo", "items": {"count": 1000}})).await.ok();
    assert_eq!(numbers["name"], "1,000 numbers");
    let named = json!({"task": "demo", "name": "mine", "items": ["a"]});
    assert_eq!(server.post_json("/batches", &named).await.ok()["name"], "mine");

    let files = |names: &[&str]| {
        names.iter().fold(Form::new().text("task", "checksum"), |form, name| form.part("file", file(name)))
    };
    assert_eq!(post_form(server, files(&["people.csv"])).await["name"], "people.csv");
    assert_eq!(
        post_form(server, files(&["a.txt", "b.txt", "c.txt", "d.txt"])).await["name"],
        "a.txt and 3 more"
    );
    assert_eq!(post_form(server, files(&["June/a.txt", "June/x/b.txt"])).await["name"], "2 files of June");
    let csv = Form::new()
        .text("task", "csv-check")
        .text("params", r#"{"columns":{"a":"integer"}}"#)
        .part("csv", Part::text("a\n1\n").file_name("people.csv"));
    assert_eq!(post_form(server, csv).await["name"], "people.csv");
    let lines = Form::new().text("task", "demo").part("lines", Part::text("a\n").file_name("hosts.txt"));
    assert_eq!(post_form(server, lines).await["name"], "hosts.txt");
}

/// The title of the task until it is whole, and not where somebody has named it meanwhile.
async fn an_open_batch_is_named_when_it_is_whole(server: &TestServer) {
    let open = json!({"task": "demo", "options": {"open": true}});
    for (renamed, expected) in [(None, "2 lines"), (Some("mine"), "mine")] {
        let batch = server.post_json("/batches", &open).await.ok();
        assert_eq!(batch["name"], "Demo");
        let path = format!("/batches/{}", id(&batch));
        server.post_json(&format!("{path}/items?first_seq=1"), &json!({"items": ["a", "b"]})).await.ok();
        if let Some(name) = renamed {
            let patch = server.request(Method::PATCH, &path).json(&json!({"name": name}));
            assert_eq!(send(patch).await.ok()["name"], name);
        }
        assert_eq!(server.post(&format!("{path}/seal")).await.ok()["name"], expected);
        let found = server.get(&format!("/batches?q={}", expected.replace(' ', "%20"))).await.ok();
        assert_eq!(found["batches"][0]["name"], expected, "it is found by it");
    }
}

#[tokio::test]
async fn names_come_from_the_input_on_sqlite() {
    let server = TestServer::start().await;
    names_come_from_the_input(&server).await;
    an_open_batch_is_named_when_it_is_whole(&server).await;
}

#[tokio::test]
async fn names_come_from_the_input_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        names_come_from_the_input(&server).await;
        an_open_batch_is_named_when_it_is_whole(&server).await;
    }
}
