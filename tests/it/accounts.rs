//! The life of people and programs: added, changed, let in and out; their passwords, sessions and tokens; and the log of it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::people::PASSWORD;
use super::support::{PATIENCE, Reply, TestServer, client_builder, id, send};

/// A browser: keeps its cookies, follows no redirect.
struct Browser {
    client: reqwest::Client,
    base: String,
}

impl Browser {
    fn of(server: &TestServer) -> Self {
        let client = client_builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true);
        Self { client: client.build().unwrap(), base: server.base.clone() }
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.client.post(format!("{}{path}", self.base)).header("origin", &self.base);
        send(request.form(fields)).await
    }

    async fn sign_in(&self, name: &str, password: &str) -> StatusCode {
        self.post("/login", &[("name", name), ("password", password)]).await.status
    }

    async fn api(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        let request = request.header("origin", &self.base).header("user-agent", "tests/1");
        send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn status(&self, path: &str) -> u16 {
        self.api(Method::GET, path, None).await.status.as_u16()
    }
}

async fn ask(server: &TestServer, token: &str, method: Method, path: &str, body: Option<&Value>) -> Reply {
    let request = server.client.request(method, server.url(path)).bearer_auth(token);
    send(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn people_come_change_and_go(server: &TestServer) {
    // Without a password there is a link, which works once.
    let added = server.post_json("/people", &json!({"name": "ada", "role": "operator"})).await.ok();
    assert_eq!((&added["person"]["name"], &added["person"]["disabled"]), (&json!("ada"), &json!(false)));
    let link = added["link"].as_str().unwrap().to_owned();
    let browser = Browser::of(server);
    assert_eq!(browser.sign_in("ada", "").await, 401);
    assert_eq!(browser.post(&link, &[("password", "ada ada ada")]).await.status, 422);
    assert_eq!(browser.post(&link, &[("password", "correct horse battery")]).await.status, 303);
    assert_eq!(browser.status("/batches").await, 200);
    assert_eq!(browser.post(&link, &[("password", "another one of it")]).await.status, 404);

    // One's own password: the one until now is asked for, and other sessions end.
    let other = Browser::of(server);
    assert_eq!(other.sign_in("ada", "correct horse battery").await, 303);
    let change = |current: &str, new: &str| json!({"current": current, "new": new});
    let wrong = browser.api(Method::POST, "/password", Some(&change("nonsense", "kelp vane otter"))).await;
    wrong.problem(403, "not_allowed");
    for bad in ["short", "password", "12345678", "adaadaada", &"x".repeat(257)] {
        let refused =
            browser.api(Method::POST, "/password", Some(&change("correct horse battery", bad))).await;
        refused.problem(422, "invalid");
    }
    let changed = browser
        .api(Method::POST, "/password", Some(&change("correct horse battery", "kelp vane otter")))
        .await;
    assert_eq!(changed.status, 204, "{changed:?}");
    assert_eq!((browser.status("/batches").await, other.status("/batches").await), (200, 401));
    assert_eq!(other.sign_in("ada", "correct horse battery").await, 401);
    assert_eq!(other.sign_in("ada", "kelp vane otter").await, 303);

    // Sessions have a device and a place, and end one by one or all but one's own.
    let page = browser.api(Method::GET, "/sessions", None).await.ok();
    let sessions = page["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{page}");
    assert_eq!(sessions.iter().filter(|session| session["current"] == true).count(), 1);
    assert!(sessions.iter().all(|session| session["address"] == "127.0.0.1"), "{page}");
    let theirs = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/sessions/{}", theirs["id"].as_str().unwrap());
    assert_eq!(browser.api(Method::DELETE, &path, None).await.status, 204);
    browser.api(Method::DELETE, &path, None).await.problem(404, "not_found");
    assert_eq!(other.status("/batches").await, 401);
    assert_eq!(other.sign_in("ada", "kelp vane otter").await, 303);
    assert_eq!(browser.api(Method::DELETE, "/sessions", None).await.status, 204);
    assert_eq!((browser.status("/batches").await, other.status("/batches").await), (200, 401));
    browser.api(Method::GET, "/sessions?person=*", None).await.problem(403, "not_allowed");

    // A role holds from the next request on.
    let role = |role: &str| json!({"role": role});
    let patched = send(server.request(Method::PATCH, "/people/ada").json(&role("viewer"))).await.ok();
    assert_eq!(patched["role"], "viewer");
    let body = json!({"task": "demo", "items": {"count": 1}});
    browser.api(Method::POST, "/batches", Some(&body)).await.problem(403, "not_allowed");
    send(server.request(Method::PATCH, "/people/ada").json(&role("operator"))).await.ok();
    browser.api(Method::POST, "/batches", Some(&body)).await.ok();

    // Disabled, they are out, with all that they made; enabled again, their password is what it was.
    let token = browser.api(Method::POST, "/tokens", Some(&json!({"name": "hers"}))).await.ok();
    let token = token["secret"].as_str().unwrap();
    ask(server, token, Method::GET, "/batches", None).await.ok();
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"disabled": true}))).await.ok();
    assert_eq!(browser.status("/batches").await, 401);
    ask(server, token, Method::GET, "/batches", None).await.problem(401, "not_signed_in");
    assert_eq!(browser.sign_in("ada", "kelp vane otter").await, 401);
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"disabled": false}))).await.ok();
    assert_eq!(browser.sign_in("ada", "kelp vane otter").await, 303);

    // A reset leaves the password until its link is used; a newer link voids it.
    let first = server.post("/people/ada/reset").await.ok()["link"].as_str().unwrap().to_owned();
    let second = server.post("/people/ada/reset").await.ok()["link"].as_str().unwrap().to_owned();
    assert_eq!(browser.status("/batches").await, 200);
    assert_eq!(other.post(&first, &[("password", "yet another word")]).await.status, 404);
    assert_eq!(other.post(&second, &[("password", "yet another word")]).await.status, 303);
    assert_eq!((browser.status("/batches").await, other.status("/batches").await), (401, 200));
    for (method, path) in [(Method::PATCH, "/people/eve"), (Method::POST, "/people/eve/reset")] {
        send(server.request(method, path).json(&role("viewer"))).await.problem(404, "not_found");
    }
    let again = server.post_json("/people", &json!({"name": "ada", "role": "viewer"})).await;
    again.problem(422, "invalid");
}

