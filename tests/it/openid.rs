//! Sign-in by a provider that speaks OpenID Connect: a real one (oidc-provider), started by the test.
//!
//! Needs Node.js and what `scripts/tools` installs.

use std::path::Path;
use std::process::Stdio;

use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::cluster::Cluster;
use super::support::front::free_port;
use super::support::{PATIENCE, Reply, TestServer, client_builder, send};

/// What the provider knows this installation by.
const CLIENT_ID: &str = "milepost";
const CLIENT_SECRET: &str = "between-the-two-of-us-5f2c";
/// Redirects of one way at most.
const REDIRECTS_MAX: usize = 12;

/// A provider that runs, until dropped.
struct Provider {
    issuer: String,
    http: Client,
    child: Child,
}

impl Provider {
    async fn start(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .args([CLIENT_ID, CLIENT_SECRET])
            .env("PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("http://") {
                    return line;
                }
            }
            panic!("the provider does not start: run scripts/tools");
        };
        let issuer = tokio::time::timeout(PATIENCE, reading).await.expect("the provider starts or ends");
        tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
        Self { issuer, http: client_builder().build().unwrap(), child }
    }

    async fn tell(&self, what: Value) {
        let done = self.http.post(format!("{}/test", self.issuer)).json(&what).send().await.unwrap();
        assert_eq!(done.status(), 204);
    }

    /// What it says of an account.
    async fn account(&self, account: &str, name: &str, groups: &[&str]) {
        let claims = json!({"preferred_username": name, "groups": groups});
        self.tell(json!({"account": account, "claims": claims})).await;
    }
}

/// An installation and its provider.
struct Both {
    server: TestServer,
    provider: Provider,
}

fn settings(issuer: &str, base: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MILEPOST_SERVER_BASE_URL", base.to_owned()),
        ("MILEPOST_SIGN_IN_OPENID_ISSUER", issuer.to_owned()),
        ("MILEPOST_SIGN_IN_OPENID_CLIENT_ID", CLIENT_ID.to_owned()),
        ("MILEPOST_SIGN_IN_OPENID_CLIENT_SECRET_ENV", "SSO_SECRET".to_owned()),
        ("SSO_SECRET", CLIENT_SECRET.to_owned()),
        ("MILEPOST_SIGN_IN_OPENID_ROLES", "ops=admin,staff=operator,all=viewer".to_owned()),
        ("MILEPOST_SIGN_IN_OPENID_TITLE", "Example & Sons".to_owned()),
        ("MILEPOST_LOG", "debug".to_owned()),
    ]
}

/// A server for `issuer` that listens where the provider sends people back to.
async fn server_for(issuer: &str, database: Option<&str>) -> TestServer {
    let base = format!("http://127.0.0.1:{}", free_port());
    let mut settings = settings(issuer, &base);
    settings.extend(database.map(|url| ("MILEPOST_DATABASE_URL", url.to_owned())));
    let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = TestServer::prepare(&borrowed).await;
    server.base = base;
    server.spawn_again().await;
    server
}

impl Both {
    async fn start() -> Self {
        Self::start_on(None).await
    }

    async fn start_on(database: Option<&str>) -> Self {
        let provider = Provider::start(0).await;
        let server = server_for(&provider.issuer, database).await;
        Self { server, provider }
    }

    fn browser(&self) -> Browser {
        Browser::at(&self.server)
    }

    /// Signs in as `account` with a new browser.
    async fn sign_in(&self, account: &str) -> (Browser, Reply) {
        let browser = self.browser();
        let came = browser.to_the_callback(account, "/").await;
        let reply = browser.get(&came).await;
        (browser, reply)
    }

    async fn person(&self, name: &str) -> Option<Value> {
        let people = self.server.get("/people").await.ok();
        people["people"].as_array().unwrap().iter().find(|person| person["name"] == name).cloned()
    }
}

