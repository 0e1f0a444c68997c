//! The gate from outside: requests in, answers out, on a real database in a temporary folder.
//!
//! Nothing is reached but by a request. `policy_matrix` is every address of the API by every kind of caller.

mod policy_matrix;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::gate::{Revocations, watch_revocations};
use super::{engine_options, open_store, router, state};
use crate::config::Config;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::protocol::{ApiError, NewPerson, NewToken, PersonLink, PersonPatch, PersonRole};
use crate::service::{Caller, IssuedLogin, LoginPlace, Parts, People, Service};
use crate::tasks::built_in;

/// Longest wait for anything.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A process without a socket.
struct House {
    _folder: tempfile::TempDir,
    router: Router,
    service: Service,
    people: People,
    engine: Engine,
}

impl House {
    async fn open(base_url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data = folder.path().join("data");
        config.server.slots = 1;
        config.server.base_url = base_url.map(str::to_owned);
        let store = open_store(&config).await.unwrap();
        let (hub, tasks) = (Hub::default(), std::sync::Arc::new(built_in()));
        let engine = Engine::start(
            store.clone(),
            tasks.clone(),
            hub.clone(),
            engine_options(&config, config.server.data.join("work")),
        )
        .await
        .unwrap();
        let service = Service::new(Parts {
            store,
            engine: engine.clone(),
            tasks,
            hub,
            upload_bytes_max: 1_024,
            permissions: Default::default(),
            folders: Vec::new(),
        });
        let people = service.people().clone();
        let router = router::router(state(&config, service.clone()).unwrap());
        Self { _folder: folder, router, service, people, engine }
    }

    async fn token(&self, role: PersonRole) -> String {
        format!("Bearer {}", self.token_named(role.as_str(), role).await)
    }

    async fn token_named(&self, name: &str, role: PersonRole) -> String {
        let new = NewToken {
            name: name.to_owned(),
            role: Some(role),
            scopes: Vec::new(),
            task: None,
            batch: None,
            expires_in_seconds: None,
        };
        self.people.create_token(&Caller::local(), new).await.unwrap().secret
    }

    async fn add(&self, name: &str, role: PersonRole) -> Result<PersonLink, ApiError> {
        let new = NewPerson { name: name.to_owned(), role, password: Some("correct horse".to_owned()) };
        self.people.add(&Caller::local(), new).await
    }

    async fn sign_in(&self, name: &str) -> Result<IssuedLogin, ApiError> {
        self.people.sign_in(name, "correct horse".into(), LoginPlace::default()).await
    }

    async fn disable(&self, name: &str) {
        let patch = PersonPatch { disabled: Some(true), ..PersonPatch::default() };
        self.people.change(&Caller::local(), name, &patch).await.unwrap();
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "m.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap());
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_late| panic!("no answer to {method} {path}")).unwrap()
    }

    async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        self.ask(method, path, headers, "").await.status()
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HTML: (&str, &str) = ("accept", "text/html");

async fn text(response: Response<Body>) -> String {
    let reading = tokio::time::timeout(PATIENCE, response.into_body().collect());
    let body = reading.await.expect("the answer ends").unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

fn cookie_of(response: &Response<Body>) -> String {
    let line = response.headers()[header::SET_COOKIE].to_str().unwrap();
    line.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_form_of_a_page_is_held_to_the_configured_bytes_a_file() {
    let house = House::open(None).await;
    let form = |bytes: usize| {
        let part = "--b\r\nContent-Disposition: form-data; name=";
        let content = "x".repeat(bytes);
        let text = format!(
            "{part}\"task\"\r\n\r\nchecksum\r\n{part}\"file\"; filename=\"a\"\r\n\r\n{content}\r\n--b--\r\n"
        );
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(text))]);
        multer::Multipart::new(body, "b")
    };
    let me = Caller::local();
    assert_eq!(house.service.submit_form(&me, form(1_024)).await.unwrap().total, 1);
    let refusal = house.service.submit_form(&me, form(1_025)).await.unwrap_err();
    assert_eq!(refusal.code, crate::protocol::ErrorCode::TooLarge);
    house.engine.drain().await;
}