#[tokio::test]
async fn people_come_change_and_go_on_sqlite() {
    people_come_change_and_go(&TestServer::start().await).await;
}

/// Signing in on Postgres once there was somebody to sign in: the look for people asked for a number of another width.
#[tokio::test]
async fn people_come_change_and_go_on_postgres() {
    if let Some(mut server) = TestServer::start_on(Cluster::shared(), &[]).await {
        people_come_change_and_go(&server).await;
        server.kill().await;
        server.spawn_again().await;
        assert_eq!(Browser::of(&server).sign_in("ada", "yet another word").await, 303);
    }
}

#[tokio::test]
async fn the_last_admin_stays() {
    let server = TestServer::start().await;
    server.add_person("ada", "admin").await;
    let patch = async |name: &str, body: Value| {
        send(server.request(Method::PATCH, &format!("/people/{name}")).json(&body)).await
    };
    patch("ada", json!({"disabled": true})).await.problem(422, "invalid");
    patch("ada", json!({"role": "viewer"})).await.problem(422, "invalid");
    server.add_person("bob", "admin").await;
    patch("ada", json!({"role": "viewer"})).await.ok();
    patch("bob", json!({"disabled": true})).await.problem(422, "invalid");
}

#[tokio::test]
async fn tokens_are_never_more_than_their_makers() {
    let server = TestServer::start().await;
    server.add_person("ada", "operator").await;
    let ada = Browser::of(&server);
    assert_eq!(ada.sign_in("ada", PASSWORD).await, 303);
    let make = async |body: Value| ada.api(Method::POST, "/tokens", Some(&body)).await;
    make(json!({"name": "up", "role": "admin"})).await.problem(403, "not_allowed");
    make(json!({"name": "a b"})).await.problem(422, "invalid");
    make(json!({"name": "x", "expires_in_seconds": 5})).await.problem(422, "invalid");
    make(json!({"name": "x", "scope": "read"})).await.problem(422, "invalid");
    let secret = async |body: Value| make(body).await.ok()["secret"].as_str().unwrap().to_owned();
    let reads = secret(json!({"name": "reads", "scopes": ["read"]})).await;
    let submits = secret(json!({"name": "submits", "scopes": ["submit"]})).await;
    let acts = secret(json!({"name": "acts", "scopes": ["act"]})).await;
    let all = secret(json!({"name": "all"})).await;
    let body = json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": 1}});
    let batch = ask(&server, &submits, Method::POST, "/batches", Some(&body)).await.ok();
    assert_eq!(batch["owner"], "ada");
    let path = format!("/batches/{}", id(&batch));
    let pause = format!("{path}/pause");
    for (token, sees, submits, acts) in [
        (&reads, true, false, false),
        (&submits, false, true, false),
        (&acts, false, false, true),
        (&all, true, true, true),
    ] {
        let may = |allowed: bool| if allowed { [200, 201] } else { [403, 403] };
        let got = ask(&server, token, Method::GET, &path, None).await.status.as_u16();
        assert!(may(sees).contains(&got), "{got}");
        let got = ask(&server, token, Method::POST, "/batches", Some(&body)).await.status.as_u16();
        assert!(may(submits).contains(&got), "{got}");
        let got = ask(&server, token, Method::POST, &pause, None).await.status.as_u16();
        assert!(may(acts).contains(&got), "{got}");
        // None of them makes tokens but the one that is all that its maker is.
        let got = ask(&server, token, Method::GET, "/tokens", None).await.status.as_u16();
        assert!(may(sees && submits).contains(&got), "{got}");
    }

    // Not even that one makes others, which would stay when it is revoked.
    let more = json!({"name": "more"});
    ask(&server, &all, Method::POST, "/tokens", Some(&more)).await.problem(403, "not_allowed");

    // One task, one batch.
    let of_task = secret(json!({"name": "of-task", "task": "checksum"})).await;
    let of_batch = secret(json!({"name": "of-batch", "batch": id(&batch)})).await;
    ask(&server, &of_task, Method::GET, &path, None).await.problem(404, "not_found");
    ask(&server, &of_task, Method::POST, "/batches", Some(&body)).await.problem(403, "not_allowed");
    ask(&server, &of_batch, Method::POST, "/batches", Some(&body)).await.problem(403, "not_allowed");
    ask(&server, &of_batch, Method::GET, &path, None).await.ok();
    let listed = ask(&server, &of_batch, Method::GET, "/batches", None).await.ok();
    assert_eq!(listed["batches"].as_array().unwrap().len(), 1, "{listed}");
    let listed = ask(&server, &of_task, Method::GET, "/batches", None).await.ok();
    assert!(listed["batches"].as_array().unwrap().is_empty(), "{listed}");
    for token in [&of_task, &of_batch] {
        for path in ["/nodes", "/tokens", "/sessions", "/webhooks/secret"] {
            ask(&server, token, Method::GET, path, None).await.problem(403, "not_allowed");
        }
    }

    // A person who may less from now on has tokens that may less.
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"role": "viewer"}))).await.ok();
    ask(&server, &all, Method::POST, "/batches", Some(&body)).await.problem(403, "not_allowed");

    // Others' tokens are not theirs to see or take away.
    server.add_person("bob", "operator").await;
    let bob = Browser::of(&server);
    assert_eq!(bob.sign_in("bob", PASSWORD).await, 303);
    bob.api(Method::DELETE, "/tokens/all", None).await.problem(404, "not_found");
    assert!(bob.api(Method::GET, "/tokens", None).await.ok()["tokens"].as_array().unwrap().is_empty());
    assert_eq!(ada.api(Method::DELETE, "/tokens/all", None).await.status, 204);
    ask(&server, &all, Method::GET, "/batches", None).await.problem(401, "not_signed_in");
}