/// A browser: keeps its cookies, and follows redirects as it is told.
struct Browser {
    client: Client,
    base: String,
}

impl Browser {
    fn at(server: &TestServer) -> Self {
        let client = client_builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true);
        Self { client: client.timeout(PATIENCE).build().unwrap(), base: server.base.clone() }
    }

    async fn get(&self, address: &str) -> Reply {
        send(self.client.get(address).header("accept", "text/html")).await
    }

    /// Where the server sends it to sign in.
    async fn begin(&self, next: &str) -> String {
        let begun = self.client.get(format!("{}/login/openid", self.base)).query(&[("next", next)]);
        let begun = send(begun.header("accept", "text/html")).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{begun:?}");
        begun.header("location").to_owned()
    }

    /// From `address` at the provider to the address that it sends back to, which is not asked for yet.
    async fn walk(&self, account: &str, address: &str) -> String {
        let mut at = Url::parse(address).unwrap();
        for _redirect in 0..REDIRECTS_MAX {
            let answer = send(self.client.get(at.clone()).header("x-account", account)).await;
            assert!(answer.status.is_redirection(), "{at}: {answer:?}");
            at = at.join(answer.header("location")).unwrap();
            if at.as_str().starts_with(&self.base) {
                return at.into();
            }
        }
        panic!("the provider never sends back: {at}");
    }

    async fn to_the_callback(&self, account: &str, next: &str) -> String {
        let address = self.begin(next).await;
        self.walk(account, &address).await
    }

    async fn status(&self, path: &str) -> u16 {
        send(self.client.get(format!("{}/api/v1{path}", self.base))).await.status.as_u16()
    }
}

/// The sign-in page says why, in these words, and nobody is signed in.
async fn is_refused(browser: &Browser, reply: &Reply, code: &str, words: &str) {
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply:?}");
    let to = reply.header("location");
    assert!(to.starts_with(&format!("/login?error={code}&")), "{to}");
    let page = browser.get(&format!("{}{to}", browser.base)).await;
    assert!(page.status == 200 && page.text.contains(words), "{words}: {}", page.text);
    assert_eq!(browser.status("/batches").await, 401);
}

fn with_parameter(address: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(address).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pairs = pairs.into_iter().map(|(key, old)| {
        let new = if key == name { value.to_owned() } else { old };
        (key, new)
    });
    let pairs: Vec<_> = pairs.collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.into()
}

