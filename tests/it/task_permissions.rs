//! Who may run a task and who may see it, through every door: API, pages, live topics, schedules, what follows a batch.

use reqwest::Method;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::live_client::LiveClient;
use super::support::{Reply, TestServer, id, number, send};

const PERMISSIONS: &str = r#"
[permissions.demo]
run = ["token:ada", "token:eve"]
see = ["token:ada", "token:bob"]
"#;

/// Callers of one installation.
struct Callers {
    ada: String,
    bob: String,
    eve: String,
}

async fn ask(server: &TestServer, token: &str, method: Method, path: &str, body: &Value) -> Reply {
    send(server.client.request(method, server.url(path)).bearer_auth(token).json(body)).await
}

async fn get(server: &TestServer, token: &str, path: &str) -> Reply {
    send(server.client.get(server.url(path)).bearer_auth(token)).await
}

async fn permissions_hold(server: &TestServer, callers: &Callers) {
    let Callers { ada, bob, eve } = callers;
    let body =
        json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": 2}, "name": "hers"});
    let hers = ask(server, ada, Method::POST, "/batches", &body).await.ok();
    let path = format!("/batches/{}", id(&hers));
    // Seen and not run; neither seen nor run, also by who is named to run it: as if there were no such task.
    ask(server, bob, Method::POST, "/batches", &body).await.problem(403, "not_allowed");
    ask(server, eve, Method::POST, "/batches", &body).await.problem(422, "unknown_task");
    for (token, shown, runs) in
        [(ada, true, true), (bob, true, false), (eve, false, false), (&server.token, true, true)]
    {
        let status = |shown: bool| if shown { 200 } else { 404 };
        for part in ["", "/items", "/items/1", "/families", "/results", "/items/1/log"] {
            let reply = get(server, token, &format!("{path}{part}")).await;
            assert_eq!(reply.status, status(shown), "{part}: {reply:?}");
        }
        let listed = get(server, token, "/batches").await.ok();
        assert_eq!(listed["batches"].as_array().unwrap().len(), usize::from(shown), "{listed}");
        let tasks = get(server, token, "/tasks").await.ok();
        let named = tasks["tasks"].as_array().unwrap().iter().any(|task| task["name"] == "demo");
        assert_eq!(named, runs, "{tasks}");
        let page =
            send(server.client.get(&server.base).bearer_auth(token).header("accept", "text/html")).await;
        assert_eq!(page.text.contains("hers"), shown);
        let mut live = LiveClient::connect_as(server, token).await;
        live.subscribe("batches", None).await;
        let known = live.until("batches", |known| known.snapshots > 0).await;
        assert_eq!(known.rows.len(), usize::from(shown), "{:?}", known.rows);
        for topic in ["", "/strip", "/families", "/items/1-2", "/progress"] {
            let topic = format!("batch/{}{topic}", id(&hers));
            live.subscribe(&topic, None).await;
            let frame = live.next().await.unwrap();
            assert_eq!(frame.get("error").is_none(), shown, "{topic}: {frame}");
        }
    }

    // What comes while somebody listens goes to those who may see it.
    let mut hidden = LiveClient::connect_as(server, eve).await;
    let mut seen = LiveClient::connect_as(server, bob).await;
    for live in [&mut hidden, &mut seen] {
        live.subscribe("batches", None).await;
        live.until("batches", |known| known.snapshots > 0).await;
    }
    let later = ask(server, ada, Method::POST, "/batches", &body).await.ok();
    seen.until("batches", |known| known.rows.contains_key(&later["id"].to_string())).await;
    let open = json!({"task": "csv-check", "items": [{"a": "1"}], "name": "of all", "params": {"columns": {"a": "integer"}}});
    let open = ask(server, eve, Method::POST, "/batches", &open).await.ok();
    let known = hidden.until("batches", |known| known.rows.contains_key(&open["id"].to_string())).await;
    assert!(!known.rows.contains_key(&later["id"].to_string()), "{:?}", known.rows);
    let page = send(server.client.get(&server.base).bearer_auth(eve).header("accept", "text/html")).await;
    assert!(page.text.contains("of all") && !page.text.contains("hers"), "{}", page.text);

    // Not by a detour: what follows a batch, a schedule, an act that runs it again.
    let params = json!({"columns": {"a": "integer"}});
    let then = json!({"task": "csv-check", "items": [{"a": "1"}], "params": params,
        "options": {"then": {"task": "csv-check", "items": [{"a": "1"}], "params": params, "options": {"then": body}}}});
    ask(server, bob, Method::POST, "/batches", &then).await.problem(403, "not_allowed");
    ask(server, eve, Method::POST, "/batches", &then).await.problem(422, "unknown_task");
    let cron = json!({"cron": "0 3 * * *", "batch": body});
    ask(server, bob, Method::POST, "/schedules", &cron).await.problem(403, "not_allowed");
    ask(server, eve, Method::POST, "/schedules", &cron).await.problem(422, "unknown_task");
    let schedule = ask(server, ada, Method::POST, "/schedules", &cron).await.ok();
    let of_schedule = format!("/schedules/{}", schedule["id"].as_str().unwrap());
    assert_eq!(get(server, bob, &of_schedule).await.status, 200);
    assert_eq!(get(server, eve, &of_schedule).await.status, 404);
    let listed = get(server, eve, "/schedules").await.ok();
    assert!(listed["schedules"].as_array().unwrap().is_empty(), "{listed}");
    // A token of one task has no detour to another, either.
    let of_task = json!({"name": "narrow", "task": "csv-check"});
    let narrow = server.post_json("/tokens", &of_task).await.ok()["secret"].as_str().unwrap().to_owned();
    ask(server, &narrow, Method::POST, "/batches", &then).await.problem(403, "not_allowed");
    assert_eq!(number(&get(server, ada, &path).await.ok(), "total"), 2);
}