#[tokio::test]
async fn a_name_given_anew_owns_nothing_of_the_old_one() {
    let server = TestServer::start().await;
    let old = server.make_token("ci", "operator").await;
    let body = json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": 1},
        "options": {"private": true}});
    let batch = ask(&server, &old, Method::POST, "/batches", Some(&body)).await.ok();
    let path = format!("/batches/{}", id(&batch));
    assert_eq!(server.delete("/tokens/ci").await.status, 204);
    let new = server.make_token("ci", "operator").await;
    ask(&server, &new, Method::GET, &path, None).await.problem(404, "not_found");
    ask(&server, &new, Method::POST, &format!("{path}/cancel"), None).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_token_ends_when_its_time_has_come() {
    let folder_clock = TestServer::start().await;
    let made =
        folder_clock.post_json("/tokens", &json!({"name": "brief", "expires_in_seconds": 60})).await.ok();
    let (secret, token) = (made["secret"].as_str().unwrap(), &made["token"]);
    assert!(token["expires_at"].as_str().unwrap() > token["created_at"].as_str().unwrap(), "{made}");
    ask(&folder_clock, secret, Method::GET, "/batches", None).await.ok();
    let waits = async {
        while ask(&folder_clock, secret, Method::GET, "/batches", None).await.status.is_success() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, waits).await.expect("it ends after a minute");
}

