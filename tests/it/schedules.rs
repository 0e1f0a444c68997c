//! Schedules through the API: made, looked at, changed, asked to run, removed; who may, and what is refused.
//!
//! When they are due is tried in `schedules_due`.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{Reply, TestServer, id, send};

const SCHEDULE: &str = "id name owner cron time_zone in_words window overlap paused task items batch from_batch next_at \
                        next next_local waiting_for last_due_at last_batch last_error last_error_at created_at \
                        updated_at";

/// A schedule that is not due while a test runs: on the first of January.
pub fn yearly(batch: &Value) -> Value {
    json!({"cron": "@yearly", "batch": batch})
}

async fn patch(server: &TestServer, schedule: &Value, body: &Value) -> Reply {
    send(server.request(Method::PATCH, &format!("/schedules/{}", id(schedule))).json(body)).await
}

async fn inputs_and_states(server: &TestServer, batch: &Value) -> Vec<(Value, Value)> {
    let rows = server.rows(batch).await;
    rows.iter().map(|row| (row["input"].clone(), row["state"].clone())).collect()
}

async fn from_make_to_delete(server: &TestServer) {
    let saved = json!({"task": "demo", "params": {"fail_rate": 0.0}, "items": ["a", {"b": 1.10}, 3]});
    let body = json!({"name": " Nightly ", "cron": " 30 2 * * mon-fri", "time_zone": "europe/berlin",
        "batch": saved, "window": {"from": "22:00", "until": "06:00"}});
    let made = server.post_json("/schedules", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let schedule = made.json();
    let path = format!("/schedules/{}", id(&schedule));
    assert_eq!(made.header("location"), format!("/api/v1{path}"));
    let members: BTreeSet<&str> = schedule.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, SCHEDULE.split_whitespace().collect());
    assert_eq!(schedule["name"], "Nightly");
    assert_eq!((&schedule["owner"], &schedule["task"]), (&json!("token:admin"), &json!("demo")));
    assert_eq!(schedule["time_zone"], "Europe/Berlin");
    assert_eq!((&schedule["items"], &schedule["overlap"]), (&json!(3), &json!("skip")));
    assert_eq!(schedule["window"], json!({"from": "22:00", "until": "06:00"}));
    assert_eq!(schedule["next"].as_array().unwrap().len(), 5);
    assert_eq!(schedule["next"][0], schedule["next_at"]);
    assert!(schedule["next_local"].as_str().unwrap().contains("T02:30:00+0"), "{schedule}");
    assert_eq!(schedule["batch"]["items"], saved["items"]);
    assert_eq!(server.get(&path).await.ok(), schedule);

    let listed = server.get("/schedules").await.ok();
    assert_eq!((&listed["schedules"][0]["id"], &listed["next"]), (&schedule["id"], &Value::Null));
    assert_eq!(listed["schedules"][0]["batch"], Value::Null, "a list stays short");

    // Asked to run: as often as asked, each a batch of its own.
    let ran = server.post(&format!("{path}/run")).await;
    assert_eq!(ran.status, 201);
    let first = ran.json();
    assert_eq!(ran.header("location"), format!("/api/v1/batches/{}", id(&first)));
    assert_eq!((&first["schedule"], &first["name"]), (&schedule["id"], &json!("Nightly")));
    assert_eq!((&first["owner"], &first["sealed"]), (&json!("token:admin"), &json!(true)));
    let second = server.post(&format!("{path}/run")).await.ok();
    for batch in [&first, &second] {
        let done = server.finished(batch).await;
        assert_eq!((&done["state"], &done["total"]), (&json!("succeeded"), &json!(3)));
        assert_eq!(done["schedule"], schedule["id"]);
        let inputs: Vec<Value> = server.rows(batch).await.iter().map(|row| row["input"].clone()).collect();
        assert_eq!(Value::from(inputs), saved["items"]);
    }
    let now = server.get(&path).await.ok();
    assert_eq!((&now["last_batch"]["id"], &now["last_due_at"]), (&second["id"], &Value::Null));
    assert_eq!(now["last_batch"]["state"], "succeeded");
    assert_eq!(now["next_at"], schedule["next_at"]);

    // Paused, twice; changed; resumed.
    for _twice in 0..2 {
        let paused = server.post(&format!("{path}/pause")).await.ok();
        assert_eq!(
            (&paused["paused"], &paused["next_at"], &paused["next"]),
            (&json!(true), &Value::Null, &json!([]))
        );
    }
    let saved = json!({"task": "demo", "items": {"count": 7}, "options": {"private": true}, "name": "Own"});
    let change = json!({"name": "Weekly", "cron": "@weekly", "time_zone": "UTC", "overlap": "queue",
        "window": null, "batch": saved});
    let changed = patch(server, &schedule, &change).await.ok();
    assert_eq!((&changed["name"], &changed["cron"]), (&json!("Weekly"), &json!("@weekly")));
    assert_eq!((&changed["window"], &changed["overlap"]), (&Value::Null, &json!("queue")));
    assert_eq!((&changed["items"], &changed["next_at"]), (&json!(7), &Value::Null));
    let resumed = server.post(&format!("{path}/resume")).await.ok();
    assert_eq!(resumed["paused"], false);
    assert!(resumed["next_at"].as_str().unwrap().ends_with("T00:00:00.000Z"), "{resumed}");
    let batch = server.post(&format!("{path}/run")).await.ok();
    assert_eq!((&batch["name"], &batch["total"]), (&json!("Own"), &json!(7)));

    assert_eq!(server.delete(&path).await.status, 204);
    server.get(&path).await.problem(404, "not_found");
    server.delete(&path).await.problem(404, "not_found");
    server.post(&format!("{path}/run")).await.problem(404, "not_found");
    assert_eq!(server.get("/schedules").await.ok()["schedules"], json!([]));
    assert_eq!(server.finished(&batch).await["schedule"], schedule["id"], "its batches stay");
}

