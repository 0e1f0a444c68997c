//! The live connection from outside: a real socket, a real database, the protocol's words.
//!
//! Nothing is looked at but what the socket says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::routing::{any, get};
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::state::AppState;
use super::super::{engine_options, open_store, state};
use super::{PermitLimits, Permits};
use crate::config::Config;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::protocol::binary::{BinaryFrame, Change, Channels, Fields as _, of_client};
use crate::protocol::{
    Batch, BatchState, ClientFrame, ErrorCode, ItemState, LogPart, NewBatch, Options, Row, ServerFrame, Topic,
};
use crate::server::transport::{ConnectionLimits, OpenConnections, accept};
use crate::service::{Caller, Parts, Service};
use crate::tasks::built_in;

const TOKEN: &str = "Bearer robot";

type Client = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

struct House {
    _folder: tempfile::TempDir,
    state: AppState,
    engine: Engine,
    address: SocketAddr,
}

impl House {
    async fn open(change: impl FnOnce(&mut AppState)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data = folder.path().join("data");
        config.server.slots = 2;
        let store = open_store(&config).await.unwrap();
        let (hub, tasks) = (Hub::new(Duration::from_millis(20)), Arc::new(built_in()));
        let engine = Engine::start(
            store.clone(),
            tasks.clone(),
            hub.clone(),
            engine_options(&config, config.server.data.join("work")),
        )
        .await
        .unwrap();
        let service = Service::new(Parts {
            store: store.clone(),
            engine: engine.clone(),
            tasks,
            hub: hub.clone(),
            upload_bytes_max: 1 << 30,
            permissions: Default::default(),
            folders: Vec::new(),
        });
        let mut state = state(&config, service).unwrap();
        change(&mut state);
        engine.feed_windows();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Who is asking is another layer's business: here, whoever brings a token.
        let knock = axum::middleware::from_fn(async |mut request: Request, next: Next| {
            if request.headers().contains_key("authorization") {
                request.extensions_mut().insert(Caller::local());
            }
            next.run(request).await
        });
        let routes = Router::new()
            .route("/live", any(super::live))
            .route("/live/events", get(super::events))
            .route("/live/frames", get(super::frames))
            .layer(knock)
            .with_state(state.clone());
        let connections = Arc::new(OpenConnections::new(ConnectionLimits {
            all_max: 1_000,
            per_address_max: None,
            trusted_proxies: Vec::new(),
        }));
        tokio::spawn(accept(listener, routes, connections, state.stop.clone(), state.tracker.clone()));
        Self { _folder: folder, state, engine, address }
    }

    async fn call(&self, headers: &[(&'static str, &str)]) -> Result<Client, Error> {
        self.call_at("/live", headers).await
    }

    async fn call_at(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Client, Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        connect_async(request).await.map(|(client, _response)| client)
    }

    async fn client(&self) -> Client {
        let mut client = self.call(&[("authorization", TOKEN)]).await.unwrap();
        let ServerFrame::Welcome { limits, .. } = next(&mut client).await else { panic!("no welcome") };
        assert_eq!(limits.subscriptions_max, 200);
        client
    }

    async fn batch(&self, count: u64, params: &str) -> Batch {
        let new = NewBatch {
            task: "demo".to_owned(),
            name: None,
            params: Some(crate::protocol::Json::parse(params).unwrap()),
            options: Options::default(),
        };
        self.state.service.create_generated(&Caller::local(), new, count).await.unwrap()
    }

    async fn close(self) {
        self.state.stop.cancel();
        self.engine.drain().await;
    }
}

async fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text.to_owned())).await.unwrap();
}

