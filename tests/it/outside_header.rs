//! Sign-in by the header of a named proxy: who is believed, who is made, whose role follows, and who stays out.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::raw_frames::RawMessage;
use super::support::raw_websocket::{RawWebSocket, head};
use super::support::{Reply, TestServer, send};

const SETTINGS: [(&str, &str); 4] = [
    ("MILEPOST_SIGN_IN_HEADER_PROXIES", "127.0.0.1"),
    ("MILEPOST_SIGN_IN_HEADER_NAME", "Remote-User"),
    ("MILEPOST_SIGN_IN_HEADER_GROUPS", "Remote-Groups"),
    ("MILEPOST_SIGN_IN_HEADER_ROLES", "ops=admin,staff=operator,all=viewer"),
];
/// Within this a connection ends that may no longer be, and the slack of a loaded machine.
const SOON: Duration = Duration::from_secs(4);

/// A request as the proxy passes it on.
async fn ask(
    server: &TestServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Reply {
    let mut request = server.client.request(method, format!("{}{path}", server.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(match &body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(server, Method::GET, path, headers, None).await
}

fn named<'a>(name: &'a str, groups: &'a str) -> [(&'a str, &'a str); 2] {
    [("remote-user", name), ("remote-groups", groups)]
}

async fn role_of(server: &TestServer, name: &str) -> Option<Value> {
    let people = server.get("/people").await.ok();
    people["people"].as_array().unwrap().iter().find(|person| person["name"] == name).cloned()
}

async fn entries(server: &TestServer, who: &str, act: &str) -> Vec<Value> {
    let page = server.get(&format!("/audit?who={who}&act={act}")).await.ok();
    page["entries"].as_array().unwrap().clone()
}

async fn people_come_by_the_header(server: &TestServer) {
    // Whoever is seen first is made, with the highest role of their groups; the log knows who, how and from where.
    get(server, "/api/v1/batches", &named("ada", "all, staff")).await.ok();
    let ada = role_of(server, "ada").await.unwrap();
    assert_eq!((&ada["role"], &ada["sign_in"]), (&json!("operator"), &json!("header")), "{ada}");
    for _again in 0..3 {
        get(server, "/api/v1/batches", &named("ada", "staff")).await.ok();
    }
    let signed_in = entries(server, "ada", "sign_in").await;
    assert_eq!(signed_in.len(), 1, "not each request is a line: {signed_in:?}");
    assert_eq!((&signed_in[0]["via"], &signed_in[0]["address"]), (&json!("header"), &json!("127.0.0.1")));
    assert_eq!(entries(server, "ada", "person.add").await.len(), 1);

    // What they do is theirs, and signed so; the role follows the groups from the next request on.
    let body = Some(json!({"task": "demo", "items": {"count": 1}}));
    let made = ask(server, Method::POST, "/api/v1/batches", &named("ada", "staff"), body.clone()).await.ok();
    assert_eq!(made["owner"], "ada");
    assert_eq!(entries(server, "ada", "batch.submit").await[0]["via"], "header");
    let refused = ask(server, Method::POST, "/api/v1/batches", &named("ada", "all"), body.clone()).await;
    refused.problem(403, "not_allowed");
    assert_eq!(role_of(server, "ada").await.unwrap()["role"], "viewer");
    get(server, "/api/v1/people", &named("ada", "ops")).await.ok();
    get(server, "/api/v1/batches", &named("ada", "strangers")).await.problem(403, "not_allowed");
    get(server, "/api/v1/batches", &[("remote-user", "ada")]).await.problem(403, "not_allowed");
    get(server, "/api/v1/batches", &named("eve", "strangers")).await.problem(403, "not_allowed");
    assert_eq!(role_of(server, "eve").await, None, "who may not come in is not made");
    assert_eq!(entries(server, "eve", "sign_in.refused").await.len(), 1);

    // Somebody who was made by hand is not taken over, until an admin says that it is they.
    server.add_person("bob", "viewer").await;
    let taken = get(server, "/api/v1/batches", &named("bob", "ops")).await.problem(403, "not_allowed");
    assert!(taken["detail"].as_str().unwrap().contains("in another way"), "{taken}");
    assert!(server.runs(&["user", "sign-in", "bob", "header", "--data", "data"], &[]).await);
    get(server, "/api/v1/people", &named("bob", "ops")).await.ok();
    let back = send(server.request(Method::PATCH, "/people/bob").json(&json!({"sign_in": "password"}))).await;
    assert_eq!(back.ok()["sign_in"], "password");
    get(server, "/api/v1/people", &named("bob", "ops")).await.problem(403, "not_allowed");
    let wrong = send(server.request(Method::PATCH, "/people/bob").json(&json!({"sign_in": "saml"}))).await;
    assert!(wrong.status.is_client_error(), "{wrong:?}");
}

#[tokio::test]
async fn people_come_by_the_header_on_sqlite() {
    people_come_by_the_header(&TestServer::start_with(&SETTINGS).await).await;
}

#[tokio::test]
async fn people_come_by_the_header_on_postgres() {
    let cluster = Cluster::shared();
    let Some(server) = TestServer::start_on(cluster, &SETTINGS).await else { return };
    people_come_by_the_header(&server).await;
}

#[tokio::test]
async fn what_names_nobody_is_refused_and_never_a_fault() {
    let server = TestServer::start_with(&SETTINGS).await;
    for (name, value) in [
        ("a blank", "a b"),
        ("a token", "token:ci"),
        ("the link", "local"),
        ("markup", "<script>"),
        ("too long", &*"x".repeat(65)),
        ("no ASCII", "adé"),
        ("a list", "ada, bob"),
        ("a path", "../ada"),
        ("quotes", "ada' OR '1'='1"),
    ] {
        let said = get(&server, "/api/v1/batches", &named(value, "ops")).await;
        said.problem(403, "not_allowed");
        let page = [("remote-user", value), ("remote-groups", "ops"), ("accept", "text/html")];
        let page = get(&server, "/", &page).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{name}: {page:?}");
        assert!(!page.text.contains("<script>alert"), "{name}");
    }
    let twice = [("remote-user", "ada"), ("remote-user", "ada"), ("remote-groups", "ops")];
    get(&server, "/api/v1/batches", &twice).await.problem(403, "not_allowed");
    let twice = [("remote-user", "ada"), ("remote-groups", "ops"), ("remote-groups", "all")];
    get(&server, "/api/v1/batches", &twice).await.problem(403, "not_allowed");
    // What is open stays open, and nobody is named by an empty header.
    assert_eq!(get(&server, "/healthz", &named("a b", "")).await.status, 200);
    get(&server, "/api/v1/batches", &named("", "ops")).await.problem(401, "not_signed_in");
    assert_eq!(server.get("/people").await.ok()["people"], json!([]));
}

#[tokio::test]
async fn from_anybody_else_the_header_means_nothing() {
    let settings =
        [("MILEPOST_SIGN_IN_HEADER_PROXIES", "10.9.8.7,::1"), SETTINGS[1], SETTINGS[2], SETTINGS[3]];
    let server = TestServer::start_with(&settings).await;
    for more in [
        &[][..],
        &[("x-forwarded-for", "10.9.8.7")],
        &[("forwarded", "for=10.9.8.7"), ("x-real-ip", "10.9.8.7")],
    ] {
        let headers: Vec<_> = named("ada", "ops").into_iter().chain(more.iter().copied()).collect();
        get(&server, "/api/v1/batches", &headers).await.problem(401, "not_signed_in");
        let page: Vec<_> = headers.iter().copied().chain([("accept", "text/html")]).collect();
        let page = get(&server, "/login", &page).await;
        assert_eq!(page.status, 200);
    }
    // A name that nobody can have is not even looked at.
    get(&server, "/api/v1/batches", &named("a b", "ops")).await.problem(401, "not_signed_in");
    assert_eq!(server.get("/people").await.ok()["people"], json!([]));
    // Nor is a caller of another kind changed by it.
    server.add_person("bob", "viewer").await;
    let cookie = server.sign_in("bob").await;
    let headers = [("cookie", cookie.as_str()), ("remote-user", "ada"), ("remote-groups", "ops")];
    get(&server, "/api/v1/people", &headers).await.problem(403, "not_allowed");
}

#[tokio::test]
async fn whoever_is_disabled_is_out_and_stays_out() {
    let server = TestServer::start_with(&SETTINGS).await;
    let headers = format!("Origin: {}\r\nRemote-User: ada\r\nRemote-Groups: staff\r\n", server.base);
    let mut wire = RawWebSocket::dial(&server).await;
    assert_eq!(wire.ask(&head(server.authority(), &headers)).await.0, 101);
    assert!(matches!(wire.receive().await, RawMessage::Text(_)), "a welcome");
    let ada = named("ada", "staff");
    let origin = server.base.clone();
    let post = [ada[0], ada[1], ("origin", origin.as_str())];
    let token = ask(&server, Method::POST, "/api/v1/tokens", &post, Some(json!({"name": "hers"}))).await.ok();
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"disabled": true}))).await.ok();
    let begun = Instant::now();
    let end = wire.exchange(&[], |_other| false).await;
    assert!(matches!(end, RawMessage::Close { code: Some(4401), .. }), "{end:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    get(&server, "/api/v1/batches", &ada).await.problem(403, "not_allowed");
    let secret = format!("Bearer {}", token["secret"].as_str().unwrap());
    get(&server, "/api/v1/batches", &[("authorization", &secret)]).await.problem(401, "not_signed_in");
    // So that a page can tell, the socket opens and says so.
    let mut again = RawWebSocket::dial(&server).await;
    assert_eq!(again.ask(&head(server.authority(), &headers)).await.0, 101);
    let end = again.receive().await;
    assert!(matches!(end, RawMessage::Close { code: Some(4401), .. }), "{end:?}");

    // A role that their groups no longer give them ends what is open by it, too.
    let headers = headers.replace("ada", "eve");
    let mut wire = RawWebSocket::dial(&server).await;
    assert_eq!(wire.ask(&head(server.authority(), &headers)).await.0, 101);
    assert!(matches!(wire.receive().await, RawMessage::Text(_)), "a welcome");
    get(&server, "/api/v1/batches", &named("eve", "all")).await.ok();
    let end = wire.exchange(&[], |_other| false).await;
    assert!(matches!(end, RawMessage::Close { code: Some(4401), .. }), "{end:?}");
}

