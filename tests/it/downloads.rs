//! Many downloads at once, of which nobody reads anything.
//!
//! They hold no thread and little memory, they are bounded by person and in all, and everybody else is served.

use std::time::Duration;

use serde_json::json;

use super::support::plain::Plain;
use super::support::process::{MIB, holds, resident_bytes};
use super::support::{PATIENCE, TestServer, id, send};

/// Downloads that one caller begins.
const GREEDY: usize = 560;
/// Of these as many are served, as docs/operations.md says.
const PER_PERSON: usize = 32;
/// Longest wait for an answer beside them: none of them ends so soon by itself.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// What the server may hold more than before.
const GROWTH_MAX: u64 = 96 * MIB;

fn threads(server: &TestServer) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.process())).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_that_nobody_reads_hold_nobody_up() {
    let server = TestServer::start().await;
    let batch = server.finished(&server.demo(20_000, json!({})).await).await;
    let viewer = server.make_token("viewer", "viewer").await;
    server.add_person("ada", "operator").await;
    let (resident, before) = (resident_bytes(&server), threads(&server));
    let mut held = Vec::new();
    let (mut served, mut refused) = (0, 0);
    for at in 0..GREEDY {
        let format = ["zip", "ndjson", "csv"][at % 3];
        let mut plain = Plain::dial_narrow(&server).await;
        let head = format!(
            "GET /api/v1/batches/{}/results?format={format} HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer {viewer}\r\n\r\n",
            id(&batch),
            server.authority()
        );
        assert!(plain.send(head.as_bytes()).await);
        match plain.status().await {
            200 => served += 1,
            429 => refused += 1,
            other => panic!("{other} for {format}"),
        }
        held.push(plain);
    }
    assert_eq!((served, refused), (PER_PERSON, GREEDY - PER_PERSON));
    let grown = resident_bytes(&server).saturating_sub(resident);
    let more = threads(&server).saturating_sub(before);
    println!("{grown} bytes and {more} threads more for {served} unread downloads");
    assert!(more <= PER_PERSON / 2, "{more} threads for {served} downloads");
    assert!(grown <= GROWTH_MAX, "{grown} bytes");

    let others = async {
        let new = server.post_body("/batches?task=demo", "text/plain", "1\n2\n").await.ok();
        server.finished(&new).await;
        server.demo(3, json!({})).await;
        server.sign_in("ada").await;
        let path = format!("/batches/{}/results?format=zip", id(&batch));
        assert!(server.get(&path).await.status.is_success(), "another caller's download");
        assert_eq!(send(server.client.get(format!("{}/healthz", server.base))).await.text, "ok");
    };
    tokio::time::timeout(ANSWER_MAX, others).await.expect("everybody else is served");

    let path = server.url(&format!("/batches/{}/results?format=zip", id(&batch)));
    let mine = send(server.client.get(&path).bearer_auth(&viewer)).await;
    mine.problem(429, "too_many");
    assert!(mine.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{mine:?}");
    drop(held);
    let again = async {
        loop {
            if send(server.client.get(&path).bearer_auth(&viewer)).await.status.is_success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("places come back");
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut() {
    let server = TestServer::start().await;
    let batch = server.finished(&server.demo(20_000, json!({})).await).await;
    let path = format!("/api/v1/batches/{}/results?format=zip", id(&batch));
    let window = format!("topic=batch/{}/items/1-500", id(&batch));
    let windows = [window.as_str(); 150].join("&");
    let mut held = Vec::new();
    for path in [path, format!("/live/events?{windows}"), format!("/live/frames?{windows}")] {
        let mut plain = Plain::dial_narrow(&server).await;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            server.authority(),
            server.token
        );
        assert!(plain.send(head.as_bytes()).await);
        assert_eq!(plain.status().await, 200);
        held.push(plain);
    }
    // 30 s are promised; each of them is still held here.
    let begun = std::time::Instant::now();
    while held.iter().any(|plain| holds(&server, plain.port())) {
        assert!(begun.elapsed() < PATIENCE, "they are never cut");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("cut after {:?}", begun.elapsed());
}

#[tokio::test]
async fn newcomers_find_a_place_whoever_says_nothing() {
    let server = TestServer::start_with(&[("MILEPOST_SERVER_CONNECTIONS_MAX", "64")]).await;
    let mut silent = Vec::new();
    for at in 0..400 {
        let mut plain = Plain::dial(&server).await;
        let said: &[u8] = match at % 3 {
            0 => b"",
            1 => b"GET /healthz HT",
            _ => {
                b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                   Content-Length: 100\r\n\r\nn"
            }
        };
        assert!(plain.send(said).await);
        silent.push(plain);
        if at % 20 == 0 {
            let probe = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.authority());
            let mut newcomer = Plain::dial(&server).await;
            let answer = tokio::time::timeout(ANSWER_MAX, newcomer.ask(probe.as_bytes())).await;
            assert_eq!(answer.expect("soon").expect("an answer").status, 200);
        }
    }
}
