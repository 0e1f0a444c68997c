//! What can be looked at and asked of a batch: the routes of SURFACE §4 that carry no items.
//!
//! Every answer has exactly the documented members, and its states add up.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{TestServer, assert_sums, id, number, send};

const BATCH: &str = "id number name task params owner parent schedule state reason sealed expected rev total pending running retrying \
                     succeeded failed cancelled rate_per_s eta_ms created_at start_at started_at finished_at \
                     rested_ms retry";

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_has(value: &Value, names: &str) {
    let found = members(value);
    for name in names.split_whitespace() {
        assert!(found.contains(name), "{name} in {value}");
    }
}

#[tokio::test]
async fn a_batch_from_create_to_delete() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "name": "June", "items": ["a", {"b": 1.10}, 3]});
    let reply = server.post_json("/batches", &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let batch = reply.json();
    assert_eq!(reply.header("location"), format!("/api/v1/batches/{}", id(&batch)));
    assert_eq!(members(&batch), BATCH.split_whitespace().collect());
    assert_sums(&batch);
    assert_eq!(
        (&batch["name"], &batch["task"], &batch["owner"]),
        (&json!("June"), &json!("demo"), &json!("token:admin"))
    );
    assert_eq!((&batch["sealed"], &batch["total"], &batch["number"]), (&json!(true), &json!(3), &json!(1)));

    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], &done["succeeded"]), (&json!("succeeded"), &json!(3)));
    assert!(number(&done, "rev") > number(&batch, "rev"));
    assert!(done["finished_at"].as_str().unwrap().ends_with('Z'));

    let path = format!("/batches/{}", id(&batch));
    let page = server.get(&format!("{path}/items?limit=2")).await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_has(&page["items"][0], "seq state attempts input progress result error family ms node files");
    assert_eq!(page["items"][1]["input"], json!({"b": 1.10}));
    let rest = server.get(&format!("{path}/items?after={}", page["next"])).await.ok();
    assert_eq!(rest["items"][0]["seq"], 3);
    assert_eq!(rest["next"], Value::Null);
    let item = server.get(&format!("{path}/items/2")).await.ok();
    assert_has(&item, "seq state attempts input result error family ms node files history log");
    assert_eq!(server.get(&format!("{path}/items/2/log?from=0")).await.ok(), json!({"from": 0, "text": ""}));
    server.get(&format!("{path}/items/4")).await.problem(404, "not_found");
    assert_eq!(server.get(&format!("{path}/families")).await.ok()["families"], json!([]));

    let gone = server.delete(&path).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    server.get(&path).await.problem(404, "not_found");
    server.delete(&path).await.problem(404, "not_found");
}

