//! Batches that come from others: failed rows, mended and submitted as a child.

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{Reply, TestServer, id, send};

const CHECK: &str = r#"{"columns":{"age":"integer"}}"#;

async fn submit(server: &TestServer, rows: &str, options: &Value) -> Reply {
    let query = [("task", "csv-check"), ("params", CHECK), ("options", &options.to_string())];
    let request = server.request(Method::POST, "/batches").query(&query);
    send(request.header("content-type", "text/csv").body(rows.to_owned())).await
}

async fn children(server: &TestServer, parent: &Value) -> Vec<Value> {
    let page = server.get(&format!("/batches?parent={}", id(parent))).await.ok();
    page["batches"].as_array().unwrap().iter().map(|batch| batch["id"].clone()).collect()
}

async fn children_know_their_parent(server: &TestServer) {
    let parent = submit(server, "name,age\nada,36\nbob,x\n", &json!({})).await.ok();
    let parent = server.finished(&parent).await;
    assert_eq!((&parent["parent"], &parent["state"]), (&Value::Null, &json!("failed")));
    assert!(children(server, &parent).await.is_empty());
    let failed = server.get(&format!("/batches/{}/results?format=csv&only=failed", id(&parent))).await.text;

    // By the query of a stream, in JSON, in a form, and of numbers.
    let options = json!({"parent": id(&parent)});
    let mended = submit(server, &failed.replace(",x,", ",40,"), &options).await.ok();
    assert_eq!(server.finished(&mended).await["state"], "succeeded");
    let listed = server
        .post_json("/batches", &json!({"task": "demo", "options": options, "items": [1, 2]}))
        .await
        .ok();
    let counted = server
        .post_json("/batches", &json!({"task": "demo", "options": options, "items": {"count": 2}}))
        .await
        .ok();
    let form =
        Form::new().text("task", "demo").text("option.parent", id(&parent).to_owned()).text("lines", "1");
    let posted = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    let all = [&posted, &counted, &listed, &mended];
    for child in all {
        assert_eq!(child["parent"], parent["id"]);
        assert_eq!(server.get(&format!("/batches/{}", id(child))).await.ok()["parent"], parent["id"]);
    }
    assert_eq!(children(server, &parent).await, all.map(|child| child["id"].clone()));
    assert!(children(server, &mended).await.is_empty());

    // Both pages say so, before any script.
    let page = |path: String| {
        let request = server.client.get(format!("{}{path}", server.base)).bearer_auth(&server.token);
        async move { send(request.header("accept", "text/html")).await.text }
    };
    let text = page(format!("/batches/{}", id(&parent))).await;
    for child in all {
        assert!(text.contains(&format!("href=\"/batches/{}\"", id(child))), "{text}");
    }
    let text = page(format!("/batches/{}", id(&mended))).await;
    assert!(text.contains(&format!("href=\"/batches/{}\"", id(&parent))), "{text}");
    let text = page(format!("/new?task=csv-check&parent={}", id(&parent))).await;
    let field = format!("name=\"option.parent\" value=\"{}\"", id(&parent));
    assert!(text.contains(&field), "{text}");
    assert!(
        text.contains("&quot;age&quot;") || text.contains("\"age\""),
        "its parameters are taken over: {text}"
    );
}

#[tokio::test]
async fn children_know_their_parent_on_sqlite() {
    children_know_their_parent(&TestServer::start().await).await;
}

#[tokio::test]
async fn children_know_their_parent_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        children_know_their_parent(&server).await;
    }
}

#[tokio::test]
async fn a_parent_must_be_seen() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "options": {"private": true}, "items": {"count": 1}});
    let hidden = server.post_json("/batches", &body).await.ok();
    let other = server.make_token("other", "operator").await;
    let by_other = |body: Value| {
        let request = server.client.post(server.url("/batches")).bearer_auth(&other).json(&body);
        async move { send(request).await }
    };
    let child = |parent: &str| json!({"task": "demo", "options": {"parent": parent}, "items": {"count": 1}});
    let unseen = by_other(child(id(&hidden))).await.problem(422, "invalid");
    let missing = by_other(child("01980000-0000-7000-8000-000000000000")).await.problem(422, "invalid");
    assert_eq!(unseen["detail"], missing["detail"]);
    server.post_json("/batches", &child("12")).await.problem(422, "invalid");
    server.get("/batches?parent=12").await.problem(400, "malformed");
    let then = json!({"task": "demo", "items": {"count": 1},
        "options": {"then": {"task": "demo", "items": {"count": 1}, "options": {"parent": id(&hidden)}}}});
    server.post_json("/batches", &then).await.problem(422, "invalid");
    // Whose child it is stays said when the parent has gone.
    let kept = server.post_json("/batches", &child(id(&hidden))).await.ok();
    server.finished(&hidden).await;
    server.finished(&kept).await;
    assert_eq!(server.delete(&format!("/batches/{}", id(&hidden))).await.status, 204);
    assert_eq!(server.get(&format!("/batches/{}", id(&kept))).await.ok()["parent"], hidden["id"]);
    let page = server.client.get(format!("{}/batches/{}", server.base, id(&kept))).bearer_auth(&server.token);
    assert_eq!(send(page.header("accept", "text/html")).await.status, 200);
}