/// What a batch ran over is run over again, whatever becomes of it.
async fn what_was_saved_from_a_batch_outlives_it(server: &TestServer) {
    let files = ["one", "two", "sub/three"].map(|name| (name, name.repeat(300)));
    let mut form = Form::new().text("task", "checksum").text("name", "Three files");
    for (name, content) in &files {
        form = form.part("file", Part::bytes(content.clone().into_bytes()).file_name(*name));
    }
    let files_batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    let check = r#"{"columns":{"age":"integer"}}"#;
    let query = [("task", "csv-check"), ("params", check), ("name", "Rows")];
    let request = server.request(Method::POST, "/batches").query(&query);
    let rows_batch =
        send(request.header("content-type", "text/csv").body("name,age\nada,36\nbob,x\n")).await.ok();
    let numbers_batch = server.demo(2_500, json!({})).await;
    let sources = [files_batch, rows_batch, numbers_batch];
    let (mut schedules, mut before) = (Vec::new(), Vec::new());
    for source in &sources {
        server.finished(source).await;
        let body = json!({"cron": "@yearly", "from_batch": id(source)});
        let schedule = server.post_json("/schedules", &body).await.ok();
        assert_eq!((&schedule["name"], &schedule["items"]), (&source["name"], &source["total"]));
        assert_eq!(schedule["batch"]["params"], source["params"]);
        before.push((
            inputs_and_states(server, source).await,
            server.get(&format!("/batches/{}/results?format=csv", id(source))).await.text,
        ));
        schedules.push(schedule);
    }
    assert_eq!(schedules[0]["from_batch"], sources[0]["id"]);
    assert_eq!(schedules[2]["batch"]["items"], json!({"count": 2_500}));
    for source in &sources {
        assert_eq!(server.delete(&format!("/batches/{}", id(source))).await.status, 204);
    }
    for (schedule, (rows, csv)) in schedules.iter().zip(&before) {
        let batch = server.post(&format!("/schedules/{}/run", id(schedule))).await.ok();
        server.finished(&batch).await;
        assert_eq!(inputs_and_states(server, &batch).await, *rows);
        let found = server.get(&format!("/batches/{}/results?format=csv", id(&batch))).await.text;
        if rows.len() < 10 {
            assert_eq!(found, *csv);
        }
        assert_eq!(server.delete(&format!("/batches/{}", id(&batch))).await.status, 204);
        // Once more, when that one is gone as well.
        let batch = server.post(&format!("/schedules/{}/run", id(schedule))).await.ok();
        server.finished(&batch).await;
        assert_eq!(inputs_and_states(server, &batch).await, *rows);
    }
    // Its parameters can be changed, its items cannot.
    let wider = json!({"batch": {"task": "csv-check", "params": {"columns": {"age": "text"}}}});
    patch(server, &schedules[1], &wider).await.ok();
    let batch = server.post(&format!("/schedules/{}/run", id(&schedules[1]))).await.ok();
    assert_eq!(server.finished(&batch).await["state"], "succeeded");
    let others = json!({"batch": {"task": "csv-check", "items": [{"age": 1}]}});
    patch(server, &schedules[1], &others).await.problem(422, "invalid");
}