#[tokio::test]
async fn whoever_guesses_keeps_nobody_out_who_is_known() {
    let server = TestServer::start().await;
    server.add_person("ada", "operator").await;
    let known = Browser::of(&server);
    assert_eq!(known.sign_in("ada", PASSWORD).await, 303);
    known.post("/logout", &[]).await;
    let guesser = Browser::of(&server);
    let mut looked_at = 0;
    for _ in 0..30 {
        let status = guesser.sign_in("ada", "a wrong guess").await;
        looked_at += u32::from(status == 401);
    }
    assert!((10..=20).contains(&looked_at), "{looked_at} guesses were looked at");
    // A try comes back every six seconds: on a slow machine it may be there just now, and a guess takes it.
    let mut right = 0;
    for _ in 0..5 {
        while guesser.sign_in("ada", "a wrong guess").await != 429 {}
        right = guesser.sign_in("ada", PASSWORD).await.as_u16();
        if right == 429 {
            break;
        }
    }
    assert_eq!(right, 429, "the right one is a guess like any other");
    assert_eq!(known.sign_in("ada", PASSWORD).await, 303);
    // Nobody else passes with what the browser keeps.
    assert_eq!(known.sign_in("bob", PASSWORD).await, 429);
    let log = server.log();
    assert_eq!(log.matches("too many tries to sign in").count(), 1, "{log}");
}

#[tokio::test]
async fn nobody_guesses_a_password_at_a_session_of_another() {
    let server = TestServer::start().await;
    for name in ["ada", "bob"] {
        server.add_person(name, "operator").await;
    }
    let ada = Browser::of(&server);
    assert_eq!(ada.sign_in("ada", PASSWORD).await, 303);
    let guess = json!({"current": "a wrong guess", "new": "kelp vane otter"});
    let mut looked_at = 0;
    let refused = loop {
        let reply = ada.api(Method::POST, "/password", Some(&guess)).await;
        if reply.status != 403 || looked_at > 20 {
            break reply;
        }
        looked_at += 1;
    };
    refused.problem(429, "too_many");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1, "{refused:?}");
    assert!((10..=20).contains(&looked_at), "{looked_at} guesses were looked at");
    let right = json!({"current": PASSWORD, "new": "kelp vane otter"});
    ada.api(Method::POST, "/password", Some(&right)).await.problem(429, "too_many");
    let bob = Browser::of(&server);
    assert_eq!(bob.sign_in("bob", PASSWORD).await, 303);
    assert_eq!(bob.api(Method::POST, "/password", Some(&right)).await.status, 204, "each for themselves");
}

