//! Every address of the API by every kind of caller: what the table of policies says is what the answer is.

use std::collections::HashMap;

use super::House;
use crate::protocol::{BatchId, ErrorCode, NewBatch, NewToken, Options, PersonRole, Scope};
use crate::server::api::ROUTES;
use crate::service::{Action, Caller, Target, may};

/// What must stand in a body so that who asks is asked about first.
const BODIES: [(&str, &str, &str); 10] = [
    ("POST", "/batches", r#"{"task":"demo","items":{"count":1}}"#),
    ("PATCH", "/batches/{id}", r#"{"priority":1}"#),
    ("POST", "/schedules", r#"{"cron":"0 3 * * *","batch":{"task":"demo","items":{"count":1}}}"#),
    ("POST", "/schedules/preview", r#"{"cron":"0 3 * * *"}"#),
    ("PATCH", "/schedules/{id}", r#"{"name":"other"}"#),
    ("POST", "/uploads", r#"{"name":"a","bytes":1}"#),
    ("POST", "/people", r#"{"name":"mallory","role":"viewer"}"#),
    ("PATCH", "/people/{name}", r#"{"role":"viewer"}"#),
    ("POST", "/tokens", r#"{"name":"another"}"#),
    ("POST", "/acts", r#"{"act":"pause","batches":["0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"]}"#),
];

/// Addresses whose answer also depends on what was said, or on what is not there: other tests ask them.
const ELSEWHERE: [(&str, &str); 6] = [
    ("POST", "/password"),
    ("POST", "/tokens"),
    ("PATCH", "/uploads/{id}"),
    ("GET", "/webhooks/deliveries/{id}"),
    ("POST", "/webhooks/deliveries/{id}/redeliver"),
    ("POST", "/batches/{id}/items"),
];

/// Somebody, by a token.
struct Asker {
    what: &'static str,
    caller: Caller,
    header: String,
}

async fn asker(house: &House, what: &'static str, new: NewToken) -> Asker {
    let secret = house.people.create_token(&Caller::local(), new).await.unwrap().secret;
    let caller = house.people.by_token(&secret).await.unwrap().unwrap();
    Asker { what, caller, header: format!("Bearer {secret}") }
}

fn token(name: &str, role: PersonRole) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: Some(role),
        scopes: Vec::new(),
        task: None,
        batch: None,
        expires_in_seconds: None,
    }
}

async fn askers(house: &House, batch: BatchId) -> Vec<Asker> {
    let (operator, admin) = (PersonRole::Operator, PersonRole::Admin);
    let scoped = |name, scope| NewToken { scopes: vec![scope], ..token(name, admin) };
    let mut all = Vec::new();
    for (what, new) in [
        ("viewer", token("viewer", PersonRole::Viewer)),
        ("another operator", token("other", operator)),
        ("admin", token("root", admin)),
        ("to read", scoped("reads", Scope::Read)),
        ("to submit", scoped("submits", Scope::Submit)),
        ("to act", scoped("acts", Scope::Act)),
        ("to administer", scoped("administers", Scope::Admin)),
        ("of the batch", NewToken { batch: Some(batch), ..token("of-batch", admin) }),
        ("of another batch", NewToken { batch: Some(BatchId::from_u128(7)), ..token("elsewhere", admin) }),
        ("of another task", NewToken { task: Some("image".to_owned()), ..token("of-task", admin) }),
    ] {
        all.push(asker(house, what, new).await);
    }
    all
}

/// Who may what, by the policy itself.
fn expected(caller: &Caller, action: Action, path: &str, batch: BatchId, owner: &str) -> Option<ErrorCode> {
    let target = if path.starts_with("/batches/{id}") {
        Target::Batch { id: batch, task: "demo", owner, private: false }
    } else if path.starts_with("/schedules/{id}") {
        Target::Schedule { task: "demo", owner, private: false }
    } else if path.starts_with("/uploads/{id}") {
        if let Err(refusal) = may(caller, action, Target::Installation) {
            return Some(refusal.code);
        }
        Target::Own { what: "upload", owner }
    } else if path == "/batches" && action == Action::Submit {
        Target::Task("demo")
    } else {
        Target::Installation
    };
    may(caller, action, target).err().map(|refusal| refusal.code)
}

#[tokio::test]
async fn every_address_answers_as_the_table_says() {
    let house = House::open(None).await;
    let owner = asker(&house, "owner", token("owner", PersonRole::Operator)).await;
    let new = NewBatch {
        task: "demo".to_owned(),
        name: None,
        params: crate::protocol::Json::parse(r#"{"duration_ms":60000}"#).ok(),
        options: Options::default(),
    };
    // One that is acted on is another one for each, and one that a token is for stays.
    let kept = house.service.create_generated(&owner.caller, new.clone(), 1).await.unwrap().id;
    let mut askers = askers(&house, kept).await;
    askers.push(owner);
    let bodies: HashMap<_, _> =
        BODIES.into_iter().map(|(method, path, body)| ((method, path), body)).collect();
    let mut wrong = Vec::new();
    for asker in &askers {
        let batch = match asker.caller.grant.batch {
            Some(batch) if batch == kept => kept,
            Some(_) | None => {
                let owner = &askers.last().expect("there is one").caller;
                house.service.create_generated(owner, new.clone(), 1).await.unwrap().id
            }
        };
        for (method, path, action, _answer) in ROUTES {
            if ELSEWHERE.contains(&(method, path)) {
                continue;
            }
            // What is deleted is made anew, so that each finds it.
            let owner = &askers.last().unwrap().header;
            let made = async |path: &str, body: &'static str| {
                let headers = [("authorization", owner.as_str()), ("content-type", "application/json")];
                let reply = house.ask("POST", path, &headers, body).await;
                let bytes = axum::body::to_bytes(reply.into_body(), 1 << 20).await.unwrap();
                let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                json["id"].as_str().unwrap_or_else(|| panic!("{path}: {json}")).to_owned()
            };
            let id = if path.starts_with("/schedules/{id}") {
                made("/api/v1/schedules", bodies[&("POST", "/schedules")]).await
            } else if path.starts_with("/uploads/{id}") {
                made("/api/v1/uploads", bodies[&("POST", "/uploads")]).await
            } else {
                batch.to_string()
            };
            let filled = path.replace("{id}", &id).replace("{seq}", "1").replace("{*name}", "none");
            let filled = filled.replace("{name}", "nobody").replace("{share}", "none");
            let mut headers = vec![("authorization", asker.header.as_str())];
            let body = bodies.get(&(*method, *path)).copied().unwrap_or_default();
            if !body.is_empty() {
                headers.push(("content-type", "application/json"));
            }
            let reply = house.ask(method, &format!("/api/v1{filled}"), &headers, body).await;
            let status = reply.status().as_u16();
            let expected = expected(&asker.caller, *action, path, batch, "token:owner");
            let right = match expected.map(ErrorCode::status) {
                Some(refused) => status == refused,
                None => !matches!(status, 401 | 403),
            };
            if !right {
                wrong.push(format!("{} {method} {path}: {status}, expected {expected:?}", asker.what));
            }
        }
    }
    house.engine.drain().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}