/// Under a key what is asked for is made once.
async fn a_key_makes_one(server: &TestServer) {
    let ask = |path: &str, key: &str, body: Option<&Value>| {
        let request = server.request(Method::POST, path).header("idempotency-key", key);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        async move { send(request).await }
    };
    let (one, two) = (
        yearly(&json!({"task": "demo", "items": {"count": 1}})),
        yearly(&json!({"task": "demo", "items": {"count": 2}})),
    );
    let many = futures_util::future::join_all((0..8).map(|_| ask("/schedules", "a", Some(&one)))).await;
    let made: Vec<&Reply> = many.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(made.len(), 1, "{many:?}");
    let schedule = made[0].json();
    for reply in &many {
        assert_eq!(id(&reply.ok()), id(&schedule));
    }
    assert_eq!(ask("/schedules", "a", Some(&one)).await.status, 200);
    ask("/schedules", "a", Some(&two)).await.problem(422, "idempotency_mismatch");
    assert_eq!(ask("/schedules", "b", Some(&one)).await.status, 201);
    ask("/schedules", "a b", Some(&one)).await.problem(400, "malformed");

    let path = format!("/schedules/{}/run", id(&schedule));
    let first = ask(&path, "run", None).await;
    let again = ask(&path, "run", None).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_ne!(ask(&path, "other", None).await.json()["id"], first.json()["id"]);
    ask("/batches", "run", Some(&one["batch"])).await.problem(422, "idempotency_mismatch");
    // A refusal frees the key.
    let wrong = "/schedules/01980000-0000-7000-8000-000000000000/run";
    ask(wrong, "free", None).await.problem(404, "not_found");
    assert_eq!(ask(&path, "free", None).await.status, 201);
}

#[tokio::test]
async fn a_key_makes_one_on_sqlite() {
    a_key_makes_one(&TestServer::start().await).await;
}

#[tokio::test]
async fn a_key_makes_one_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        a_key_makes_one(&server).await;
    }
}

#[tokio::test]
async fn from_make_to_delete_on_sqlite() {
    from_make_to_delete(&TestServer::start().await).await;
}

#[tokio::test]
async fn from_make_to_delete_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        from_make_to_delete(&server).await;
    }
}

