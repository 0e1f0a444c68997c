//! The live connection against bad clients: broken frames, floods, half sentences, sudden ends.
//!
//! Each is told what is documented, and nobody else notices: updates go on, memory and sockets come back.

mod cases;
mod handshakes;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::support::known_topic::KnownTopic;
use super::support::live_client::LiveClient;
use super::support::process::{MIB, resident_bytes, sockets};
use super::support::raw_frames::{CONTINUATION, Frame, PING, RawMessage, TEXT, text};
use super::support::raw_websocket::RawWebSocket;
use super::support::{PATIENCE, TestServer, id, number};
use cases::Case;

/// Bad clients at once.
const AT_ONCE: usize = 4;
/// Longest wait for the answer to one of them, and for the end of its connection.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// What the server may keep of all that was said to it.
const GROWTH_MAX: u64 = 20 * MIB;

/// A client that does nothing wrong, and the batch that it watches.
struct Healthy {
    batch: Value,
    ended: watch::Receiver<u64>,
    running: JoinHandle<KnownTopic>,
}

impl Healthy {
    async fn start(server: &TestServer) -> Self {
        let batch = server.demo(1_000_000, json!({"duration_ms": 20})).await;
        let topic = format!("batch/{}", id(&batch));
        let mut client = LiveClient::connect(server).await;
        client.subscribe(&topic, None).await;
        let (told, ended) = watch::channel(0);
        let running = tokio::spawn(async move {
            loop {
                client.next().await.expect("whoever does nothing wrong is left alone");
                let Some(known) = client.topics.get(&topic) else { continue };
                let row = known.rows.values().next().unwrap();
                told.send_replace(number(row, "succeeded"));
                if !row["finished_at"].is_null() {
                    return known.clone();
                }
            }
        });
        Self { batch, ended, running }
    }

    /// Waits for news.
    async fn moves(&self) {
        let mut ended = self.ended.clone();
        let before = *ended.borrow_and_update();
        let moved = ended.wait_for(|now| *now > before);
        tokio::time::timeout(PATIENCE, moved).await.expect("it goes on").expect("it lives");
    }

    /// To the end of the batch: what is shown is what the API answers.
    async fn stays_right_to_the_end(self, server: &TestServer) {
        server.post(&format!("/batches/{}/cancel", id(&self.batch))).await.ok();
        let known = self.running.await.unwrap();
        let truth = server.finished(&self.batch).await;
        let row = known.rows.values().next().unwrap();
        for (member, value) in truth.as_object().unwrap() {
            assert!(["rate_per_s", "eta_ms"].contains(&member.as_str()) || row[member] == *value, "{row}");
        }
    }
}

/// Fails with every fault at once.
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Says one thing; what came that should not have, or did not come.
async fn play(server: &TestServer, case: &Case) -> Option<String> {
    match tokio::time::timeout(SILENCE_MAX, converse(server, case)).await {
        Ok(fault) => fault,
        Err(_silent) => Some(format!("{}: nothing came of it, not {:?}", case.0, case.2)),
    }
}

async fn converse(server: &TestServer, (name, bytes, expected): &Case) -> Option<String> {
    let mut wire = RawWebSocket::open(server).await;
    let heard = wire.exchange(bytes, |heard| expected.is_answer(heard)).await;
    let mut fault = None;
    if expected.is_answer(&heard) {
        // It lives: the longest of pings is answered by itself.
        let ping = vec![b'p'; 125];
        let pong = RawMessage::Pong(ping.clone());
        let after = wire.exchange(&Frame::of(PING).carrying(&ping), |heard| *heard == pong).await;
        if after != pong {
            fault = Some(format!("{name}: was answered, then {after:?} instead of a pong"));
        }
    } else if !expected.is_end(&heard) {
        fault = Some(format!("{name}: {heard:?}, not {expected:?}"));
    }
    wire.part().await;
    fault
}