#[tokio::test]
async fn who_did_what_is_in_the_log() {
    let server = TestServer::start().await;
    server.add_person("ada", "operator").await;
    let ada = Browser::of(&server);
    assert_eq!(ada.sign_in("ada", "a wrong guess").await, 401);
    assert_eq!(ada.sign_in("ada", PASSWORD).await, 303);
    let body = json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": 3}});
    let batch = ada.api(Method::POST, "/batches", Some(&body)).await.ok();
    for act in ["pause", "resume", "cancel"] {
        ada.api(Method::POST, &format!("/batches/{}/{act}", id(&batch)), None).await.ok();
    }
    let token = ada.api(Method::POST, "/tokens", Some(&json!({"name": "hers"}))).await.ok();
    assert_eq!(ada.api(Method::DELETE, "/tokens/hers", None).await.status, 204);
    let schedule = json!({"cron": "0 3 * * *", "batch": {"task": "demo", "items": {"count": 1}}});
    let schedule = ada.api(Method::POST, "/schedules", Some(&schedule)).await.ok();
    let of_schedule = format!("/schedules/{}", schedule["id"].as_str().unwrap());
    ada.api(Method::PATCH, &of_schedule, Some(&json!({"name": "nightly"}))).await.ok();
    ada.api(Method::POST, &format!("{of_schedule}/run"), None).await.ok();
    assert_eq!(ada.api(Method::DELETE, &of_schedule, None).await.status, 204);
    let page = server.get("/audit?who=ada").await.ok();
    let entries = page["entries"].as_array().unwrap();
    let acts: Vec<&str> = entries.iter().rev().map(|entry| entry["act"].as_str().unwrap()).collect();
    let expected = [
        "sign_in.refused",
        "sign_in",
        "batch.submit",
        "batch.pause",
        "batch.resume",
        "batch.cancel",
        "token.add",
        "token.revoke",
        "schedule.add",
        "schedule.change",
        "batch.submit",
        "schedule.delete",
    ];
    assert_eq!(acts, expected);
    assert!(entries.iter().all(|entry| entry["address"] == "127.0.0.1"), "{page}");
    assert_eq!(entries[6]["object"], batch["id"]);
    assert_eq!((&entries[6]["via"], &entries[11]["via"]), (&json!("session"), &json!("nobody")));
    // What is exported is the same, and holds no secret.
    let export = server.get("/audit/export").await;
    assert!(export.status.is_success());
    assert!(export.text.lines().count() >= expected.len());
    for secret in [token["secret"].as_str().unwrap(), PASSWORD, &server.token] {
        assert!(!export.text.contains(secret) && !server.log().contains(secret));
    }
    let own = server.get(&format!("/audit?object={}&limit=2", id(&batch))).await.ok();
    assert_eq!(own["entries"].as_array().unwrap().len(), 2);
    assert!(own["next"].is_string());
    ada.api(Method::GET, "/audit", None).await.problem(403, "not_allowed");
    ada.api(Method::GET, "/audit/export", None).await.problem(403, "not_allowed");
}

#[tokio::test]
async fn commands_do_the_same() {
    let server = TestServer::start().await;
    server.add_person("ada", "viewer").await;
    let run = async |arguments: &[&str]| {
        let output = server.command(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["user", "role", "ada", "operator", "--data", "data"]).await;
    let browser = Browser::of(&server);
    assert_eq!(browser.sign_in("ada", PASSWORD).await, 303);
    let body = json!({"task": "demo", "items": {"count": 1}});
    browser.api(Method::POST, "/batches", Some(&body)).await.ok();
    let sessions = run(&["user", "sessions", "ada", "--data", "data"]).await;
    assert!(sessions.starts_with("ada\t") && sessions.contains("127.0.0.1"), "{sessions}");
    run(&["user", "sign-out", "ada", "--data", "data"]).await;
    assert_eq!(browser.status("/batches").await, 401);
    run(&["user", "disable", "ada", "--data", "data"]).await;
    run(&["user", "enable", "ada", "--data", "data"]).await;
    let link = run(&["user", "reset", "ada", "--data", "data"]).await;
    assert_eq!(browser.post(link.trim(), &[("password", "kelp vane otter")]).await.status, 303);
    let scoped = run(&[
        "token",
        "create",
        "--name",
        "ci",
        "--role",
        "operator",
        "--scope",
        "read,submit",
        "--task",
        "demo",
        "--expires-in-days",
        "1",
        "--data",
        "data",
    ])
    .await;
    ask(&server, scoped.trim(), Method::POST, "/batches", Some(&body)).await.ok();
    ask(&server, scoped.trim(), Method::GET, "/nodes", None).await.problem(403, "not_allowed");
    let listed = run(&["token", "list", "--data", "data"]).await;
    let row = listed.lines().find(|row| row.starts_with("ci\t")).unwrap();
    assert!(row.contains("read,submit,task=demo"), "{row}");
}
