//! Files in a bucket, from outside: the S3 server is killed while files go in, are worked on and come out, and nodes that
//! share nothing but Postgres and the bucket are killed under load.
//!
//! What was answered is there, byte for byte; what could not be stored is not answered as if it were.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::s3::S3Server;
use super::support::ledger::Ledger;
use super::support::{PATIENCE, TestServer, id, number, times};

/// Bytes of a chunk of a body, and chunks of a file that takes several parts and requests.
const CHUNK: usize = 1024 * 1024;
const CHUNKS: usize = 40;
/// Small files of one form.
const SMALL_FILES: usize = 40;

/// A server whose files are in a bucket; none where tests are told to go without.
async fn with_bucket() -> Option<(S3Server, TestServer)> {
    let s3 = S3Server::start().await?;
    let settings = s3.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
    Some((s3, TestServer::start_with(&settings).await))
}

fn chunk(number: usize) -> Vec<u8> {
    (0..CHUNK).map(|at| u8::try_from((at * 7 + number) % 251).unwrap()).collect()
}

fn sha256_of(chunks: usize) -> String {
    let mut hasher = Sha256::new();
    (0..chunks).for_each(|number| hasher.update(chunk(number)));
    format!("{:x}", hasher.finalize())
}

/// A form with one file, whose chunks come as they are sent.
fn slow_form(server: &TestServer) -> (mpsc::Sender<Vec<u8>>, RequestBuilder) {
    let (send, receive) = mpsc::channel::<Vec<u8>>(1);
    let chunks = stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|chunk| (Ok::<_, std::io::Error>(chunk), receive))
    });
    let part = Part::stream(Body::wrap_stream(chunks)).file_name("large.bin");
    let form = Form::new().text("task", "checksum").part("file", part);
    (send, server.request(Method::POST, "/batches").multipart(form))
}

/// Answers of a server that looks for its bucket.
async fn until_ready(server: &TestServer, ready: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = server.client.get(format!("{}/readyz", server.base)).send().await.unwrap();
        if answer.status().is_success() == ready {
            if !ready {
                let text = answer.text().await.unwrap();
                assert!(text.contains("file store cannot be reached"), "{text}");
            }
            return;
        }
        assert!(Instant::now() < deadline, "never ready: {ready}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn upload_large(server: &TestServer) -> Value {
    let (send, request) = slow_form(server);
    let sent = tokio::spawn(request.send());
    for number in 0..CHUNKS {
        send.send(chunk(number)).await.unwrap();
    }
    drop(send);
    let answer = sent.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_bucket_goes_away_while_a_file_comes() {
    let Some((mut s3, server)) = with_bucket().await else { return };
    let (send, request) = slow_form(&server);
    let sent = tokio::spawn(request.send());
    for number in 0..CHUNKS / 2 {
        send.send(chunk(number)).await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while s3.parts() == 0 {
        assert!(Instant::now() < deadline, "no part is sent while the file comes\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    s3.kill();
    for number in CHUNKS / 2..CHUNKS {
        // Refused in the middle, it is not read to its end.
        if send.send(chunk(number)).await.is_err() {
            break;
        }
    }
    drop(send);
    let answer = sent.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "busy");
    until_ready(&server, false).await;
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]), "nothing came of it");
    s3.start_again().await;
    until_ready(&server, true).await;
    let batch = upload_large(&server).await;
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 1);
    assert_eq!(server.rows(&batch).await[0]["result"]["sha256"], sha256_of(CHUNKS));
}

#[tokio::test]
async fn the_bucket_goes_away_while_a_file_leaves() {
    let Some((mut s3, server)) = with_bucket().await else { return };
    let batch = upload_large(&server).await;
    server.finished(&batch).await;
    let path = format!("/batches/{}/items/1/files/large.bin", id(&batch));
    for comes_back in [true, false] {
        let answer = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.content_length(), Some((CHUNKS * CHUNK) as u64));
        let mut chunks = answer.bytes_stream();
        let mut hasher = Sha256::new();
        hasher.update(chunks.next().await.unwrap().unwrap());
        s3.kill();
        if comes_back {
            s3.start_again().await;
        }
        let mut broken = false;
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => hasher.update(chunk),
                Err(_cut) => broken = true,
            }
        }
        assert_eq!(broken, !comes_back, "half a file is no answer\n{}", server.log());
        if comes_back {
            assert_eq!(format!("{:x}", hasher.finalize()), sha256_of(CHUNKS));
        }
    }
    server.get(&path).await.problem(503, "busy");
    s3.start_again().await;
    let answer = server.request(Method::GET, &path).send().await.unwrap();
    assert!(format!("{:x}", Sha256::digest(answer.bytes().await.unwrap())) == sha256_of(CHUNKS));
}

/// Small files, and one that is none, each another content.
fn form(task: &str, round: usize, options: &str) -> Form {
    let mut form = Form::new().text("task", task.to_owned()).text("options", options.to_owned());
    for number in 0..SMALL_FILES {
        let part = Part::bytes(content(round, number)).file_name(format!("{number}.bin"));
        form = form.part("file", part);
    }
    form
}

