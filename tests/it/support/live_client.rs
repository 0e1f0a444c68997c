//! A live client that a test steers frame by frame.
//!
//! What it sends and how it connects is written from `docs/protocol.md`, not with the project's types: a test may send what
//! the project's own client would not. What it shows is folded and checked by [`KnownTopic`].

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::known_topic::{KnownTopic, topic_of};
use super::{PATIENCE, TestServer};

/// One live connection.
pub struct LiveClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub welcome: Value,
    pub topics: HashMap<String, KnownTopic>,
}

impl LiveClient {
    /// Connects with the admin's token and reads the welcome.
    pub async fn connect(server: &TestServer) -> Self {
        Self::connect_as(server, &server.token).await
    }

    /// As [`LiveClient::connect`], with another token.
    pub async fn connect_as(server: &TestServer, token: &str) -> Self {
        Self::connect_with(server, "/live", ("authorization", &format!("Bearer {token}"))).await
    }

    /// As the page of a share link, whose path this is, does.
    pub async fn connect_by_link(server: &TestServer, path: &str) -> Self {
        Self::connect_with(server, &format!("{path}/live"), ("origin", &server.base)).await
    }

    async fn connect_with(server: &TestServer, path: &str, header: (&'static str, &str)) -> Self {
        let mut request = format!("ws://{}{path}", server.authority()).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert(header.0, header.1.parse().unwrap());
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
                    self.receive(&text, &frame);
                    return Some(frame);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads on until `done` says so of what is known of `topic`.
    pub async fn until(&mut self, topic: &str, done: impl Fn(&KnownTopic) -> bool) -> KnownTopic {
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

    fn receive(&mut self, text: &str, frame: &Value) {
        if let Some(topic) = topic_of(frame) {
            self.topics.entry(topic.to_owned()).or_default().receive(text, frame);
        }
    }
}
