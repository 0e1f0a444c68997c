//! What HTTP says of every address: methods, tags, pages of lists, and the document beside what is answered.
//!
//! Run against a real server, over the wire.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{TestServer, id, send};

#[tokio::test]
async fn reads_are_answered_once_for_each_change() {
    let server = TestServer::start().await;
    let batch = server.finished(&server.demo(3, json!({})).await).await;
    let path = format!("/batches/{}", id(&batch));
    let open = server.get("/nodes").await.ok();
    assert!(open["nodes"].is_array());
    for path in [
        path.clone(),
        "/batches".to_owned(),
        "/tasks".to_owned(),
        format!("{path}/items"),
        format!("{path}/items/1"),
        format!("{path}/items/1/log"),
        format!("{path}/families"),
    ] {
        let first = server.get(&path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {first:?}");
        assert_eq!(first.header("cache-control"), "private, no-cache", "{path}");
        let asked = |tag: &str| server.request(Method::GET, &path).header("if-none-match", tag);
        for known in [tag.as_str(), "*", &format!("\"x\", {tag}")] {
            let again = send(asked(known)).await;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{path}: {known}");
            assert_eq!(again.header("etag"), tag, "{path}");
        }
        assert_eq!(send(asked("W/\"other\"")).await.status, 200, "{path}");
        let head = send(server.request(Method::HEAD, &path)).await;
        assert_eq!((head.header("etag"), head.text.as_str()), (tag.as_str(), ""), "{path}: {head:?}");
    }
    let before = server.get(&path).await;
    send(server.request(Method::PATCH, &path).json(&json!({"name": "other"}))).await.ok();
    let changed =
        send(server.request(Method::GET, &path).header("if-none-match", before.header("etag"))).await;
    assert_eq!(changed.ok()["name"], "other", "a change is a new tag");
}

#[tokio::test]
async fn pages_of_lists_hold_while_batches_come_and_go() {
    let server = TestServer::start().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        made.push(id(&server.finished(&server.demo(1, json!({})).await).await).to_owned());
    }
    let (mut seen, mut address) = (Vec::new(), Some("/api/v1/batches?limit=3&state=succeeded".to_owned()));
    while let Some(path) = address {
        let request = server.client.get(format!("{}{path}", server.base)).bearer_auth(&server.token);
        let page = send(request).await;
        seen.extend(page.ok()["batches"].as_array().unwrap().iter().map(|batch| id(batch).to_owned()));
        let link = page.header("link");
        assert_eq!(link.is_empty(), page.json()["next"].is_null(), "{page:?}");
        assert!(link.is_empty() || link.contains("limit=3") && link.contains("state=succeeded"), "{link}");
        address =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
        // Between two pages one comes, and one that was shown goes.
        server.finished(&server.demo(1, json!({})).await).await;
        let gone = server.delete(&format!("/batches/{}", seen[seen.len() - 1])).await;
        assert_eq!(gone.status, 204, "{gone:?}");
    }
    made.reverse();
    assert_eq!(seen, made, "nothing is repeated and nothing left out");
    for cursor in ["nonsense", "1.5", "99999999999999999999", "%00"] {
        server.get(&format!("/batches?cursor={cursor}")).await.problem(400, "malformed");
    }
}

#[tokio::test]
async fn every_address_says_which_methods_it_takes() {
    let server = TestServer::start().await;
    let document = send(server.client.get(format!("{}/api/openapi.json", server.base))).await.ok();
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path.starts_with("/live") {
            continue;
        }
        let address = path
            .replace("{id}", "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
            .replace("{seq}", "1")
            .replace("{name}", "a");
        let asked = |method: Method| {
            server.client.request(method, format!("{}{address}", server.base)).bearer_auth(&server.token)
        };
        let mut expected: BTreeSet<String> =
            operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        let allowed = |header: &str| -> BTreeSet<String> {
            header.split(',').map(|method| method.trim().to_owned()).collect()
        };
        let refused = send(asked(Method::PUT)).await;
        refused.problem(405, "wrong_method");
        assert_eq!(allowed(refused.header("allow")), expected, "{path}");
        let options = send(asked(Method::OPTIONS)).await;
        assert_eq!(options.status, 204, "{path}: {options:?}");
        assert_eq!(allowed(options.header("allow")), expected, "{path}");
    }
}

/// Answers beside the schema that the document gives for them.
#[tokio::test]
async fn answers_are_as_the_document_says() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "params": {"fail_rate": 0.5, "log_lines": 1}, "items": {"count": 20},
        "options": {"attempts_max": 1}});
    let batch = server.finished(&server.post_json("/batches", &body).await.ok()).await;
    let document = send(server.client.get(format!("{}/api/openapi.json", server.base))).await.ok();
    let fits = |operation: &str, status: &str, answer: &Value| {
        let (path, method) = operation.split_once(' ').map(|(method, path)| (path, method)).unwrap();
        let mut answers = document["paths"][path][method]["responses"][status].clone();
        if let Some(reference) = answers["$ref"].as_str() {
            answers = document.pointer(reference.trim_start_matches('#')).unwrap().clone();
        }
        let content = answers["content"].as_object().unwrap_or_else(|| panic!("{operation}: {status}"));
        let mut schema = content.values().next().unwrap()["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(answer).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{operation}: {faults:?}: {answer}");
    };
    let failed = server.get(&format!("/batches/{}/items?state=failed", id(&batch))).await.ok();
    let item = format!("/items/{}", failed["items"][0]["seq"]);
    for (path, rest) in [
        ("/api/v1/tasks", "/tasks".to_owned()),
        ("/api/v1/nodes", "/nodes".to_owned()),
        ("/api/v1/batches", "/batches".to_owned()),
        ("/api/v1/batches/{id}", format!("/batches/{}", id(&batch))),
        ("/api/v1/batches/{id}/items", format!("/batches/{}/items?q=1", id(&batch))),
        ("/api/v1/batches/{id}/items/{seq}", format!("/batches/{}{item}", id(&batch))),
        ("/api/v1/batches/{id}/items/{seq}/log", format!("/batches/{}{item}/log", id(&batch))),
        ("/api/v1/batches/{id}/families", format!("/batches/{}/families", id(&batch))),
    ] {
        fits(&format!("get {path}"), "200", &server.get(&rest).await.ok());
    }
    for (operation, reply) in [
        ("post /api/v1/batches", server.post_json("/batches", &json!({"task": "none", "items": [1]})).await),
        ("post /api/v1/batches", server.post_json("/batches", &json!([])).await),
        ("get /api/v1/batches", server.get("/batches?limit=x").await),
        ("delete /api/v1/batches/{id}", server.delete("/batches/0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b").await),
    ] {
        fits(operation, reply.status.as_str(), &reply.json());
    }
}
