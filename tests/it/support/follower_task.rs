//! The connections of a follower, one after the other.
//!
//! What it asks for, how long it waits and what it shows is the project's client. The answers are checked on their own:
//! who names a revision that is current gets no row, and who names none gets a snapshot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use milepost::backoff::Backoff;
use milepost::client::decoder::{Encoded, encode};
use milepost::client::reconnect::{RECONNECT_FIRST, reconnect_delay};
use milepost::client::subscriptions::{Subscriptions, WantedTopics};
use milepost::protocol::{ClientFrame, Codec};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;
use super::follower::{FollowerSettings, State};
use super::known_topic::topic_of;

/// A connection that does not come about is given up.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The task of a follower.
pub struct FollowerTask {
    pub settings: FollowerSettings,
    pub state: Arc<Mutex<State>>,
    /// What is wanted has changed.
    pub wanted: Arc<Notify>,
    /// Counts frames that were received.
    pub count: watch::Sender<u64>,
}

type Socket = WebSocketStream<TcpStream>;

impl FollowerTask {
    /// Comes back for ever.
    pub async fn run(self) {
        let mut random = StdRng::seed_from_u64(self.settings.seed);
        let delay_max = self.settings.delay_max;
        let mut backoff = Backoff::new(RECONNECT_FIRST.min(delay_max), delay_max);
        loop {
            let (mut end, mut hint_ms) = ("not connected".to_owned(), None);
            if let Some(socket) = self.connect().await {
                // Welcomed: the next delay starts small again.
                backoff.reset();
                end = self.listen(socket).await;
            }
            {
                let figures = &mut self.state.lock().unwrap().figures;
                if let Some(hint) = end.strip_prefix("1001 ") {
                    figures.hints.push(hint.to_owned());
                    hint_ms = Some(hint.parse().expect("milliseconds"));
                }
                let end = end.split(' ').next().filter(|code| code.parse::<u16>().is_ok()).unwrap_or(&end);
                *figures.ends.entry(end.to_owned()).or_default() += 1;
            }
            tokio::time::sleep(reconnect_delay(&mut backoff, random.random(), hint_ms)).await;
        }
    }

    /// A connection that was welcomed.
    async fn connect(&self) -> Option<Socket> {
        let connecting = async {
            let address = self.settings.address.borrow().clone();
            let stream = TcpStream::connect(&address).await.ok()?;
            let mut request = format!("ws://{address}/live").into_client_request().unwrap();
            let bearer = format!("Bearer {}", self.settings.token);
            request.headers_mut().insert("authorization", bearer.parse().unwrap());
            request.headers_mut().insert("sec-websocket-protocol", "milepost.v1.json".parse().unwrap());
            let (mut socket, _response) = client_async(request, stream).await.ok()?;
            let Message::Text(first) = socket.next().await?.ok()? else { return None };
            assert!(first.starts_with("{\"welcome\":"), "{first}");
            Some(socket)
        };
        let socket = tokio::time::timeout(CONNECT_MAX, connecting).await.ok().flatten()?;
        self.state.lock().unwrap().figures.connections += 1;
        Some(socket)
    }

    /// Follows what is wanted until the connection ends; how it did.
    async fn listen(&self, mut socket: Socket) -> String {
        // Topics that were asked for, with the `rev` that was named, until they are answered.
        let mut asked: HashMap<String, Option<u64>> = HashMap::new();
        let mut subscriptions = Subscriptions::default();
        self.wanted.notify_one();
        loop {
            let message = tokio::select! {
                () = self.wanted.notified() => {
                    for frame in subscriptions.request(&self.wanted()) {
                        if let ClientFrame::Subscribe { topic, rev } = &frame {
                            asked.insert(topic.clone(), *rev);
                        }
                        let Encoded::Text(text) = encode(&frame, Codec::Json) else { unreachable!("JSON is text") };
                        if socket.send(Message::text(text)).await.is_err() {
                            break;
                        }
                    }
                    continue;
                }
                message = tokio::time::timeout(PATIENCE, socket.next()) => message.expect("at least a ping"),
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame.get("ping").is_some() {
                        // Where that fails, the next read says how the connection ended.
                        let _gone = socket.send(Message::text(r#"{"pong":{}}"#)).await;
                    } else if frame["error"]["code"] == "busy" {
                        // An outage of the moment: "try again", it says.
                        return "busy".to_owned();
                    } else {
                        self.receive(&text, &frame, &mut asked);
                    }
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return format!("{} {}", u16::from(close.code), close.reason);
                }
                Some(Ok(_other)) => {}
                Some(Err(_broken)) => return "broken".to_owned(),
                None => return "ended".to_owned(),
            }
        }
    }

    /// What is wanted, with the revision that is shown of each topic.
    fn wanted(&self) -> WantedTopics {
        let state = self.state.lock().unwrap();
        let topics = state.wanted.iter().map(|topic| {
            let rev = state.known.get(topic).map(|known| known.rev);
            (topic.parse().expect("a topic"), rev)
        });
        WantedTopics { topics: topics.collect(), hz: self.settings.hz }
    }

    fn receive(&self, text: &str, frame: &Value, asked: &mut HashMap<String, Option<u64>>) {
        let mut state = self.state.lock().unwrap();
        let State { wanted, known, figures } = &mut *state;
        figures.frames += 1;
        let Some(topic) = topic_of(frame) else {
            figures.errors.push(frame.clone());
            return;
        };
        if !wanted.contains(topic) {
            return;
        }
        match asked.remove(topic) {
            None => {}
            Some(Some(_rev)) if frame.get("snapshot").is_some() => figures.resent += 1,
            Some(None) => assert!(frame.get("snapshot").is_some(), "first the whole: {frame}"),
            Some(Some(rev)) => {
                let update = &frame["update"];
                let nothing = update["rows"] == json!([]) && update["gone"] == json!([]);
                assert!(nothing && update["rev"] == rev, "{rev} was named: {frame}");
                assert!(topic.starts_with("batch/"), "always a snapshot: {frame}");
                figures.resumed += 1;
            }
        }
        known.entry(topic.to_owned()).or_default().receive(text, frame);
        let rows = frame.get("snapshot").unwrap_or(&frame["update"])["rows"].as_array();
        for batch in rows.into_iter().flatten().filter(|row| row.get("total").is_some()) {
            self.settings.witness.record(batch);
        }
        self.count.send_modify(|frames| *frames += 1);
    }
}