async fn start(cluster: Option<&Cluster>) -> (TestServer, Callers) {
    let url = cluster.map(Cluster::database);
    let mut settings = vec![("MILEPOST_CONFIG", "milepost.toml")];
    settings.extend(url.as_deref().map(|url| ("MILEPOST_DATABASE_URL", url)));
    let mut server = TestServer::bare(&settings);
    std::fs::write(server.folder.path().join("milepost.toml"), PERMISSIONS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    let callers = Callers {
        ada: server.make_token("ada", "operator").await,
        bob: server.make_token("bob", "operator").await,
        eve: server.make_token("eve", "operator").await,
    };
    server.spawn().await;
    (server, callers)
}

#[tokio::test]
async fn permissions_hold_on_sqlite() {
    let (server, callers) = start(None).await;
    permissions_hold(&server, &callers).await;
}

#[tokio::test]
async fn permissions_hold_on_postgres() {
    if let Some(cluster) = Cluster::shared() {
        let (server, callers) = start(Some(cluster)).await;
        permissions_hold(&server, &callers).await;
    }
}

/// Whoever may not run a task any more cannot have a batch of it go on.
#[tokio::test]
async fn a_right_that_was_taken_away_runs_nothing_more() {
    let (mut server, callers) = start(None).await;
    let body = json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": 2}});
    let hers = ask(&server, &callers.ada, Method::POST, "/batches", &body).await.ok();
    let path = format!("/batches/{}", id(&hers));
    ask(&server, &callers.ada, Method::POST, &format!("{path}/pause"), &json!({})).await.ok();
    server.kill().await;
    let run = "[permissions.demo]\nrun = []\n";
    std::fs::write(server.folder.path().join("milepost.toml"), run).unwrap();
    server.spawn_again().await;
    let act = async |act: &str| {
        ask(&server, &callers.ada, Method::POST, &format!("{path}/{act}"), &json!({})).await
    };
    act("resume").await.problem(403, "not_allowed");
    act("cancel").await.ok();
    server.finished(&hers).await;
    act("retry").await.problem(403, "not_allowed");
    let admins =
        send(server.request(Method::POST, &format!("{path}/retry")).json(&json!({"states": ["cancelled"]})));
    admins.await.ok();
}