#[tokio::test]
async fn tasks_nodes_and_the_document_are_there() {
    let server = TestServer::start().await;
    let tasks = server.get("/tasks").await.ok();
    let demo = tasks["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "demo").unwrap();
    assert_has(demo, "name title description input params");
    assert_eq!(demo["params"]["properties"]["duration_ms"]["type"], "integer");
    let document = send(server.client.get(format!("{}/api/openapi.json", server.base))).await;
    assert_eq!(document.header("content-type"), "application/json");
    assert!(document.ok()["paths"]["/api/v1/batches"].is_object());

    let nodes = server.get("/nodes").await.ok();
    let node = nodes["nodes"][0].clone();
    assert_has(&node, "id name role version slots busy state heartbeat_age_ms rate_per_s");
    assert_eq!((&node["name"], &node["slots"], &node["state"]), (&json!("test"), &json!(8), &json!("up")));
    let drained = server.post(&format!("/nodes/{}/drain", node["id"].as_str().unwrap())).await.ok();
    assert_eq!(drained["id"], node["id"]);
    server.post("/nodes/none/drain").await.problem(404, "not_found");
}

#[tokio::test]
async fn lists_page_and_filter() {
    let server = TestServer::start().await;
    for at in 0..5 {
        let params = json!({"fail_rate": if at == 0 { 1.0 } else { 0.0 }});
        let options = json!({"attempts_max": 1});
        let body = json!({"task": "demo", "name": format!("n{at}"), "params": params, "options": options,
            "items": {"count": 2}});
        let batch = server.post_json("/batches", &body).await.ok();
        server.finished(&batch).await;
    }
    let names = |page: &Value| -> Vec<String> {
        page["batches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|batch| batch["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = server.get("/batches?limit=3").await.ok();
    assert_eq!(names(&first), ["n4", "n3", "n2"]);
    let cursor = first["next"].as_str().unwrap();
    let second = server.get(&format!("/batches?limit=3&cursor={cursor}")).await.ok();
    assert_eq!((names(&second), &second["next"]), (vec!["n1".to_owned(), "n0".to_owned()], &Value::Null));
    assert_eq!(names(&server.get("/batches?state=failed").await.ok()), ["n0"]);
    assert_eq!(names(&server.get("/batches?q=n3").await.ok()), ["n3"]);
    assert_eq!(names(&server.get("/batches?owner=nobody").await.ok()), [""; 0]);
    assert_eq!(names(&server.get("/batches?task=demo&limit=100000").await.ok()).len(), 5);
    server.get("/batches?state=done").await.problem(400, "malformed");
    server.get("/batches?limit=many").await.problem(400, "malformed");
    server.get("/batches?cursor=%21").await.problem(400, "malformed");
}

#[tokio::test]
async fn acts_do_what_their_names_say() {
    let server = TestServer::start().await;
    let batch = server.demo(100_000, json!({"duration_ms": 20})).await;
    let path = format!("/batches/{}", id(&batch));
    let act = async |name: &str| server.post(&format!("{path}/{name}")).await;
    let paused = act("pause").await.ok();
    assert_eq!(paused["state"], "paused");
    assert!(act("pause").await.ok()["rev"].as_u64() >= paused["rev"].as_u64());
    server.delete(&path).await.problem(409, "not_finished");
    assert_eq!(act("resume").await.ok()["state"].as_str().map(|state| state != "paused"), Some(true));
    let patch = json!({"name": "renamed", "concurrency": 2, "priority": 5});
    let patched = send(server.request(Method::PATCH, &path).json(&patch)).await.ok();
    assert_eq!(patched["name"], "renamed");
    send(server.request(Method::PATCH, &path).json(&json!({"nmae": "x"}))).await.problem(422, "invalid");
    send(server.request(Method::PATCH, &path).json(&json!({"concurrency": 0}))).await.problem(422, "invalid");
    send(server.request(Method::PATCH, &path)).await.problem(400, "malformed");
    let cancelled = act("cancel").await.ok();
    assert!(["cancelling", "cancelled"].contains(&cancelled["state"].as_str().unwrap()), "{cancelled}");
    let done = server.finished(&batch).await;
    assert_eq!(done["state"], "cancelled");
    assert_eq!(act("cancel").await.status, 200, "already so");
    act("pause").await.problem(409, "wrong_state");
    act("resume").await.problem(409, "wrong_state");
    assert_eq!(server.delete(&path).await.status, 204);
}

#[tokio::test]
async fn failures_have_families_and_are_retried() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "params": {"fail_rate": 0.5, "fail_attempts": 1, "log_lines": 2},
        "options": {"attempts_max": 1}, "items": {"count": 40}});
    let batch = server.post_json("/batches", &body).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!(done["state"], "failed");
    let failed = number(&done, "failed");
    let path = format!("/batches/{}", id(&batch));
    let families = server.get(&format!("{path}/families")).await.ok();
    let families = families["families"].as_array().unwrap();
    assert_eq!(families.iter().map(|family| number(family, "count")).sum::<u64>(), failed);
    assert_has(&families[0], "id message count first_at last_at samples");
    let family = families[0]["id"].as_str().unwrap();
    let of_family = server.get(&format!("{path}/items?family={family}&limit=500")).await.ok();
    assert_eq!(of_family["items"].as_array().unwrap().len() as u64, number(&families[0], "count"));
    let listed = server.get(&format!("{path}/items?state=failed")).await.ok();
    let seq = number(&listed["items"][0], "seq");
    let item = server.get(&format!("{path}/items/{seq}")).await.ok();
    assert_eq!(item["history"][0]["outcome"], "failed");
    assert!(!item["log"].as_str().unwrap().is_empty());
    let log = server.get(&format!("{path}/items/{seq}/log?from=1")).await.ok();
    assert_eq!(log["text"].as_str().unwrap(), &item["log"].as_str().unwrap()[1..]);

    server
        .post_json(&format!("{path}/retry"), &json!({"family": family, "x": 1}))
        .await
        .problem(422, "invalid");
    server.post_json(&format!("{path}/retry"), &json!({"family": family})).await.ok();
    let again = server.finished(&batch).await;
    let left = failed - number(&families[0], "count");
    // A family that was retried fails again: `fail_attempts` counts attempts of this generation.
    assert!(number(&again, "failed") >= left, "{again}");
    let all = server.post(&format!("{path}/retry")).await.ok();
    assert_sums(&all);
    server.finished(&batch).await;
    let item = server.get(&format!("{path}/items/{seq}")).await.ok();
    assert!(item["history"].as_array().unwrap().len() >= 2, "{item}");
}