async fn people_come_by_a_provider(both: &Both) {
    let Both { server, provider } = both;
    // The page has a way there beside the form.
    let browser = both.browser();
    let page = browser.get(&format!("{}/login?next=/nodes", server.base)).await;
    assert!(page.text.contains("Sign in with Example &amp; Sons"), "{}", page.text);
    assert!(page.text.contains("/login/openid?next=%2Fnodes") && page.text.contains("type=\"password\""));

    // Somebody new is made, with the highest role of their groups, and lands where they were going.
    provider.account("u-1", "ada", &["all", "staff"]).await;
    let came = browser.to_the_callback("u-1", "/nodes?x=1").await;
    let entered = browser.get(&came).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/nodes?x=1"));
    let cookies: Vec<_> =
        entered.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let login = cookies.iter().find(|cookie| cookie.starts_with("milepost=")).unwrap();
    assert!(login.contains("HttpOnly") && login.contains("Max-Age=86400"), "a day: {login}");
    assert_eq!((browser.status("/batches").await, browser.status("/people").await), (200, 403));
    let ada = both.person("ada").await.unwrap();
    assert_eq!((&ada["role"], &ada["sign_in"]), (&json!("operator"), &json!("openid")), "{ada}");
    let log = server.get("/audit?who=ada").await.ok();
    let acts: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["act"]).collect();
    assert_eq!(acts, ["sign_in", "person.bind", "person.add"], "{log}");
    assert_eq!(
        (&log["entries"][0]["via"], &log["entries"][0]["address"]),
        (&json!("openid"), &json!("127.0.0.1"))
    );

    // The role follows the groups at each sign-in; open sessions have it at once. A new name there is the same person here.
    provider.account("u-1", "ada.lovelace", &["ops"]).await;
    let (again, reply) = both.sign_in("u-1").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!((again.status("/people").await, browser.status("/people").await), (200, 200));
    assert_eq!(both.person("ada.lovelace").await, None);
    server.add_person("root", "admin").await;
    provider.account("u-1", "!", &["all"]).await;
    both.sign_in("u-1").await;
    assert_eq!(both.person("ada").await.unwrap()["role"], "viewer");
    assert_eq!(again.status("/people").await, 403);

    // Out of all groups, and disabled: not in.
    provider.account("u-1", "ada", &["strangers"]).await;
    let (outside, reply) = both.sign_in("u-1").await;
    is_refused(&outside, &reply, "no_role", "None of your groups may come in here").await;
    provider.account("u-1", "ada", &["ops"]).await;
    send(server.request(Method::PATCH, "/people/ada").json(&json!({"disabled": true}))).await.ok();
    assert_eq!((again.status("/batches").await, browser.status("/batches").await), (401, 401));
    let (outside, reply) = both.sign_in("u-1").await;
    is_refused(&outside, &reply, "disabled", "You were disabled here").await;
    assert_eq!(both.person("ada").await.unwrap()["role"], "viewer", "nor does anything follow");
    let log = server.get("/audit?who=ada&act=sign_in.refused").await.ok();
    assert_eq!(log["entries"][0]["via"], "openid", "{log}");

    // A name that somebody here has is not taken over, until an admin says that it is they; then it is one subject's.
    provider.account("u-2", "root", &["all"]).await;
    let (outside, reply) = both.sign_in("u-2").await;
    is_refused(&outside, &reply, "name_taken", "comes in here in another way").await;
    send(server.request(Method::PATCH, "/people/root").json(&json!({"sign_in": "openid"}))).await.ok();
    provider.account("u-2", "root", &["ops"]).await;
    let (inside, _) = both.sign_in("u-2").await;
    assert_eq!(inside.status("/people").await, 200);
    provider.account("u-3", "root", &["ops"]).await;
    let (outside, reply) = both.sign_in("u-3").await;
    is_refused(&outside, &reply, "name_taken", "comes in here in another way").await;
    provider.account("u-4", "no name", &["ops"]).await;
    let (outside, reply) = both.sign_in("u-4").await;
    is_refused(&outside, &reply, "no_name", "gives you no name").await;
}

#[tokio::test]
async fn people_come_by_a_provider_on_sqlite() {
    people_come_by_a_provider(&Both::start().await).await;
}

#[tokio::test]
async fn people_come_by_a_provider_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    people_come_by_a_provider(&Both::start_on(Some(&cluster.database())).await).await;
}

