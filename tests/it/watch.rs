//! `milepost watch`, as somebody at a shell has it: lines, exit codes, and a connection that does not last.
//!
//! What it says of a batch is the truth and never goes back, and the exit code is that of the batch, whatever
//! happened to the connection.

use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::support::forwarder::Forwarder;
use super::support::{PATIENCE, TestServer, assert_sums, id, number, send};

/// A `milepost watch` that runs.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What it has come to.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: Vec<String>,
    told: String,
}

impl Watching {
    /// At `url`, with the admin's token.
    fn start(server: &TestServer, url: &str, arguments: &[&str]) -> Self {
        Self::start_as(server, url, &server.token, arguments)
    }

    fn start_as(server: &TestServer, url: &str, token: &str, arguments: &[&str]) -> Self {
        let mut child = server
            .command(&["watch"])
            .args(arguments)
            .env("MILEPOST_URL", url)
            .env("MILEPOST_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line of standard output.
    async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.next_line()).await.expect("a line").unwrap()
    }

    /// Reads on to the first line that `fits`.
    async fn until(&mut self, fits: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line().await.expect("it goes on");
            if fits(&line) {
                return line;
            }
        }
    }

    async fn interrupt(&self) {
        let process = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &process]).status().await.unwrap().success());
    }

    /// Reads all that is left, to the end.
    async fn outcome(mut self) -> Outcome {
        let mut stderr = self.child.stderr.take().unwrap();
        let reading = async {
            let mut told = String::new();
            let reading = async {
                let mut out = Vec::new();
                while let Some(line) = self.lines.next_line().await.unwrap() {
                    out.push(line);
                }
                out
            };
            let (out, _bytes) = tokio::join!(reading, stderr.read_to_string(&mut told));
            Outcome { code: self.child.wait().await.unwrap().code(), out, told }
        };
        timeout(PATIENCE, reading).await.expect("it ends")
    }
}

async fn watched(server: &TestServer, arguments: &[&str]) -> Outcome {
    Watching::start(server, &server.base, arguments).outcome().await
}

async fn submit(server: &TestServer, count: u64, params: Value, options: Value) -> Value {
    let body = json!({"task": "demo", "name": "a look", "params": params, "options": options,
        "items": {"count": count}});
    server.post_json("/batches", &body).await.ok()
}

/// Lets all slots work on a batch.
async fn hasten(server: &TestServer, batch: &Value) {
    let request = server.request(Method::PATCH, &format!("/batches/{}", id(batch)));
    send(request.json(&json!({"concurrency": 8}))).await.ok();
}

/// The rows that were printed; each is whole, and none is older than the one before.
fn rows(out: &[String]) -> Vec<Value> {
    let rows: Vec<Value> = out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.iter().for_each(assert_sums);
    for pair in rows.windows(2) {
        assert!(number(&pair[0], "rev") <= number(&pair[1], "rev"), "went back: {pair:?}");
        assert_ne!(pair[0], pair[1], "the same again");
    }
    rows
}

#[tokio::test]
async fn a_log_has_a_calm_line_per_five_percent() {
    let server = TestServer::start().await;
    // Hastened once it is watched.
    let batch = submit(&server, 800, json!({"duration_ms": 10}), json!({"concurrency": 1})).await;
    let mut watching = Watching::start(&server, &server.base, &[id(&batch)]);
    let first = watching.line().await.unwrap();
    hasten(&server, &batch).await;
    let mut seen = watching.outcome().await;
    seen.out.insert(0, first);
    assert_eq!((seen.code, seen.told.as_str()), (Some(0), ""), "{seen:?}");
    let (end, way) = seen.out.split_last().unwrap();
    let title = format!("#{} a look: ", number(&batch, "number"));
    assert!(end.starts_with(&format!("{title}finished; 800 succeeded in ")), "{seen:?}");
    assert!((2..=21).contains(&way.len()), "{seen:?}");
    let mut ended = None;
    for line in way {
        let count = line.strip_prefix(&title).and_then(|rest| rest.split_once(" of 800 items"));
        let count: u64 = count.unwrap_or_else(|| panic!("{line}")).0.parse().unwrap();
        assert!(ended.is_none_or(|before| count / 40 > before / 40), "{line} after {ended:?}");
        ended = Some(count);
    }
}