#[tokio::test]
async fn what_was_saved_from_a_batch_outlives_it_on_sqlite() {
    let server = TestServer::start().await;
    what_was_saved_from_a_batch_outlives_it(&server).await;
    // With the last that names them, contents go.
    for list in ["schedules", "batches"] {
        let all = server.get(&format!("/{list}")).await.ok()[list].as_array().unwrap().clone();
        for one in &all {
            let path = format!("/{list}/{}", id(one));
            assert_eq!(server.delete(&path).await.status, 204, "{one}");
        }
    }
    let shelves = server.folder.path().join("data/files");
    let stored = || -> usize {
        let files = |folder: std::fs::DirEntry| std::fs::read_dir(folder.path()).unwrap().count();
        std::fs::read_dir(&shelves).unwrap().map(|shelf| files(shelf.unwrap())).sum()
    };
    let deadline = std::time::Instant::now() + super::support::PATIENCE;
    while stored() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} contents stay\n{}", stored(), server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_saved_from_a_batch_outlives_it_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        what_was_saved_from_a_batch_outlives_it(&server).await;
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_was_expected() {
    let server = TestServer::start().await;
    let one = json!({"task": "demo", "items": {"count": 1}});
    let refused = [
        (json!({"cron": "60 * * * *", "batch": one}), "invalid", "minute: expected 0 to 59"),
        (json!({"cron": "0 0 0 * * *", "batch": one}), "invalid", "seconds are not taken"),
        (json!({"cron": "@reboot", "batch": one}), "invalid", "@hourly"),
        (json!({"cron": "0 0 30 2 *", "batch": one}), "invalid", "never be due"),
        (json!({"cron": "@daily", "time_zone": "Berlin", "batch": one}), "invalid", "Europe/Berlin"),
        (json!({"cron": "@daily"}), "invalid", "either batch or from_batch"),
        (
            json!({"cron": "@daily", "batch": one, "from_batch": "01980000-0000-7000-8000-000000000000"}),
            "invalid",
            "either batch or from_batch",
        ),
        (
            json!({"cron": "@daily", "from_batch": "01980000-0000-7000-8000-000000000000"}),
            "invalid",
            "no such batch",
        ),
        (json!({"cron": "@daily", "batch": one, "overlap": "wait"}), "invalid", "skip"),
        (json!({"cron": "@daily", "batch": one, "name": " "}), "invalid", "name"),
        (json!({"cron": "@daily", "batch": one, "name": "x".repeat(201)}), "invalid", "name"),
        (json!({"cron": "@daily", "batch": one, "colour": 1}), "invalid", "colour"),
        (
            json!({"cron": "@daily", "batch": one, "window": {"from": "9:00", "until": "10:00"}}),
            "invalid",
            "time of day",
        ),
        (
            json!({"cron": "@daily", "batch": one, "window": {"from": "09:00", "until": "09:00"}}),
            "invalid",
            "window",
        ),
        (yearly(&json!({"task": "nope", "items": {"count": 1}})), "unknown_task", "nope"),
        (yearly(&json!({"task": "demo"})), "no_items", "item"),
        (yearly(&json!({"task": "demo", "items": {"count": 0}})), "no_items", "item"),
        (
            yearly(&json!({"task": "demo", "items": {"count": 1}, "params": {"steps": -1}})),
            "invalid",
            "params",
        ),
        (
            yearly(&json!({"task": "csv-check", "items": ["a"], "params": {"no_other_columns": true}})),
            "invalid",
            "Item 1",
        ),
        (yearly(&json!({"task": "csv-check", "items": [{"a": 1}]})), "invalid", "Nothing would be checked"),
        (yearly(&json!({"task": "checksum", "items": ["a"]})), "invalid", "files"),
        (
            yearly(&json!({"task": "demo", "items": {"count": 1}, "options": {"open": true}})),
            "invalid",
            "options.open",
        ),
        (
            yearly(&json!({"task": "demo", "items": {"count": 1},
                "options": {"start_at": "2030-01-01T00:00:00Z"}})),
            "invalid",
            "options.start_at",
        ),
    ];
    for (body, code, words) in refused {
        let problem = server.post_json("/schedules", &body).await.problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{body}: {problem}");
    }
    let large = yearly(&json!({"task": "demo", "items": ["x".repeat(1024 * 1024)]}));
    server.post_json("/schedules", &large).await.problem(413, "too_large");
    server.post("/schedules").await.problem(400, "malformed");
    server.get("/schedules/12").await.problem(400, "malformed");
    server.get("/schedules?cursor=x").await.problem(400, "malformed");
    let open = json!({"task": "demo", "items": [1], "options": {"open": true}});
    let open = server.post_json("/batches", &open).await.ok();
    let from = json!({"cron": "@daily", "from_batch": id(&open)});
    server.post_json("/schedules", &from).await.problem(409, "wrong_state");
    assert_eq!(server.get("/schedules").await.ok()["schedules"], json!([]), "nothing was made");

    let timing = json!({"cron": "0 0 29 2 *", "time_zone": "Asia/Tokyo"});
    let preview = server.post_json("/schedules/preview", &timing).await.ok();
    assert!(preview["next_local"][0].as_str().unwrap().ends_with("-02-29T00:00:00+09:00"), "{preview}");
    assert!(preview["next"][0].as_str().unwrap().ends_with("-02-28T15:00:00.000Z"), "{preview}");
    server.post_json("/schedules/preview", &json!({"cron": "* * * *"})).await.problem(422, "invalid");
}

