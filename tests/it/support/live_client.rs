//! A live client written from SURFACE.md alone.
//!
//! Owns a WebSocket and what it has learnt: the newest row per key and topic. Used by the live tests. Invariant: it
//! checks in every frame what is promised of every frame. Deliberately shares no code with the server.

use std::collections::{BTreeMap, HashMap};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{PATIENCE, TestServer, assert_sums};

/// A topic as this client knows it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub rev: u64,
    pub rows: BTreeMap<String, Value>,
    pub snapshots: u32,
    pub updates: u32,
}

/// The topic of a frame that carries rows.
pub fn topic_of(frame: &Value) -> Option<&str> {
    ["snapshot", "update"].iter().find_map(|kind| frame[*kind]["topic"].as_str())
}

impl Known {
    /// Takes what a snapshot or update says, and checks in it what is promised of every frame.
    pub fn take(&mut self, frame: &Value) {
        let whole = frame.get("snapshot");
        let body = whole.unwrap_or(&frame["update"]);
        let rev = body["rev"].as_u64().unwrap();
        assert!(rev >= self.rev, "rev went back from {}: {body}", self.rev);
        self.rev = rev;
        // A snapshot replaces all; what it shows again is no older.
        let replaced = if whole.is_some() { std::mem::take(&mut self.rows) } else { BTreeMap::new() };
        *(if whole.is_some() { &mut self.snapshots } else { &mut self.updates }) += 1;
        for row in body["rows"].as_array().unwrap() {
            if row.get("total").is_some() {
                assert_sums(row);
            }
            let key = ["id", "seq", "cell"].iter().find_map(|name| row.get(*name)).unwrap().to_string();
            if let Some(held) = self.rows.get(&key).or_else(|| replaced.get(&key)) {
                assert!(row["rev"].as_u64() >= held["rev"].as_u64(), "{row} came after {held}");
            }
            self.rows.insert(key, row.clone());
        }
        for gone in body["gone"].as_array().into_iter().flatten() {
            self.rows.remove(&gone.to_string());
        }
    }
}

/// One live connection.
pub struct LiveClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub welcome: Value,
    pub topics: HashMap<String, Known>,
}

impl LiveClient {
    /// Connects with the admin's token and reads the welcome.
    pub async fn connect(server: &TestServer) -> Self {
        Self::connect_as(server, &server.token).await
    }

    /// As [`LiveClient::connect`], with another token.
    pub async fn connect_as(server: &TestServer, token: &str) -> Self {
        let mut request = format!("ws://{}/live", server.authority()).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        headers.insert("sec-websocket-protocol", "milepost.v1.json".parse().unwrap());
        let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "milepost.v1.json");
        let mut client = Self { socket, welcome: Value::Null, topics: HashMap::new() };
        let first = client.next().await.expect("a welcome");
        client.welcome = first["welcome"].clone();
        assert!(client.welcome["ping_ms"].is_u64(), "{first}");
        client
    }

    /// Sends one frame.
    pub async fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Listens to `topic`, saying what is known of it.
    pub async fn subscribe(&mut self, topic: &str, rev: Option<u64>) {
        let mut body = json!({"topic": topic});
        if let Some(rev) = rev {
            body["rev"] = rev.into();
        }
        self.send(&json!({"subscribe": body})).await;
    }

    /// The next frame that is not a ping; none once the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame.get("ping").is_some() {
                        self.send(&json!({"pong": {}})).await;
                        continue;
                    }
                    self.learn(&frame);
                    return Some(frame);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads on until `done` says so of what is known of `topic`.
    pub async fn until(&mut self, topic: &str, done: impl Fn(&Known) -> bool) -> Known {
        let reading = async {
            loop {
                if let Some(known) = self.topics.get(topic).filter(|known| done(known)) {
                    return known.clone();
                }
                assert!(self.next().await.is_some(), "the connection ended");
            }
        };
        // Pings come for ever: only the whole can be waited for.
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(known) => known,
            Err(_late) => panic!("{topic} never came to it: {:?}", self.topics.get(topic)),
        }
    }

    /// Takes what a frame says: newest row per key.
    fn learn(&mut self, frame: &Value) {
        if let Some(topic) = topic_of(frame) {
            self.topics.entry(topic.to_owned()).or_default().take(frame);
        }
    }
}
