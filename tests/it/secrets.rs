//! What lets somebody in is in no log, however much is logged.
//!
//! A server that logs all it can is used in every way that has a secret; then each of them is looked for in what it wrote.

use std::process::Stdio;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::cluster::Cluster;
use super::s3::{S3Server, SECRET};
use super::support::receiver::Receiver;
use super::support::{PATIENCE, Reply, TestServer, client_builder, id, send};

const TASKS: &str = r#"
[[task]]
name = "told"
input = "line"
command = ["sh", "-c", "echo \"$KEY\"; echo \"$TOKEN\" >&2; test \"$1\" = well", "sh", "{line}"]
secrets = { KEY = { env = "OUR_KEY" }, TOKEN = { file = "token" } }
"#;
const KEY: &str = "key-of-a-service-7431";
const TOKEN: &str = "token-of-a-service-9920";
const FIRST_PASSWORD: &str = "kelp vane otter 11";
const SECOND_PASSWORD: &str = "gorse anvil plum 22";
const THIRD_PASSWORD: &str = "slate heron moss 33";
const GUESS: &str = "heather quartz wren 44";

/// A browser, and all the secrets that it was given.
struct Visitor {
    client: reqwest::Client,
    base: String,
    secrets: Vec<String>,
}

impl Visitor {
    fn new(base: &str) -> Self {
        let client = client_builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true);
        Self { client: client.build().unwrap(), base: base.to_owned(), secrets: Vec::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).header("origin", &self.base)
    }

    /// Sends, and keeps the cookies that came.
    async fn sent(&mut self, request: RequestBuilder) -> Reply {
        let reply = send(request).await;
        for cookie in reply.headers.get_all("set-cookie") {
            let value = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap().1;
            self.secrets.extend((value.len() > 10).then(|| value.to_owned()));
        }
        reply
    }

    async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.request(Method::POST, path).header("accept", "text/html");
        self.sent(request.form(fields)).await
    }

    async fn page(&mut self, path: &str) -> Reply {
        let request = self.request(Method::GET, path).header("accept", "text/html");
        self.sent(request).await
    }

    async fn api(&mut self, method: Method, path: &str, body: &Value) -> Reply {
        let request = self.request(method, &format!("/api/v1{path}")).json(body);
        self.sent(request).await
    }
}

/// Signs in by the one-time link, makes a person, and does with passwords and links what can be done.
async fn signs_in(visitor: &mut Visitor, link: &str) {
    let code = link.rsplit('/').next().unwrap().to_owned();
    let path = format!("/first/{code}");
    visitor.page(&path).await;
    // With a slash too many it leads nowhere, and is as secret.
    visitor.page(&format!("/{path}")).await;
    assert_eq!(visitor.form(&path, &[]).await.status, 303);
    visitor.secrets.push(code);
    let added = visitor.api(Method::POST, "/people", &json!({"name": "ada", "role": "admin"})).await.ok();
    let link = added["link"].as_str().unwrap().to_owned();
    visitor.page(&link).await;
    assert_eq!(visitor.form(&link, &[("password", "short")]).await.status, 303);
    assert_eq!(visitor.form(&link, &[("password", FIRST_PASSWORD)]).await.status, 303);
    visitor.form("/logout", &[]).await;
    visitor.form("/login", &[("name", "ada"), ("password", GUESS)]).await;
    let signed_in = visitor.form("/login?next=/new", &[("name", "ada"), ("password", FIRST_PASSWORD)]).await;
    assert_eq!(signed_in.headers["location"], "/", "{signed_in:?}");
    let change = json!({"current": GUESS, "new": SECOND_PASSWORD});
    visitor.api(Method::POST, "/password", &change).await.problem(403, "not_allowed");
    let change = json!({"current": FIRST_PASSWORD, "new": SECOND_PASSWORD});
    assert_eq!(visitor.api(Method::POST, "/password", &change).await.status, 204);
    let reset = visitor.api(Method::POST, "/people/ada/reset", &json!({})).await.ok();
    let second = reset["link"].as_str().unwrap().to_owned();
    visitor.page(&second).await;
    assert_eq!(visitor.form(&second, &[("password", THIRD_PASSWORD)]).await.status, 303);
    for link in [&link, &second] {
        visitor.secrets.push(link.rsplit('/').next().unwrap().to_owned());
    }
    for page in ["/", "/people", "/account", "/audit", "/webhooks"] {
        visitor.page(page).await;
    }
}