async fn subscribe(client: &mut Client, topic: &str) {
    say(client, &format!(r#"{{"subscribe":{{"topic":"{topic}"}}}}"#)).await;
}

async fn message(client: &mut Client) -> Message {
    tokio::time::timeout(Duration::from_secs(20), client.next())
        .await
        .expect("a frame in time")
        .unwrap()
        .unwrap()
}

async fn next(client: &mut Client) -> ServerFrame {
    loop {
        match message(client).await {
            Message::Text(text) => return ServerFrame::from_json(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn closed(client: &mut Client) -> CloseFrame {
    loop {
        if let Message::Close(frame) = message(client).await {
            return frame.expect("a close has a reason");
        }
    }
}

#[tokio::test]
async fn a_batch_is_watched_to_its_end() {
    let house = House::open(|_| ()).await;
    let mut client = house.client().await;
    let batch = house.batch(300, r#"{"duration_ms":2}"#).await;
    let id = batch.id;
    for topic in [format!("batch/{id}"), format!("batch/{id}/items/1-300"), format!("batch/{id}/strip")] {
        subscribe(&mut client, &topic).await;
    }
    subscribe(&mut client, "batches").await;
    let (mut one, mut ended, mut rev, mut listed) = (None, std::collections::BTreeMap::new(), 0, None);
    let done = |batch: &Option<Batch>| batch.as_ref().is_some_and(|row| row.state == BatchState::Succeeded);
    while !(done(&one)
        && done(&listed)
        && ended.values().filter(|state| **state == ItemState::Succeeded).count() == 300)
    {
        let (topic, rows) = match next(&mut client).await {
            ServerFrame::Snapshot { topic, rows, .. } => (topic, rows),
            ServerFrame::Update { topic, rows, .. } => (topic, rows),
            ServerFrame::Ping => continue,
            other => panic!("{other:?}"),
        };
        for row in rows {
            match row {
                Row::Batch(row) => {
                    let sum = row.pending + row.running + row.retrying + row.ended();
                    assert_eq!(sum, row.total, "counts add up in every frame");
                    if topic == Topic::Batches {
                        listed = Some(*row);
                    } else {
                        assert!(row.rev >= rev, "rev went back");
                        rev = row.rev;
                        one = Some(*row);
                    }
                }
                Row::Item(row) => {
                    ended.insert(row.seq, row.state);
                }
                Row::Cell(cell) => assert!(cell.succeeded <= cell.last - cell.first + 1),
                other => panic!("{other:?}"),
            }
        }
    }
    say(&mut client, &format!(r#"{{"subscribe":{{"topic":"batch/{id}","rev":{rev}}}}}"#)).await;
    loop {
        if let ServerFrame::Update { topic, rev: now, rows, .. } = next(&mut client).await
            && topic == Topic::Batch(id)
            && rows.is_empty()
        {
            assert_eq!(now, rev, "a page that is up to date gets no rows");
            break;
        }
    }
    house.close().await;
}

#[tokio::test]
async fn progress_inside_an_item_is_seen() {
    let house = House::open(|_| ()).await;
    let mut client = house.client().await;
    let batch = house.batch(1, r#"{"duration_ms":1500,"steps":100,"log_lines":3}"#).await;
    subscribe(&mut client, &format!("batch/{}/items/1-10", batch.id)).await;
    subscribe(&mut client, &format!("item/{}/1", batch.id)).await;
    let (mut fractions, mut logged, mut log) = (Vec::new(), false, LogPart::default());
    while fractions.len() < 3 || !logged {
        let (ServerFrame::Snapshot { rows, .. } | ServerFrame::Update { rows, .. }) = next(&mut client).await
        else {
            continue;
        };
        for row in rows {
            match row {
                Row::Item(row) => fractions.extend(row.progress.map(|progress| progress.fraction)),
                Row::ItemLive(item) => {
                    log.go_on(&item.log);
                    logged = log.text.ends_with("line 3 of 3\n");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(fractions.is_sorted(), "{fractions:?}");
    assert_eq!(log.text.lines().count(), 3, "each line once: {log:?}");
    house.close().await;
}

#[tokio::test]
async fn unknown_topics_answer_alike_and_windows_are_bounded() {
    let house = House::open(|_| ()).await;
    let mut client = house.client().await;
    let nobody = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    for (topic, wanted) in [
        ("nonsense".to_owned(), ErrorCode::NotFound),
        (format!("batch/{nobody}"), ErrorCode::NotFound),
        (format!("batch/{nobody}/pulse"), ErrorCode::NotFound),
        (format!("item/{nobody}/1"), ErrorCode::NotFound),
        (format!("batch/{nobody}/items/1-501"), ErrorCode::TooLarge),
    ] {
        subscribe(&mut client, &topic).await;
        let ServerFrame::Error { topic: named, code, .. } = next(&mut client).await else {
            panic!("{topic}")
        };
        assert_eq!((named, code), (topic, wanted));
    }
    assert!(!house.state.service.parts().hub.is_watched(format!("batch/{nobody}").parse().unwrap()));
    subscribe(&mut client, "nodes").await;
    let ServerFrame::Snapshot { rows, rev, .. } = next(&mut client).await else { panic!() };
    assert!(rows.len() == 1 && rev > 1_600_000_000_000);
    house.close().await;
}

#[tokio::test]
async fn what_is_no_frame_closes() {
    let house = House::open(|state| state.live.message_bytes_max = 1_000).await;
    let long = format!(r#"{{"subscribe":{{"topic":"{}"}}}}"#, "x".repeat(2_000));
    for (sent, code) in [
        (Message::text("hello"), 4400),
        (Message::text(r#"{"subscribe":{"topic":1}}"#), 4400),
        (Message::text(r#"{"pace":{"hz":-1}}"#), 4400),
        (Message::binary(vec![1, 2]), 4400),
        (Message::text(long), 1009),
    ] {
        let mut client = house.client().await;
        client.send(sent.clone()).await.unwrap();
        assert_eq!(u16::from(closed(&mut client).await.code), code, "{sent:?}");
    }
    let mut client = house.client().await;
    for _ in 0..150 {
        if client.send(Message::text(r#"{"pong":{}}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(u16::from(closed(&mut client).await.code), 4429);
    house.close().await;
}

#[tokio::test]
async fn only_those_who_may_come_in_stay() {
    let limits = PermitLimits { all_max: 10, per_person_max: 2, per_address_max: None };
    let house = House::open(|state| state.places = Arc::new(Permits::new(limits))).await;
    let status = |outcome: Result<Client, Error>| match outcome {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    };
    let foreign = [("origin", "http://evil.example"), ("authorization", TOKEN)];
    assert_eq!(status(house.call(&foreign).await), 403);
    assert_eq!(status(house.call(&[]).await), 403, "no Origin and no token");
    let own = format!("http://{}", house.address);
    let mut nobody = house.call(&[("origin", &own)]).await.unwrap();
    assert_eq!(u16::from(closed(&mut nobody).await.code), 4401);
    let held = (house.client().await, house.client().await);
    let mut third = house.call(&[("authorization", TOKEN)]).await.unwrap();
    let why = closed(&mut third).await;
    assert_eq!((u16::from(why.code), why.reason.as_str()), (4429, super::admission::Full::Person.words()));
    drop(held);
    // A place is given back when the end of its connection has been noticed.
    loop {
        let mut next = house.call(&[("authorization", TOKEN)]).await.unwrap();
        if matches!(message(&mut next).await, Message::Text(_)) {
            break;
        }
    }
    house.close().await;
}

#[tokio::test]
async fn silence_closes_and_a_stop_says_when_to_come_back() {
    let house = House::open(|state| state.live.ping_ms = 100).await;
    let mut silent = house.client().await;
    assert_eq!(u16::from(closed(&mut silent).await.code), 4408);
    let mut client = house.client().await;
    for _ in 0..5 {
        assert_eq!(next(&mut client).await, ServerFrame::Ping);
        say(&mut client, r#"{"pong":{}}"#).await;
    }
    house.state.stop.cancel();
    let frame = closed(&mut client).await;
    assert_eq!(u16::from(frame.code), 1001);
    assert!(frame.reason.parse::<u64>().unwrap() <= 3_000);
    house.state.tracker.close();
    tokio::time::timeout(Duration::from_secs(5), house.state.tracker.wait()).await.expect("sockets end");
    house.close().await;
}

#[tokio::test]
async fn the_compact_codec_tells_the_same() {
    let house = House::open(|_| ()).await;
    let build = house.state.live.build.to_string();
    let offers = "milepost.v1.bin, milepost.v1.json";
    let headers = [("authorization", TOKEN), ("sec-websocket-protocol", offers)];
    let mut client = house.call_at(&format!("/live?build={build}"), &headers).await.unwrap();
    let mut channels = Channels::default();
    let batch = house.batch(200, r#"{"duration_ms":2}"#).await;
    let topic = Topic::Batch(batch.id);
    let subscribe = ClientFrame::Subscribe { topic: topic.to_string(), rev: None };
    client.send(Message::binary(of_client(&subscribe))).await.unwrap();
    let (mut shown, mut parts) = (None::<Batch>, 0);
    while shown.as_ref().is_none_or(|row| row.state != BatchState::Succeeded) {
        let Message::Binary(bytes) = message(&mut client).await else { panic!("binary frames only") };
        match channels.read(&bytes).unwrap() {
            BinaryFrame::Frame(ServerFrame::Welcome { build: told, .. }) => assert_eq!(told, build),
            BinaryFrame::Frame(ServerFrame::Snapshot { rows, .. }) => {
                let [Row::Batch(row)] = rows.as_slice() else { panic!("{rows:?}") };
                shown = Some((**row).clone());
            }
            BinaryFrame::Update { changes, .. } => {
                let [Change::Part { row: Row::Batch(part), which }] = changes.as_slice() else {
                    panic!("{changes:?}")
                };
                shown.as_mut().unwrap().assign(*which, part);
                parts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let (shown, truth) =
        (shown.unwrap(), house.state.service.batch(&Caller::local(), batch.id).await.unwrap());
    assert_eq!(shown, truth);
    assert!(parts > 1, "it moved in parts");
    let other = [("authorization", TOKEN), ("sec-websocket-protocol", "milepost.v1.bin")];
    let Err(Error::Http(refused)) = house.call_at("/live?build=another", &other).await else { panic!() };
    assert_eq!(refused.status().as_u16(), 400, "another build is refused the compact codec");
    let mut older = house.call_at("/live?build=another", &headers).await.unwrap();
    assert!(matches!(next(&mut older).await, ServerFrame::Welcome { build: told, .. } if told == build));
    house.close().await;
}

/// Reads events until `done` says so of one.
async fn events_until(response: reqwest::Response, mut done: impl FnMut(&str) -> bool) {
    let mut body = response.bytes_stream();
    let mut text = String::new();
    while let Some(piece) =
        tokio::time::timeout(Duration::from_secs(20), body.next()).await.expect("an event")
    {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let over = done(event);
            text = rest.to_owned();
            if over {
                return;
            }
        }
    }
    panic!("the events ended: {text}");
}

/// A client over plain HTTP; without a default for cryptography none can be made.
fn http_client() -> reqwest::Client {
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test]
async fn events_carry_the_same_frames() {
    let house = House::open(|_| ()).await;
    let batch = house.batch(300, r#"{"duration_ms":2}"#).await;
    let http = http_client();
    let url = format!("http://{}/live/events?topic=batch/{}&topic=nonsense", house.address, batch.id);
    let get = |url: &str| http.get(url).header("authorization", TOKEN).send();
    let response = get(&url).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut kinds = std::collections::BTreeSet::new();
    events_until(response, |event| {
        let frame = ServerFrame::from_json(event.strip_prefix("data: ").expect(event)).unwrap();
        let (kind, rows) = match frame {
            ServerFrame::Welcome { .. } => ("welcome", vec![]),
            ServerFrame::Snapshot { rows, .. } => ("snapshot", rows),
            ServerFrame::Update { rows, .. } => ("update", rows),
            ServerFrame::Error { .. } => ("error", vec![]),
            ServerFrame::Ping => ("ping", vec![]),
        };
        kinds.insert(kind);
        rows.iter().any(|row| matches!(row, Row::Batch(row) if row.state == BatchState::Succeeded))
    })
    .await;
    assert!(["welcome", "snapshot", "update", "error"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let status = async |url: String| get(&url).await.unwrap().status().as_u16();
    assert_eq!(status(format!("http://{}/live/events", house.address)).await, 400);
    let url = format!("http://{}/live/events?topic=batches", house.address);
    assert_eq!(http.get(&url).send().await.unwrap().status().as_u16(), 401);
    let foreign = http.get(&url).header("authorization", TOKEN).header("origin", "http://evil.example");
    assert_eq!(foreign.send().await.unwrap().status().as_u16(), 403);
    let waiting = get(&url).await.unwrap();
    house.state.stop.cancel();
    events_until(waiting, |event| {
        event.strip_prefix("retry: ").is_some_and(|ms| ms.parse::<u64>().unwrap() <= 3_000)
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn a_poll_answers_every_topic_once() {
    let house = House::open(|_| ()).await;
    let batch = house.batch(5, "{}").await;
    let id = batch.id;
    let http = http_client();
    let poll = async |query: String| -> Vec<ServerFrame> {
        let url = format!("http://{}/live/frames?{query}", house.address);
        let text = http.get(url).header("authorization", TOKEN).send().await.unwrap().text().await.unwrap();
        let frames: Vec<crate::protocol::Json> = serde_json::from_str(&text).unwrap();
        frames.iter().map(|frame| ServerFrame::from_json(frame.as_str()).unwrap()).collect()
    };
    let frames = poll(format!("topic=batch/{id}&topic=nodes&topic=batch/x")).await;
    assert!(matches!(frames[0], ServerFrame::Welcome { .. }));
    let answered = |topic: &Topic| {
        frames.iter().any(|frame| matches!(frame, ServerFrame::Snapshot { topic: of, .. } if of == topic))
    };
    assert!(answered(&Topic::Batch(id)) && answered(&Topic::Nodes), "{frames:?}");
    assert!(frames.iter().any(|frame| matches!(frame, ServerFrame::Error { .. })));
    let rev = loop {
        let now = house.state.service.batch(&Caller::local(), id).await.unwrap();
        if now.state.is_finished() {
            break now.rev;
        }
        tokio::task::yield_now().await;
    };
    let frames = poll(format!("topic=batch/{id}&rev={rev}")).await;
    assert!(matches!(&frames[1..], [ServerFrame::Update { rows, .. }] if rows.is_empty()), "{frames:?}");
    assert!(!house.state.service.parts().hub.is_watched(Topic::Batch(id)), "nothing is remembered");
    house.close().await;
}