#[tokio::test]
async fn what_was_not_begun_here_or_was_changed_is_refused() {
    let both = Both::start().await;
    both.provider.account("u-1", "ada", &["ops"]).await;
    let foreign = "was not begun in this browser";

    // Of another browser, of nobody, with another state, and with one whose seal is changed.
    let (mine, theirs) = (both.browser(), both.browser());
    let came = theirs.to_the_callback("u-1", "/").await;
    is_refused(&mine, &mine.get(&came).await, "provider_foreign", foreign).await;
    mine.begin("/").await;
    is_refused(&mine, &mine.get(&came).await, "provider_foreign", foreign).await;
    let nonsense = with_parameter(&came, "state", "nonsense");
    is_refused(&theirs, &theirs.get(&nonsense).await, "provider_foreign", foreign).await;
    let state =
        Url::parse(&came).unwrap().query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    let elsewhere = state.replacen(".", ".1", 1);
    let changed = with_parameter(&came, "state", &elsewhere);
    is_refused(&theirs, &theirs.get(&changed).await, "provider_foreign", foreign).await;
    let bare = format!("{}/login/openid/callback?error=access_denied", both.server.base);
    is_refused(&theirs, &theirs.get(&bare).await, "provider_foreign", foreign).await;

    // Used once, and never again, whatever came of it; also with the cookies from before.
    let kept = send(theirs.client.get(format!("{}/login/openid", theirs.base))).await;
    let kept = kept.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(theirs.get(&came).await.header("location"), "/");
    assert_eq!(theirs.status("/people").await, 200);
    let bold = client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let replayed = send(bold.get(&came).header("cookie", &kept).header("accept", "text/html")).await;
    is_refused(&mine, &replayed, "provider_used", "was used before").await;
    let replayed = send(bold.get(&came).header("cookie", &kept)).await;
    assert_eq!(
        replayed.problem(403, "not_allowed")["detail"],
        "This sign-in was used before. Begin once more."
    );

    // A nonce, a challenge or a code of somebody else's.
    for (name, value) in
        [("nonce", "of-somebody-else"), ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")]
    {
        let browser = both.browser();
        let address = with_parameter(&browser.begin("/").await, name, value);
        let came = browser.walk("u-1", &address).await;
        is_refused(&browser, &browser.get(&came).await, "provider_invalid", "cannot be believed").await;
    }
    let browser = both.browser();
    let came = browser.to_the_callback("u-1", "/").await;
    for (name, value) in [("code", "nonsense"), ("iss", "https://evil.example")] {
        let browser = both.browser();
        let came = browser.to_the_callback("u-1", "/").await;
        let changed = with_parameter(&came, name, value);
        is_refused(&browser, &browser.get(&changed).await, "provider_invalid", "cannot be believed").await;
        // The right one comes too late: it was used.
        is_refused(&browser, &browser.get(&came).await, "provider_used", "was used before").await;
    }
    assert_eq!(browser.get(&came).await.header("location"), "/");

    // Whoever cancels at the provider is told so, in words of here.
    let browser = both.browser();
    let came = browser.to_the_callback("", "/").await;
    assert!(came.contains("error=access_denied"), "{came}");
    let reply = browser.get(&came).await;
    is_refused(&browser, &reply, "provider_denied", "cancelled or refused there").await;
    let page = browser.get(&format!("{}{}", browser.base, reply.header("location"))).await;
    assert!(!page.text.contains("<b>no</b>"), "nothing of the provider's is shown");

    // Nobody lands elsewhere.
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let browser = both.browser();
        let came = browser.to_the_callback("u-1", next).await;
        assert_eq!(browser.get(&came).await.header("location"), "/", "{next}");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_holds_up_nothing_else() {
    let port = free_port();
    let server = server_for(&format!("http://127.0.0.1:{port}"), None).await;
    let browser = Browser::at(&server);
    let begin = format!("{}/login/openid?next=/nodes", server.base);
    is_refused(&browser, &browser.get(&begin).await, "provider_away", "cannot be reached just now").await;
    send(server.client.get(&begin)).await.problem(503, "busy");
    server.add_person("bob", "viewer").await;
    server.sign_in("bob").await;

    // Once it is there, nothing has to be started again.
    let provider = Provider::start(port).await;
    provider.account("u-1", "ada", &["ops"]).await;
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut reply = browser.get(&begin).await;
    while !reply.header("location").starts_with(&provider.issuer) {
        assert!(std::time::Instant::now() < deadline, "{reply:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        reply = browser.get(&begin).await;
    }
    let came = browser.walk("u-1", reply.header("location")).await;
    // It goes away while somebody is on their way back.
    let mut provider = provider;
    provider.child.kill().await.unwrap();
    let reply = browser.get(&came).await;
    is_refused(&browser, &reply, "provider_away", "cannot be reached just now").await;
    assert!(reply.header("location").ends_with("next=/nodes"), "{reply:?}");
}

#[tokio::test]
async fn keys_may_change_and_clocks_may_differ_by_a_minute() {
    let both = Both::start().await;
    both.provider.account("u-1", "ada", &["ops"]).await;
    let signs_in = async |options: Value, skew_ms: i64| {
        both.provider.tell(json!({"options": options, "skew_ms": skew_ms})).await;
        let (browser, reply) = both.sign_in("u-1").await;
        let status = browser.status("/people").await;
        assert!(status == 200 || reply.header("location").contains("provider_invalid"), "{reply:?}");
        status == 200
    };
    // Each has new keys; what is said of a person stands in the token, or is asked for.
    assert!(signs_in(json!({}), 0).await);
    assert!(signs_in(json!({"askedFor": false}), 0).await, "after a change of keys");
    // One change of keys in ten seconds is followed.
    both.provider.tell(json!({"skew_ms": 30_000})).await;
    let (browser, _) = both.sign_in("u-1").await;
    assert_eq!(browser.status("/people").await, 200, "half a minute ahead");
    both.provider.tell(json!({"skew_ms": 120_000})).await;
    let (browser, reply) = both.sign_in("u-1").await;
    is_refused(&browser, &reply, "provider_invalid", "cannot be believed").await;
}

#[tokio::test]
async fn a_token_that_has_run_out_is_refused() {
    let both = Both::start().await;
    both.provider.account("u-1", "ada", &["ops"]).await;
    both.provider.tell(json!({"options": {"idTokenSeconds": 1}, "skew_ms": -30_000})).await;
    let (browser, _) = both.sign_in("u-1").await;
    assert_eq!(browser.status("/people").await, 200, "half a minute behind");
    both.provider.tell(json!({"skew_ms": -120_000})).await;
    let (browser, reply) = both.sign_in("u-1").await;
    is_refused(&browser, &reply, "provider_invalid", "cannot be believed").await;
}

#[tokio::test]
async fn no_secret_of_it_is_anywhere() {
    let both = Both::start().await;
    both.provider.account("u-1", "ada", &["ops"]).await;
    let browser = both.browser();
    let address = browser.begin("/").await;
    let came = browser.walk("u-1", &address).await;
    let entered = browser.get(&came).await;
    assert_eq!(entered.header("location"), "/");
    let of = |address: &str, name: &str| {
        let url = Url::parse(address).unwrap();
        url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    let secrets = [
        ("the client's secret", CLIENT_SECRET.to_owned()),
        ("the code", of(&came, "code")),
        ("the state", of(&came, "state")),
        ("the nonce", of(&address, "nonce")),
    ];
    let mut places = vec![("log", both.server.log().into_bytes())];
    for file in ["milepost.db", "milepost.db-wal"] {
        places.push((
            file,
            std::fs::read(both.server.folder.path().join("data").join(file)).unwrap_or_default(),
        ));
    }
    for (what, secret) in &secrets {
        for (place, bytes) in &places {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{what} stands in the {place}");
        }
    }
}

#[tokio::test]
async fn settings_that_are_not_enough_stop_the_start() {
    let good = settings("http://127.0.0.1:9", "http://127.0.0.1:9");
    for (without, expected) in [
        ("SSO_SECRET", "sign_in.openid.client_secret_env: the variable SSO_SECRET has no secret"),
        ("MILEPOST_SERVER_BASE_URL", "[sign_in.openid] needs server.base_url"),
        ("MILEPOST_SIGN_IN_OPENID_ROLES", "[sign_in.openid]: expected roles or default_role"),
    ] {
        let less: Vec<(&str, &str)> = good
            .iter()
            .filter(|(name, _)| *name != without)
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut server = TestServer::bare(&less);
        assert!(!server.spawn_with(&[]).await, "without {without}");
        assert!(server.log().contains(expected), "{}", server.log());
        assert!(!server.log().contains(CLIENT_SECRET));
    }
}