#[tokio::test]
async fn who_may_do_what() {
    let server = TestServer::start().await;
    let (bob, eve, viewer) = (
        server.make_token("bob", "operator").await,
        server.make_token("eve", "operator").await,
        server.make_token("viewer", "viewer").await,
    );
    let ask = |method: Method, path: &str, token: &str, body: Option<&Value>| {
        let request = server.client.request(method, server.url(path)).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        async move { send(request).await }
    };
    let shared = yearly(&json!({"task": "demo", "items": {"count": 1}}));
    let hidden = yearly(&json!({"task": "demo", "items": {"count": 1}, "options": {"private": true}}));
    ask(Method::POST, "/schedules", &viewer, Some(&shared)).await.problem(403, "not_allowed");
    let shared = ask(Method::POST, "/schedules", &bob, Some(&shared)).await.ok();
    let hidden = ask(Method::POST, "/schedules", &bob, Some(&hidden)).await.ok();
    let lists =
        async |token: &str| ask(Method::GET, "/schedules", token, None).await.ok()["schedules"].clone();
    assert_eq!(lists(&bob).await.as_array().unwrap().len(), 2);
    assert_eq!(lists(&server.token).await.as_array().unwrap().len(), 2);
    for token in [&eve, &viewer] {
        let seen = lists(token).await;
        assert_eq!((seen.as_array().unwrap().len(), &seen[0]["id"]), (1, &shared["id"]));
        let path = |schedule: &Value, act: &str| format!("/schedules/{}{act}", id(schedule));
        ask(Method::GET, &path(&shared, ""), token, None).await.ok();
        ask(Method::GET, &path(&hidden, ""), token, None).await.problem(404, "not_found");
        for act in ["/pause", "/resume", "/run"] {
            ask(Method::POST, &path(&shared, act), token, None).await.problem(403, "not_allowed");
            ask(Method::POST, &path(&hidden, act), token, None).await.problem(404, "not_found");
        }
        let change = json!({"name": "x"});
        ask(Method::PATCH, &path(&shared, ""), token, Some(&change)).await.problem(403, "not_allowed");
        ask(Method::DELETE, &path(&shared, ""), token, None).await.problem(403, "not_allowed");
        ask(Method::DELETE, &path(&hidden, ""), token, None).await.problem(404, "not_found");
    }
    // Where messages go is its owner's to know, and is not handed on.
    let address = "https://hooks.example/secret";
    let told = json!({"task": "demo", "items": {"count": 1}, "options": {"webhook": address,
        "then": {"task": "demo", "items": {"count": 1}, "options": {"webhook": address}}}});
    let told_batch = ask(Method::POST, "/batches", &bob, Some(&told)).await.ok();
    let told = ask(Method::POST, "/schedules", &bob, Some(&yearly(&told))).await.ok();
    let path = format!("/schedules/{}", id(&told));
    assert_eq!(told["batch"]["options"]["webhook"], address);
    assert_eq!(ask(Method::GET, &path, &server.token, None).await.ok(), told);
    let seen = ask(Method::GET, &path, &eve, None).await;
    assert!(seen.ok()["batch"]["options"]["webhook"].is_string() && !seen.text.contains(address), "{seen:?}");
    let from = json!({"cron": "@yearly", "from_batch": id(&told_batch)});
    let by_eve = ask(Method::POST, "/schedules", &eve, Some(&from)).await;
    assert!(by_eve.status == 201 && !by_eve.text.contains(address), "{by_eve:?}");
    let by_bob = ask(Method::POST, "/schedules", &bob, Some(&from)).await.ok();
    assert_eq!(by_bob["batch"]["options"]["webhook"], address);

    // An admin may; the batch is its owner's all the same.
    let ran = ask(Method::POST, &format!("/schedules/{}/run", id(&hidden)), &server.token, None).await.ok();
    assert_eq!(ran["owner"], "token:bob");
    ask(Method::GET, &format!("/batches/{}", id(&ran)), &eve, None).await.problem(404, "not_found");
    // A private batch of others cannot be taken over.
    let from = json!({"cron": "@daily", "from_batch": id(&ran)});
    ask(Method::POST, "/schedules", &eve, Some(&from)).await.problem(422, "invalid");
    // Who may no longer come in makes no batch, whoever asks.
    assert!(server.runs(&["token", "revoke", "bob", "--data", "data"], &[]).await);
    let path = format!("/schedules/{}/run", id(&shared));
    let problem = ask(Method::POST, &path, &server.token, None).await.problem(403, "not_allowed");
    assert!(problem["detail"].as_str().unwrap().contains("token:bob"), "{problem}");
}