#[tokio::test]
async fn it_is_as_a_cookie_for_other_sites_and_the_last_admin_stays() {
    let server = TestServer::start_with(&SETTINGS).await;
    let ada = named("ada", "ops");
    let body = || Some(json!({"task": "demo", "items": {"count": 1}}));
    // A page of another site has the browser pass the proxy with the name of whoever sits there.
    for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")]
    {
        let headers = [ada[0], ada[1], foreign];
        ask(&server, Method::POST, "/api/v1/batches", &headers, body()).await.problem(403, "not_allowed");
    }
    let own = [ada[0], ada[1], ("origin", server.base.as_str())];
    ask(&server, Method::POST, "/api/v1/batches", &own, body()).await.ok();
    let mut wire = RawWebSocket::dial(&server).await;
    let foreign = "Origin: https://evil.example\r\nRemote-User: ada\r\nRemote-Groups: ops\r\n";
    assert_eq!(wire.ask(&head(server.authority(), foreign)).await.0, 403);

    // A bearer token is looked at first; a login of somebody else, not at all.
    let short = server.make_token("short", "viewer").await;
    let bearer = format!("Bearer {short}");
    let headers = [ada[0], ada[1], ("authorization", bearer.as_str())];
    get(&server, "/api/v1/people", &headers).await.problem(403, "not_allowed");
    server.add_person("bob", "viewer").await;
    let cookie = server.sign_in("bob").await;
    get(&server, "/api/v1/people", &[ada[0], ada[1], ("cookie", &cookie)]).await.ok();
    // What the proxy itself was signed in by is passed on by many.
    get(&server, "/api/v1/people", &[ada[0], ada[1], ("authorization", "Basic YWRhOng=")]).await.ok();

    // The only admin who can come in is not made less by their groups; once there is another, they are.
    let page = [ada[0], ("remote-groups", "all"), ("accept", "text/html")];
    assert_eq!(get(&server, "/people", &page).await.status, 200);
    get(&server, "/api/v1/people", &named("ada", "all")).await.ok();
    server.add_person("root", "admin").await;
    get(&server, "/api/v1/people", &named("ada", "all")).await.problem(403, "not_allowed");
    assert_eq!(role_of(&server, "ada").await.unwrap()["role"], "viewer");
}