#[tokio::test]
async fn what_is_open_is_open_and_nothing_else() {
    let house = House::open(None).await;
    let well = house.ask("GET", "/healthz", &[], "").await;
    assert_eq!(well.status(), StatusCode::OK);
    for name in ["content-security-policy", "x-content-type-options", "cross-origin-opener-policy"] {
        assert!(well.headers().contains_key(name), "{name}");
    }
    assert_eq!(text(house.ask("GET", "/readyz", &[], "").await).await, r#"{"ready":true}"#);
    assert_eq!(house.status("GET", "/login", &[HTML]).await, StatusCode::OK);
    for path in ["/metrics", "/api/v1/batches", "/api/v1/nothing-here", "/", "/new", "/nodes"] {
        assert_eq!(house.status("GET", path, &[]).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/", "/nothing-here"] {
        let page = house.ask("GET", path, &[HTML], "").await;
        assert_eq!(page.headers()[header::LOCATION], format!("/login?next={path}"));
    }
    house.engine.drain().await;
}

#[tokio::test]
async fn a_bearer_token_opens_api_and_pages_until_it_is_revoked() {
    let house = House::open(None).await;
    let token = house.token(PersonRole::Viewer).await;
    let bearer = ("authorization", token.as_str());
    let figures = house.ask("GET", "/metrics", &[bearer], "").await;
    assert!(text(figures).await.contains("milepost_batches_active 0"));
    let page = house.ask("GET", "/", &[bearer, HTML], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(text(page).await.contains(&format!("nonce=\"{nonce}\"")), "{policy}");
    assert_eq!(house.status("GET", "/nothing-here", &[bearer, HTML]).await, StatusCode::NOT_FOUND);
    let caller = house.people.by_token(token.strip_prefix("Bearer ").unwrap()).await.unwrap().unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("token:viewer", PersonRole::Viewer));
    assert!(house.people.gone(std::slice::from_ref(&caller)).await.is_empty());
    house.people.revoke_token(&Caller::local(), "viewer").await.unwrap();
    assert_eq!(house.people.gone(std::slice::from_ref(&caller)).await, [&caller]);
    assert_eq!(house.status("GET", "/metrics", &[bearer]).await, StatusCode::UNAUTHORIZED);
    house.engine.drain().await;
}

#[tokio::test]
async fn the_first_link_signs_in_once_and_only_by_its_button() {
    let house = House::open(None).await;
    let code = house.people.open_first_link().await.unwrap().unwrap();
    let path = format!("/first/{code}");
    for _ in 0..2 {
        assert_eq!(house.status("GET", &path, &[HTML]).await, StatusCode::OK);
    }
    assert_eq!(house.status("POST", "/first/0000", &[]).await, StatusCode::NOT_FOUND);
    let entered = house.ask("POST", &path, &[], "").await;
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    let cookie = cookie_of(&entered);
    assert!(cookie.starts_with("milepost="));
    assert_eq!(house.status("GET", "/metrics", &[("cookie", &cookie)]).await, StatusCode::OK);
    assert_eq!(house.status("POST", &path, &[]).await, StatusCode::NOT_FOUND);
    house.add("ada", PersonRole::Admin).await.unwrap();
    assert_eq!(house.people.open_first_link().await.unwrap(), None);
    // Whoever came in by the link ends with it: from here on there are people.
    assert_eq!(house.status("GET", "/metrics", &[("cookie", &cookie)]).await, StatusCode::UNAUTHORIZED);
    house.engine.drain().await;
}

#[tokio::test]
async fn people_sign_in_and_out() {
    let house = House::open(Some("https://m.example")).await;
    house.add("ada", PersonRole::Operator).await.unwrap();
    assert!(house.add("ada", PersonRole::Admin).await.is_err());
    let wrong = "name=ada&password=correct+horsf&next=/new";
    assert_eq!(house.ask("POST", "/login", &[FORM], wrong).await.status(), StatusCode::UNAUTHORIZED);
    let unknown = "name=eve&password=correct+horse";
    assert_eq!(house.ask("POST", "/login", &[FORM], unknown).await.status(), StatusCode::UNAUTHORIZED);
    let back = house.ask("POST", "/login", &[FORM, HTML], wrong).await;
    assert_eq!(back.headers()[header::LOCATION], "/login?error=not_signed_in&next=/new");
    let right = "name=ada&password=correct+horse&next=/new";
    let entered = house.ask("POST", "/login", &[FORM], right).await;
    assert_eq!(entered.headers()[header::LOCATION], "/new");
    let cookie = cookie_of(&entered);
    assert!(cookie.starts_with("__Host-milepost="));
    let cookie = ("cookie", cookie.as_str());
    assert_eq!(house.status("GET", "/metrics", &[cookie]).await, StatusCode::OK);
    let evil = [cookie, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(house.status("POST", "/logout", &evil).await, StatusCode::FORBIDDEN);
    assert_eq!(house.status("GET", "/metrics", &[cookie]).await, StatusCode::OK);
    let own = [cookie, ("origin", "https://m.example"), ("sec-fetch-site", "same-origin")];
    assert_eq!(house.status("POST", "/logout", &own).await, StatusCode::SEE_OTHER);
    assert_eq!(house.status("GET", "/metrics", &[cookie]).await, StatusCode::UNAUTHORIZED);
    house.engine.drain().await;
}

#[tokio::test]
async fn a_disabled_person_is_out_at_once() {
    let house = House::open(None).await;
    house.add("ada", PersonRole::Operator).await.unwrap();
    let signed_in = house.sign_in("ada").await.unwrap();
    assert!(house.people.gone(std::slice::from_ref(&signed_in.caller)).await.is_empty());
    house.disable("ada").await;
    assert_eq!(house.people.gone(std::slice::from_ref(&signed_in.caller)).await, [&signed_in.caller]);
    assert_eq!(house.people.by_login(&signed_in.secret).await.unwrap(), None);
    assert!(house.sign_in("ada").await.is_err());
    assert!(!house.people.can_sign_in().await.unwrap());
    house.engine.drain().await;
}

/// Callers, and connections of each, in [`many_are_sent_away_in_one_round`].
const CROWD: (usize, usize) = (1_000, 5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_sent_away_in_one_round() {
    let house = House::open(None).await;
    let me = Caller::local();
    house.add("ada", PersonRole::Operator).await.unwrap();
    let mut callers = vec![house.sign_in("ada").await.unwrap().caller];
    for at in 1..CROWD.0 {
        let token = house.token_named(&format!("t{at}"), PersonRole::Viewer).await;
        callers.push(house.people.by_token(&token).await.unwrap().unwrap());
    }
    let revocations = Revocations::default();
    let stays: Vec<_> = callers
        .iter()
        .flat_map(|caller| (0..CROWD.1).map(|_| revocations.arrive(caller)).collect::<Vec<_>>())
        .collect();
    assert!(house.people.gone(&callers).await.is_empty());
    for at in (1..CROWD.0).step_by(2) {
        house.people.revoke_token(&me, &format!("t{at}")).await.unwrap();
    }
    house.disable("ada").await;
    let begun = std::time::Instant::now();
    let gone: Vec<String> =
        house.people.gone(&callers).await.iter().map(|caller| caller.name.clone()).collect();
    let looked = begun.elapsed();
    assert_eq!(gone.len(), CROWD.0 / 2 + 1);
    let stop = tokio_util::sync::CancellationToken::new();
    let begun = std::time::Instant::now();
    let watching = tokio::spawn(watch_revocations(revocations.clone(), house.service.clone(), stop.clone()));
    let should_go = |at: usize| at / CROWD.1 % 2 == 1 || at / CROWD.1 == 0;
    for stay in stays.iter().enumerate().filter(|(at, _)| should_go(*at)).map(|(_, stay)| stay) {
        stay.gone().cancelled().await;
    }
    println!("{looked:?} for one look, all told after {:?}", begun.elapsed());
    assert!(
        stays.iter().enumerate().all(|(at, stay)| should_go(at) == stay.gone().is_cancelled()),
        "nobody else is sent away"
    );
    stop.cancel();
    watching.await.unwrap();
    house.engine.drain().await;
}

#[tokio::test]
async fn refusals_of_the_pages_own_calls_have_their_status() {
    let house = House::open(None).await;
    let viewer = house.token(PersonRole::Viewer).await;
    let bearer = ("authorization", viewer.as_str());
    let path = <crate::app::actions::DrainNode as leptos::server_fn::ServerFn>::PATH;
    let refused = house.ask("POST", path, &[bearer, FORM], "node=x").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(text(refused).await.contains("not_allowed"));
    let elsewhere = ("referer", "https://evil.example/x");
    let back = house.ask("POST", path, &[bearer, FORM, HTML, elsewhere], "node=x").await;
    assert_eq!(back.headers()[header::LOCATION], "/");
    let here = ("referer", "http://m.example/nodes");
    let back = house.ask("POST", path, &[bearer, FORM, HTML, here], "node=x").await;
    assert_eq!(back.status(), StatusCode::FORBIDDEN);
    assert!(text(back).await.contains("?from=/nodes\""), "the page once more");
    house.engine.drain().await;
}

#[tokio::test]
async fn guessing_is_answered_with_too_many() {
    let house = House::open(None).await;
    let mut last = StatusCode::OK;
    for _ in 0..40 {
        last = house.status("POST", "/first/00", &[]).await;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    house.engine.drain().await;
}