fn content(round: usize, number: usize) -> Vec<u8> {
    let bytes = if number == 0 { 6_000_000 } else { 300 + number };
    (0..bytes).map(|at| u8::try_from((at * 13 + round * 41 + number) % 251).unwrap()).collect()
}

#[tokio::test]
async fn the_bucket_goes_away_while_items_run() {
    let Some((mut s3, server)) = with_bucket().await else { return };
    let form = form("checksum", 0, r#"{"rate_per_s":10}"#);
    let request = server.request(Method::POST, "/batches").multipart(form);
    let batch: Value = request.send().await.unwrap().json().await.unwrap();
    server.until(&batch, "under way", |now| number(now, "succeeded") >= 5).await;
    s3.kill();
    until_ready(&server, false).await;
    let before = server.get(&format!("/batches/{}", id(&batch))).await.ok();
    assert!(number(&before, "succeeded") < SMALL_FILES as u64 && number(&before, "failed") == 0, "{before}");
    s3.start_again().await;
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), SMALL_FILES as u64, "{done}");
}

/// Nodes with folders of their own, on one database and one bucket.
async fn apart(s3: &S3Server, cluster: Option<&Cluster>) -> Option<[TestServer; 2]> {
    let url = cluster?.database();
    let bucket = s3.settings();
    let settings: Vec<(&str, &str)> = [
        ("MILEPOST_DATABASE_URL", url.as_str()),
        ("MILEPOST_ENGINE_LEASE_SECONDS", "2"),
        ("MILEPOST_ENGINE_RECLAIM_SECONDS", "1"),
    ]
    .into_iter()
    .chain(bucket.iter().map(|(key, value)| (&**key, &**value)))
    .collect();
    let mut nodes = [TestServer::bare(&settings), TestServer::bare(&settings)];
    let token = nodes[0].make_token("admin", "admin").await;
    for (node, name) in nodes.iter_mut().zip(["one", "two"]) {
        let task = "[[task]]\nname = \"copy\"\ninput = \"file\"\ncommand = [\"cp\", \"{file}\", \"{out}/{stem}.out\"]\n";
        std::fs::write(node.folder.path().join("milepost.toml"), task).unwrap();
        (node.name, node.token) = (name.to_owned(), token.clone());
        node.spawn().await;
    }
    Some(nodes)
}

/// Where the nodes are, for as long as one of them may be gone.
#[derive(Clone)]
struct Addresses {
    client: reqwest::Client,
    urls: [String; 2],
    token: String,
}

impl Addresses {
    fn of(nodes: &[TestServer; 2]) -> Self {
        let urls = [nodes[0].url("/batches"), nodes[1].url("/batches")];
        Self { client: nodes[0].client.clone(), urls, token: nodes[0].token.clone() }
    }

    /// Sends a form until one of the nodes has taken it.
    async fn taken(self, round: usize) -> Value {
        let options = r#"{"attempts_max":60,"retry_base_ms":1,"retry_max_ms":2}"#;
        let deadline = Instant::now() + PATIENCE;
        for url in self.urls.iter().cycle() {
            let request = self.client.post(url).bearer_auth(&self.token);
            let request = request.header("idempotency-key", format!("round-{round}"));
            if let Ok(answer) = request.multipart(form("copy", round, options)).send().await
                && answer.status().is_success()
                && let Ok(batch) = answer.json().await
            {
                return batch;
            }
            assert!(Instant::now() < deadline, "no batch is taken");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("a cycle has no end")
    }
}

#[tokio::test]
async fn nodes_that_share_a_bucket_are_killed_and_so_is_the_bucket() {
    let Some(mut s3) = S3Server::start().await else { return };
    let Some(mut nodes) = apart(&s3, Cluster::shared()).await else { return };
    let mut random = StdRng::seed_from_u64(7);
    let (mut ledger, mut batches) = (Ledger::default(), Vec::new());
    let rounds = times(6);
    for round in 0..rounds as usize {
        let sending = tokio::spawn(Addresses::of(&nodes).taken(round));
        // In the middle of the form, or of its items.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..600))).await;
        match round % 3 {
            2 => s3.kill(),
            node => nodes[node].kill().await,
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        match round % 3 {
            2 => s3.start_again().await,
            node => nodes[node].spawn_again().await,
        }
        let batch = sending.await.unwrap();
        // At its end before the next kill: an item that three of them hit would be set aside, as it should be.
        nodes[0].finished(&batch).await;
        ledger.add(batch.clone(), SMALL_FILES as u64);
        batches.push((round, batch));
    }
    let figures = ledger.check(&nodes[0]).await;
    assert_eq!(figures.set_aside, 0);
    for (round, batch) in &batches {
        let done = nodes[1].finished(batch).await;
        assert_eq!(number(&done, "succeeded"), SMALL_FILES as u64, "{done}");
        for number in 0..SMALL_FILES {
            let path = format!("/batches/{}/items/{}/files/{number}.out", id(batch), number + 1);
            let answer = nodes[number % 2].request(Method::GET, &path).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert!(answer.bytes().await.unwrap() == content(*round, number), "{path} has another content");
        }
    }
    println!("a node or the bucket killed {rounds} times: {} items, 0 lost, 0 twice", figures.items);
}