/// Uses a token in every way that there is.
async fn comes_by_token(visitor: &mut Visitor, receiver: &mut Receiver) {
    let made = visitor.api(Method::POST, "/tokens", &json!({"name": "hers", "role": "operator"})).await.ok();
    let token = made["secret"].as_str().unwrap().to_owned();
    let webhook = visitor.request(Method::GET, "/api/v1/webhooks/secret");
    let webhook = visitor.sent(webhook).await.ok()["secret"].as_str().unwrap().to_owned();
    let program = Visitor::new(&visitor.base);
    let ask = |method: Method, path: &str| program.request(method, path).bearer_auth(&token);
    let body = json!({"task": "told", "items": ["well", "badly"], "options": {"webhook": receiver.url(), "attempts_max": 1}});
    let batch = send(ask(Method::POST, "/api/v1/batches").json(&body)).await.ok();
    assert!(receiver.next().await.is_signed_with(&webhook));
    let file = Part::bytes(vec![b'x'; 1 << 20]).file_name("a");
    let form = Form::new().text("task", "checksum").part("file", file);
    send(ask(Method::POST, "/api/v1/batches").multipart(form)).await.ok();
    for path in ["/", "/api/v1/batches", "/metrics", &format!("/live/frames?topic=batch/{}", id(&batch))] {
        assert!(send(ask(Method::GET, path)).await.status.is_success(), "{path}");
    }
    // A token where it does not belong, and one that is none.
    send(program.request(Method::GET, &format!("/api/v1/batches?token={token}"))).await;
    send(program.request(Method::GET, "/api/v1/batches").bearer_auth(format!("{token}x"))).await;
    let mut upgrade = format!("{}/live", visitor.base.replace("http", "ws")).into_client_request().unwrap();
    upgrade.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    upgrade.headers_mut().insert("sec-websocket-protocol", "milepost.v1.json".parse().unwrap());
    let (mut socket, _answer) = tokio_tungstenite::connect_async(upgrade).await.unwrap();
    socket.send(Message::text(r#"{"subscribe":{"topic":"batches"}}"#)).await.unwrap();
    for _frame in 0..2 {
        tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    }
    drop(socket);
    visitor.secrets.extend([token, webhook]);
}

/// Settings of the installation, and the secrets in them.
async fn nothing_is_logged(settings: &[(&str, &str)], set: &[&str]) {
    let settings: Vec<_> = settings
        .iter()
        .copied()
        .chain([
            ("MILEPOST_CONFIG", "milepost.toml"),
            ("MILEPOST_LOG", "trace"),
            ("MILEPOST_WEBHOOKS_ALLOW", "127.0.0.0/8"),
            ("OUR_KEY", KEY),
        ])
        .collect();
    let server = TestServer::bare(&settings);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    std::fs::write(server.folder.path().join("token"), TOKEN).unwrap();
    let log_path = server.folder.path().join("trace.log");
    let mut serving = server
        .command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log_path).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let (mut base, mut link) = (String::new(), String::new());
    while link.is_empty() {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().expect("it starts");
        if let Some(address) = line.strip_prefix("listening on ") {
            address.clone_into(&mut base);
        }
        if let Some(address) = line.strip_prefix("sign in once: ") {
            address.clone_into(&mut link);
        }
    }
    let mut receiver = Receiver::start().await;
    let mut visitor = Visitor::new(&base);
    signs_in(&mut visitor, &link).await;
    comes_by_token(&mut visitor, &mut receiver).await;
    serving.kill().await.unwrap();
    let migrated = server.command(&["migrate", "--data", "data"]).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    // A start that fails says where, and not by what.
    let away = ("MILEPOST_DATABASE_URL", "postgres://app:away-password-61@127.0.0.1:1/none");
    let failed = server.command(&["serve", "--data", "data"]).env(away.0, away.1).output().await.unwrap();
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && told.contains("127.0.0.1:1/none"), "{told}");

    let log = String::from_utf8_lossy(&std::fs::read(&log_path).unwrap()).into_owned();
    println!("{} lines of log, {} secrets", log.lines().count(), visitor.secrets.len());
    assert!(log.contains("TRACE") && log.contains("/first/***") && log.contains("/password/***"), "{log}");
    let log = [log, told, String::from_utf8_lossy(&migrated.stdout).into_owned()].join("\n");
    let typed = [KEY, TOKEN, FIRST_PASSWORD, SECOND_PASSWORD, THIRD_PASSWORD, GUESS, "away-password-61"];
    let typed = typed.iter().chain(set).map(|text| (*text).to_owned());
    for secret in visitor.secrets.into_iter().chain(typed) {
        let form = secret.replace(' ', "+");
        let line = log.lines().find(|line| line.contains(&secret) || line.contains(&form));
        assert!(line.is_none(), "{secret:?} is in the log: {line:?}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_however_much_is() {
    nothing_is_logged(&[], &[]).await;
}

#[tokio::test]
async fn no_secret_is_logged_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database().replace("app@", "app:dbpassword-5512@");
    nothing_is_logged(&[("MILEPOST_DATABASE_URL", &url)], &["dbpassword-5512"]).await;
}

#[tokio::test]
async fn no_secret_is_logged_with_files_in_a_bucket() {
    let Some(s3) = S3Server::start().await else { return };
    let settings = s3.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
    nothing_is_logged(&settings, &[SECRET]).await;
}