#[tokio::test]
async fn lists_give_inputs_as_they_were_written() {
    let server = TestServer::start().await;
    let line = r#"{"b":1.10,"a":12345678901234567890123}"#;
    let batch = server.post_body("/batches?task=demo", "application/x-ndjson", line).await.ok();
    let list = server.get(&format!("/batches/{}/items", id(&batch))).await.text;
    assert!(list.contains(line), "{list}");
}

#[tokio::test]
async fn items_are_listed_by_what_they_took_and_by_when_they_ended() {
    let server = TestServer::start().await;
    let params = json!({"duration_ms": 1, "fail_rate": 1.0, "fail_attempts": 9});
    let body =
        json!({"task": "demo", "params": params, "items": {"count": 9}, "options": {"attempts_max": 1}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.finished(&batch).await;
    let path = format!("/batches/{}/items", id(&batch));
    for sort in ["took", "ended"] {
        let (mut next, mut seen) = (String::new(), Vec::new());
        while seen.len() < 9 {
            let page = server.get(&format!("{path}?sort={sort}&limit=4&after={next}")).await;
            let link = page.header("link").to_owned();
            let page = page.ok();
            seen.extend(page["items"].as_array().unwrap().clone());
            let ended = page["ended_at"].as_array().map_or(0, Vec::len);
            assert_eq!(ended, if sort == "ended" { page["items"].as_array().unwrap().len() } else { 0 });
            next = page["next"].as_str().unwrap_or_default().to_owned();
            assert_eq!(link.contains(&format!("after={next}>")), !next.is_empty(), "{link}");
        }
        assert_eq!(next, "");
        let mut seqs: Vec<u64> = seen.iter().map(|item| number(item, "seq")).collect();
        if sort == "took" {
            assert!(seen.is_sorted_by_key(|item| std::cmp::Reverse(number(item, "ms"))), "{seen:?}");
        }
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=9).collect::<Vec<u64>>());
    }
    let families = server.get(&format!("/batches/{}/families", id(&batch))).await.ok();
    let family = &families["families"][0];
    let page = server.get(&format!("{path}?family={}&sort=took", family["id"].as_str().unwrap())).await.ok();
    assert_eq!(page["items"].as_array().unwrap().len() as u64, number(family, "count"));
    assert_eq!(page["family_message"], family["message"]);
    server.get(&format!("{path}?sort=seq")).await.problem(400, "malformed");
    server.get(&format!("{path}?sort=took&after=5")).await.problem(400, "malformed");
    server.get(&format!("{path}?sort=took&after=x-5")).await.problem(400, "malformed");
    server.get(&format!("{path}?after=7-5")).await.problem(400, "malformed");
    server.get(&format!("{path}?sort=took&q=a")).await.problem(422, "invalid");
    let document = send(server.client.get(format!("{}/api/openapi.json", server.base))).await.ok();
    let answers = &document["paths"]["/api/v1/batches/{id}/items"]["get"]["responses"];
    assert!(answers["422"].is_object(), "the document says so: {answers}");
}