#[tokio::test]
async fn the_end_is_the_exit_code() {
    let server = TestServer::start().await;
    let options = json!({"attempts_max": 1});
    let failing = submit(&server, 100, json!({"fail_rate": 0.3, "duration_ms": 1}), options).await;
    let plain = number(&failing, "number").to_string();
    let seen = watched(&server, &[&plain]).await;
    let failed = number(&server.finished(&failing).await, "failed");
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.out.last().unwrap().contains(&format!("finished, {failed} failed; ")), "{seen:?}");

    let endless = submit(&server, 100, json!({"duration_ms": 60_000}), json!({})).await;
    let mut watching = Watching::start(&server, &server.base, &[&format!("#{}", number(&endless, "number"))]);
    watching.until(|line| line.contains("0 of 100 items")).await;
    server.post(&format!("/batches/{}/cancel", id(&endless))).await.ok();
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.out.last().unwrap().contains(": cancelled; 100 cancelled"), "{seen:?}");
    // Long over: nothing is to be waited for.
    assert_eq!(watched(&server, &[id(&endless), "--json"]).await.code, Some(3));
}

#[tokio::test]
async fn a_pause_is_not_an_end() {
    let server = TestServer::start().await;
    let batch = submit(&server, 200, json!({}), json!({"try_first": 20})).await;
    let mut watching = Watching::start(&server, &server.base, &[id(&batch)]);
    let line = watching.until(|line| line.contains("paused")).await;
    assert!(line.contains("20 of 200 items"), "{line}");
    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.out.last().unwrap().contains("200 succeeded"), "{seen:?}");
}

/// Reads rows until more than `before` have succeeded; how many those are.
async fn beyond(watching: &mut Watching, out: &mut Vec<String>, before: u64) -> u64 {
    loop {
        let line = watching.line().await.expect("it goes on");
        let succeeded = number(&serde_json::from_str(&line).unwrap(), "succeeded");
        out.push(line);
        if succeeded > before {
            return succeeded;
        }
    }
}

#[tokio::test]
async fn kills_and_cuts_are_survived() {
    let mut server = TestServer::start().await;
    let door = Forwarder::before(&server).await;
    // One at a time, so that it lasts; hastened in the end.
    let batch = submit(&server, 6_000, json!({"duration_ms": 10}), json!({"concurrency": 1})).await;
    let mut watching = Watching::start(&server, &door.base, &[id(&batch), "--json"]);
    let (mut out, mut seen) = (Vec::new(), 0);
    for stage in 1..=4 {
        seen = beyond(&mut watching, &mut out, seen + 20).await;
        match stage {
            1 => door.cut(),
            2 => {
                server.kill().await;
                server.spawn().await;
                door.aim(&server);
            }
            // With a goodbye and a hint when to come back.
            3 => {
                server.signal("TERM").await;
                server.ended().await;
                server.spawn().await;
                door.aim(&server);
            }
            _ => {
                door.shut();
                server.until(&batch, "moved on", |now| number(now, "succeeded") > seen + 50).await;
                door.aim(&server);
            }
        }
    }
    beyond(&mut watching, &mut out, seen + 50).await;
    hasten(&server, &batch).await;
    let seen = watching.outcome().await;
    out.extend(seen.out);
    let rows = rows(&out);
    let (last, truth) = (rows.last().unwrap(), server.finished(&batch).await);
    for member in ["rev", "total", "succeeded", "failed", "state", "finished_at"] {
        assert_eq!(last[member], truth[member], "{member}: {}", seen.told);
    }
    assert_eq!(number(&truth, "total"), 6_000);
    assert_eq!(seen.code, Some(if truth["state"] == "succeeded" { 0 } else { 2 }), "{truth}");
    assert!(seen.told.contains("no contact (the server goes away)"), "{}", seen.told);
    assert_eq!(seen.told.matches("connected again\n").count(), 4, "{}", seen.told);
}

#[tokio::test]
async fn silence_is_taken_for_death() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_PING_SECONDS", "1")]).await;
    let door = Forwarder::before(&server).await;
    let batch = submit(&server, 100, json!({}), json!({"try_first": 10})).await;
    let mut watching = Watching::start(&server, &door.base, &[id(&batch)]);
    watching.until(|line| line.contains("paused")).await;
    door.freeze();
    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    server.finished(&batch).await;
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.told.contains("no contact (nothing was heard of the server)"), "{seen:?}");
}

#[tokio::test]
async fn an_idle_connection_is_kept_by_pongs() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_PING_SECONDS", "2")]).await;
    let batch = submit(&server, 100, json!({}), json!({"try_first": 10})).await;
    server.until(&batch, "paused", |now| now["state"] == "paused").await;
    // By the server's clock: without a pong it would close at the third ping.
    let clock = submit(&server, 8, json!({"duration_ms": 1_000}), json!({"concurrency": 1})).await;
    let watching = Watching::start(&server, &server.base, &[id(&batch)]);
    server.finished(&clock).await;
    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    let seen = watching.outcome().await;
    assert_eq!((seen.code, seen.told.as_str()), (Some(0), ""), "never lost: {seen:?}");
}

