//! A running server of its own for a test, and the ways to talk to it.
//!
//! Used by every test here. The folder outlives a killed server, so that a test may start it again on the same data.

pub mod bounds;
pub mod follower;
pub mod follower_task;
pub mod forwarder;
pub mod front;
pub mod known_topic;
pub mod ledger;
pub mod live_client;
pub mod people;
pub mod plain;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod raw_frames;
pub mod raw_websocket;
pub mod receiver;

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::cluster::Cluster;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server, its folder, and an admin's token.
pub struct TestServer {
    pub folder: Arc<tempfile::TempDir>,
    pub name: String,
    role: &'static str,
    pub base: String,
    pub token: String,
    pub client: reqwest::Client,
    settings: Vec<(String, String)>,
    /// Where it listens: any free port, or the one that it had.
    listen: String,
    child: Option<Child>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    /// The answer as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// The header `name`, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer as JSON, where it is a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json()
    }

    /// Asserts that it is a problem of this status and code, and gives it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        }
        problem
    }
}

impl TestServer {
    /// A fresh installation.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A fresh installation with settings from the environment.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(settings).await;
        server.spawn().await;
        server
    }

    /// A fresh installation on an empty database of the cluster; none where tests are told to go without.
    pub async fn start_on(cluster: Option<&Cluster>, settings: &[(&str, &str)]) -> Option<Self> {
        let url = cluster?.database();
        let settings: Vec<(&str, &str)> =
            settings.iter().copied().chain([("MILEPOST_DATABASE_URL", url.as_str())]).collect();
        Some(Self::start_with(&settings).await)
    }

    /// A fresh installation whose server has not been started.
    pub async fn prepare(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::bare(settings);
        server.token = server.make_token("admin", "admin").await;
        server
    }

    /// An empty folder, nothing more.
    pub fn bare(settings: &[(&str, &str)]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let client = client();
        let (base, token, name) = (String::new(), String::new(), "test".to_owned());
        let listen = "127.0.0.1:0".to_owned();
        Self { folder, name, role: "all", base, token, client, settings, listen, child: None }
    }

    /// Another node on the same database and folder.
    pub async fn beside(&self, name: &str, role: &'static str) -> Self {
        let mut server = Self {
            folder: Arc::clone(&self.folder),
            name: name.to_owned(),
            role,
            base: String::new(),
            token: self.token.clone(),
            client: client(),
            settings: self.settings.clone(),
            listen: "127.0.0.1:0".to_owned(),
            child: None,
        };
        server.spawn().await;
        server
    }

    /// Runs a command to its end; true where it says that it has done what it was asked.
    pub async fn runs(&self, arguments: &[&str], environment: &[(&str, &str)]) -> bool {
        let output = self.command(arguments).envs(environment.iter().copied()).output().await.unwrap();
        output.status.success()
    }

    /// A token, made by the command line.
    pub async fn make_token(&self, name: &str, role: &str) -> String {
        let output = self
            .command(&["token", "create", "--name", name, "--role", role, "--data", "data"])
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The executable, in the folder and with the settings of this installation alone.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
        command.args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        for (key, _value) in std::env::vars_os() {
            if key.to_str().is_some_and(|key| key.starts_with("MILEPOST_")) {
                command.env_remove(key);
            }
        }
        command.env("RUST_BACKTRACE", "0").envs(self.settings.iter().cloned());
        command
    }

    /// Starts the server on the folder, and waits for it to listen.
    pub async fn spawn(&mut self) {
        assert!(self.spawn_with(&[]).await, "the server ended: {}", self.log());
    }

    /// Starts it again where clients look for it: on the address that it had.
    pub async fn spawn_again(&mut self) {
        self.listen = self.authority().to_owned();
        self.spawn().await;
    }

    /// As [`TestServer::spawn`], with more in its environment; false where it ended before it listened.
    pub async fn spawn_with(&mut self, environment: &[(&str, &str)]) -> bool {
        let mut command = self.command(&[]);
        command.envs(environment.iter().copied());
        self.spawn_by(command).await
    }

    /// As [`TestServer::spawn_with`], started by a program that becomes what its arguments say.
    pub async fn spawn_through(&mut self, program: &[&str]) -> bool {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_milepost"));
        command.current_dir(self.folder.path()).kill_on_drop(true);
        self.spawn_by(command).await
    }

    async fn spawn_by(&mut self, mut command: Command) -> bool {
        assert!(self.child.is_none(), "one server at a time");
        let log = std::fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut child = command
            .args(["serve", "--listen", &self.listen, "--data", "data", "--slots", "8"])
            .args(["--name", &self.name, "--role", self.role])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.child = Some(child);
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(at) = line.find("listening on ") {
                    return Some(line[at + "listening on ".len()..].trim().to_owned());
                }
            }
            None
        };
        let base = tokio::time::timeout(PATIENCE, listening).await.expect("it listens or ends");
        let Some(base) = base else { return false };
        self.base = base;
        // Whatever else it prints must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
        true
    }

    /// Starts again as a node of another role.
    pub async fn become_role(&mut self, role: &'static str) {
        self.role = role;
        self.spawn().await;
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.folder.path().join(format!("{}.log", self.name))
    }

    /// Its process, which runs.
    pub fn process(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Sends it a signal by name.
    pub async fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        let Some(process) = child.id() else { return };
        let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().await.unwrap();
        assert!(sent.success(), "{name} could not be sent");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap()
    }

    /// True once it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Ends it at once, as a power cut of the process: SIGKILL.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        // One that has ended by itself is as good.
        let _ended_already = child.kill().await;
    }

    /// Where `path` of the API is.
    pub fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.base.strip_prefix("http://").expect("plain HTTP on loopback")
    }

    /// A request by the admin.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// A POST without a body.
    pub async fn post(&self, path: &str) -> Reply {
        send(self.request(Method::POST, path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// A body of a content type.
    pub async fn post_body(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Reply {
        send(self.request(Method::POST, path).header("content-type", content_type).body(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    /// A GET that may find nobody, or nobody ready: none then.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        let response = self.request(Method::GET, path).send().await.ok()?;
        let (is_good, text) = (response.status().is_success(), response.text().await.ok()?);
        if is_good { serde_json::from_str(&text).ok() } else { None }
    }

    /// A batch of `count` numbers of the demo task.
    pub async fn demo(&self, count: u64, params: Value) -> Value {
        let body = serde_json::json!({"task": "demo", "params": params, "items": {"count": count}});
        self.post_json("/batches", &body).await.ok()
    }

    /// The batch, once `done` says so of it.
    pub async fn until(&self, batch: &Value, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.get(&format!("/batches/{}", id(batch))).await.ok();
            assert_sums(&now);
            if done(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "never {what}: {now}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The batch, once it has finished.
    pub async fn finished(&self, batch: &Value) -> Value {
        self.until(batch, "finished", |now| {
            matches!(now["state"].as_str(), Some("succeeded" | "failed" | "cancelled"))
        })
        .await
    }

    /// All rows by NDJSON.
    pub async fn rows(&self, batch: &Value) -> Vec<Value> {
        let reply = self.get(&format!("/batches/{}/results?format=ndjson", id(batch))).await;
        assert!(reply.status.is_success(), "{reply:?}");
        reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The inputs of all rows.
    pub async fn inputs(&self, batch: &Value) -> Vec<Value> {
        self.rows(batch).await.into_iter().map(|row| row["input"].clone()).collect()
    }

    /// The newest batch with this name.
    pub async fn named(&self, name: &str) -> Option<Value> {
        let page = self.get("/batches?limit=500").await.ok();
        page["batches"].as_array().unwrap().iter().find(|batch| batch["name"] == name).cloned()
    }

    /// The same, once it is there.
    pub async fn until_named(&self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(batch) = self.named(name).await {
                return batch;
            }
            assert!(Instant::now() < deadline, "no batch {name}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn client() -> reqwest::Client {
    client_builder().timeout(PATIENCE).build().unwrap()
}

/// A client that is still to be set up, with the same cryptography as the executable.
pub fn client_builder() -> reqwest::ClientBuilder {
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// How often a thing is done that takes long: `few`, or as many times more as SOAK says.
pub fn times(few: u32) -> u32 {
    few * std::env::var("SOAK").ok().and_then(|more| more.parse().ok()).unwrap_or(1)
}

/// Sends, and reads the whole answer.
pub async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Reply { status, headers, text: String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned() }
}

/// The id of a batch.
pub fn id(batch: &Value) -> &str {
    batch["id"].as_str().unwrap_or_else(|| panic!("no batch: {batch}"))
}

/// A number of a batch.
#[track_caller]
pub fn number(batch: &Value, name: &str) -> u64 {
    batch[name].as_u64().unwrap_or_else(|| panic!("{name} of {batch}"))
}

/// Always: the states add up to the total.
#[track_caller]
pub fn assert_sums(batch: &Value) {
    let sum: u64 = ["pending", "running", "retrying", "succeeded", "failed", "cancelled"]
        .iter()
        .map(|state| number(batch, state))
        .sum();
    assert_eq!(sum, number(batch, "total"), "{batch}");
}