#[tokio::test]
async fn whatever_is_said_is_answered_and_disturbs_nobody() {
    let server = TestServer::start().await;
    let healthy = Healthy::start(&server).await;
    RawWebSocket::open(&server).await.part().await;
    healthy.moves().await;
    let (resident, open) = (resident_bytes(&server), sockets(&server));
    let cases = cases::all();
    let count = cases.len();
    let faults: Vec<Option<String>> = stream::iter(&cases)
        .map(async |case| {
            let fault = play(&server, case).await;
            healthy.moves().await;
            fault
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    leaves_without_a_word(&server).await;
    server.get("/batches").await.ok();
    healthy.moves().await;
    settles(&server, open).await;
    let grown = resident_bytes(&server).saturating_sub(resident);
    println!("{count} cases, {} bytes grown, {open} sockets as before", grown);
    healthy.stays_right_to_the_end(&server).await;
    assert!(grown <= GROWTH_MAX, "{grown} bytes were kept");
    none(faults.into_iter().flatten().collect());
}

/// Ends of all kinds, in the middle of things.
async fn leaves_without_a_word(server: &TestServer) {
    let half = &text(r#"{"subscribe":{"topic":"batches"}}"#)[..9];
    for said in [&[][..], half, &half[..1]] {
        for _time in 0..5 {
            let mut wire = RawWebSocket::open(server).await;
            wire.send(said).await;
            drop(wire);
            let mut wire = RawWebSocket::open(server).await;
            wire.send(said).await;
            wire.reset();
        }
    }
    drop(RawWebSocket::dial(server).await);
    RawWebSocket::dial(server).await.reset();
    let mut wire = RawWebSocket::dial(server).await;
    wire.send(b"GET /live HTTP/1.1\r\nHost").await;
    wire.reset();
}

/// Waits until the server holds no more sockets than before, but for one or two that HTTP keeps open.
async fn settles(server: &TestServer, before: usize) {
    let deadline = Instant::now() + PATIENCE;
    while sockets(server) > before + 2 {
        assert!(Instant::now() < deadline, "{} sockets, {before} before", sockets(server));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_subscription_too_many_is_an_error_and_no_end() {
    let server = TestServer::start().await;
    let batch = server.demo(300, json!({})).await;
    let mut wire = RawWebSocket::open(&server).await;
    // 80 a second: what may be said, and no faster.
    let mut pace = tokio::time::interval(Duration::from_millis(250));
    let mut refused = Vec::new();
    for first in (1..=201).step_by(20) {
        pace.tick().await;
        for at in first..(first + 20).min(202) {
            let topic = format!("item/{}/{at}", id(&batch));
            let answers =
                |heard: &RawMessage| matches!(heard, RawMessage::Text(text) if text.contains(&topic));
            let words = json!({"subscribe": {"topic": topic}}).to_string();
            match wire.exchange(&text(&words), answers).await {
                RawMessage::Text(answer) if answer.contains("\"snapshot\"") => {}
                RawMessage::Text(answer) => refused.push((at, answer)),
                other => panic!("{at}: {other:?}"),
            }
        }
    }
    let [(at, answer)] = refused.as_slice() else { panic!("{refused:?}") };
    assert!(*at == 201 && answer.contains("\"too_many\""), "{at}: {answer}");
    // What was given up makes room.
    let (first, last) = (format!("item/{}/1", id(&batch)), format!("item/{}/201", id(&batch)));
    let words = [json!({"unsubscribe": {"topic": first}}), json!({"subscribe": {"topic": last}})];
    let bytes: Vec<u8> = words.iter().flat_map(|words| text(&words.to_string())).collect();
    let room =
        wire.exchange(&bytes, |heard| matches!(heard, RawMessage::Text(text) if text.contains(&last))).await;
    assert!(matches!(&room, RawMessage::Text(text) if text.contains("\"snapshot\"")), "{room:?}");
    wire.part().await;
}

#[tokio::test]
async fn whoever_stops_in_the_middle_is_let_go() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_PING_SECONDS", "1")]).await;
    let healthy = Healthy::start(&server).await;
    let whole = text(r#"{"subscribe":{"topic":"batches"}}"#);
    let stops: [(&str, Vec<u8>); 6] = [
        ("says nothing at all", Vec::new()),
        ("half a head", whole[..1].to_vec()),
        ("half a frame", whole[..12].to_vec()),
        ("a head and nothing of 8,000 bytes", Frame::of(TEXT).announcing(8_000).carrying(b"")),
        (
            "half a message",
            [
                Frame::of(TEXT).unfinished().carrying(b"{"),
                Frame::of(CONTINUATION).unfinished().carrying(b"\""),
            ]
            .concat(),
        ),
        ("listens and answers no ping", whole.clone()),
    ];
    let stopping = stream::iter(&stops).map(async |(name, bytes)| {
        let mut wire = RawWebSocket::open(&server).await;
        let end = wire.exchange(bytes, |_heard| false).await;
        wire.part().await;
        let told = matches!(&end, RawMessage::Close { code: Some(4408), .. });
        (!told).then(|| format!("{name}: {end:?}"))
    });
    let greeting = async {
        // The server ends it, with an answer or without, after at most the 15 s that a head may take.
        let mut wire = RawWebSocket::dial(&server).await;
        let (status, answer) = wire.ask("GET /live HTTP/1.1\r\nHost: half").await;
        assert!(status == 0 || (400..500).contains(&status), "{answer}");
    };
    let (faults, ()) =
        tokio::join!(stopping.buffer_unordered(stops.len()).collect::<Vec<Option<String>>>(), greeting);
    healthy.moves().await;
    healthy.stays_right_to_the_end(&server).await;
    none(faults.into_iter().flatten().collect());
}