async fn a_person_has_a_hundred(server: &TestServer) {
    let body = yearly(&json!({"task": "demo", "items": {"count": 1}}));
    let make = || async { server.post_json("/schedules", &body).await };
    let first = make().await.ok();
    // Many at once: none too many, and none too few.
    let made = futures_util::future::join_all((0..110).map(|_| make())).await;
    let refused = made.iter().filter(|reply| reply.status == 422).count();
    let busy = made.iter().filter(|reply| reply.status == 503).count();
    let mut count = 1 + made.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made.len() + 1, count + refused + busy, "{made:?}");
    while count < 100 {
        make().await.ok();
        count += 1;
    }
    assert_eq!(count, 100);
    let problem = make().await.problem(422, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("100"), "{problem}");
    assert_eq!(server.delete(&format!("/schedules/{}", id(&first))).await.status, 204);
    make().await.ok();
    make().await.problem(422, "invalid");
    let (mut seen, mut path) = (BTreeSet::new(), "/schedules?limit=30".to_owned());
    loop {
        let reply = server.get(&path).await;
        let page = reply.ok();
        for schedule in page["schedules"].as_array().unwrap() {
            assert!(seen.insert(id(schedule).to_owned()), "{schedule} twice");
        }
        let Some(next) = page["next"].as_str() else { break };
        assert!(reply.header("link").contains(&format!("cursor={next}")), "{reply:?}");
        path = format!("/schedules?limit=30&cursor={next}");
    }
    assert_eq!(seen.len(), 100);
}

#[tokio::test]
async fn a_person_has_a_hundred_on_sqlite() {
    a_person_has_a_hundred(&TestServer::start().await).await;
}

#[tokio::test]
async fn a_person_has_a_hundred_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        a_person_has_a_hundred(&server).await;
    }
}