#[tokio::test]
async fn contact_is_given_up_in_the_end() {
    let server = TestServer::start().await;
    let batch = submit(&server, 100, json!({"duration_ms": 60_000}), json!({})).await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let give_up = [id(&batch), "--give-up", "1"];
    let seen = Watching::start(&server, &nobody, &give_up).outcome().await;
    assert_eq!((seen.code, seen.out.len()), (Some(4), 0), "{seen:?}");
    let words = format!("error: lost contact with {nobody}: no answer for 1.0 s (Connection refused");
    assert!(seen.told.contains(&words), "{seen:?}");

    // Lost in the middle; the batch goes on.
    let door = Forwarder::before(&server).await;
    let mut watching = Watching::start(&server, &door.base, &[id(&batch), "--give-up", "5"]);
    watching.line().await.unwrap();
    door.shut();
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(4), "{seen:?}");
    assert_eq!(server.get(&format!("/batches/{}", id(&batch))).await.ok()["state"], "running");

    // Nobody there speaks TLS.
    let secure = server.base.replace("http://", "https://");
    let seen = Watching::start(&server, &secure, &give_up).outcome().await;
    assert_eq!(seen.code, Some(4), "{seen:?}");
    assert!(!seen.told.contains("panicked"), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_watched_is_said_at_once() {
    let server = TestServer::start().await;
    let batch = server.demo(10, json!({})).await;
    let nobody = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    for (wanted, token, words) in [
        (
            id(&batch),
            "mp_wrong",
            "error: the token is not valid: make another one with `milepost token create",
        ),
        (
            id(&batch),
            "",
            "error: MILEPOST_TOKEN is not set, and `milepost login` has not been used for this server: where",
        ),
        (nobody, server.token.as_str(), "error: there is no batch 0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b, or"),
        ("#4711", server.token.as_str(), "error: there is no batch #4711 among those that are listed"),
    ] {
        let seen = Watching::start_as(&server, &server.base, token, &[wanted]).outcome().await;
        assert_eq!((seen.code, seen.out.len()), (Some(1), 0), "{seen:?}");
        assert!(seen.told.contains(words), "{seen:?}");
    }
    let words = "expected http://HOST[:PORT] or https://HOST[:PORT], without a path";
    for url in [server.authority(), &format!("{}/app", server.base)] {
        let seen = Watching::start(&server, url, &[id(&batch)]).outcome().await;
        assert!(seen.code == Some(1) && seen.told.contains(words), "{seen:?}");
    }
    let seen = watched(&server, &["June photos"]).await;
    assert!(seen.code == Some(1) && seen.told.contains("the id of a batch, or its number"), "{seen:?}");
}

#[tokio::test]
async fn a_token_that_is_taken_away_ends_it() {
    let server = TestServer::start().await;
    let token = server.make_token("guest", "viewer").await;
    let batch = submit(&server, 100, json!({"duration_ms": 60_000}), json!({})).await;
    let mut watching = Watching::start_as(&server, &server.base, &token, &[id(&batch)]);
    watching.line().await.unwrap();
    assert!(server.runs(&["token", "revoke", "guest", "--data", "data"], &[]).await);
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(seen.told.contains("error: the token is not valid"), "{seen:?}");
}

#[tokio::test]
async fn a_batch_that_is_deleted_meanwhile_is_gone() {
    let server = TestServer::start().await;
    let door = Forwarder::before(&server).await;
    let batch = submit(&server, 100, json!({}), json!({"try_first": 10})).await;
    let mut watching = Watching::start(&server, &door.base, &[id(&batch)]);
    watching.until(|line| line.contains("paused")).await;
    door.shut();
    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    server.finished(&batch).await;
    assert!(server.delete(&format!("/batches/{}", id(&batch))).await.status.is_success());
    door.aim(&server);
    let seen = watching.outcome().await;
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let words = format!("error: batch #{} has been deleted", number(&batch, "number"));
    assert!(seen.told.contains(&words), "{seen:?}");
}

#[tokio::test]
async fn an_interrupt_leaves_the_batch_alone() {
    let server = TestServer::start().await;
    let batch = submit(&server, 100, json!({"duration_ms": 60_000}), json!({})).await;
    let mut watching = Watching::start(&server, &server.base, &[id(&batch)]);
    watching.line().await.unwrap();
    watching.interrupt().await;
    let seen = watching.outcome().await;
    assert_eq!((seen.code, seen.told.as_str()), (Some(130), ""), "{seen:?}");
    assert_eq!(server.get(&format!("/batches/{}", id(&batch))).await.ok()["state"], "running");
}