#[tokio::test]
async fn a_default_role_is_for_whoever_comes_first_and_signing_out_leads_on() {
    let settings = [
        SETTINGS[0],
        SETTINGS[1],
        ("MILEPOST_SIGN_IN_HEADER_DEFAULT_ROLE", "viewer"),
        ("MILEPOST_SIGN_IN_HEADER_SIGN_OUT_URL", "https://sso.example/out"),
    ];
    let server = TestServer::start_with(&settings).await;
    let ada = [("remote-user", "ada"), ("remote-groups", "ops")];
    get(&server, "/api/v1/people", &ada).await.problem(403, "not_allowed");
    // What an admin says later stays.
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"role": "operator"}))).await.ok();
    let body = Some(json!({"task": "demo", "items": {"count": 1}}));
    ask(&server, Method::POST, "/api/v1/batches", &ada, body).await.ok();
    assert_eq!(role_of(&server, "ada").await.unwrap()["role"], "operator");
    let client =
        super::support::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let out = client.post(format!("{}/logout", server.base)).header("remote-user", "ada");
    let out = send(out.header("origin", &server.base)).await;
    assert_eq!((out.status.as_u16(), out.header("location")), (303, "https://sso.example/out"));
}

#[tokio::test]
async fn half_a_setting_stops_the_start() {
    let mut server = TestServer::bare(&SETTINGS[..2]);
    assert!(!server.spawn_with(&[]).await);
    let log = server.log();
    assert!(log.contains("[sign_in.header]: expected roles or default_role"), "{log}");
}
