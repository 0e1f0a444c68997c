//! A receiver of webhooks: answers as it is told, and keeps what came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::mpsc::{Receiver as Messages, Sender as Keeper, channel};

use super::PATIENCE;

/// What came.
#[derive(Debug)]
pub struct Came {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Came {
    pub fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// True where it is signed with `secret`, and now.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(&self.body, &self.headers).is_ok()
    }
}

/// Messages that wait to be looked at; more fail the test.
const MESSAGES_MAX: usize = 1_024;

type Answers = Arc<Mutex<VecDeque<Response>>>;

/// A server on a free port of this machine.
pub struct Receiver {
    pub port: u16,
    came: Messages<Came>,
    answers: Answers,
}

async fn receive(
    State((sent, answers)): State<(Keeper<Came>, Answers)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sent.try_send(Came { headers, body }).unwrap();
    let told = answers.lock().unwrap().pop_front();
    told.unwrap_or_else(|| Response::new(Body::from("thanks")))
}

impl Receiver {
    /// Answers 200 where it is told nothing else.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sent, came) = channel(MESSAGES_MAX);
        let answers = Answers::default();
        let router = Router::new().fallback(receive).with_state((sent, Arc::clone(&answers)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, came, answers }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=s3cret", self.port)
    }

    /// What the next request that nothing was told for yet is answered with.
    pub fn answer(&self, response: Response) {
        self.answers.lock().unwrap().push_back(response);
    }

    pub fn answer_status(&self, status: u16) {
        self.answer(Response::builder().status(status).body(Body::from("no")).unwrap());
    }

    pub fn answer_with(&self, status: StatusCode, name: &str, value: &str) {
        self.answer(Response::builder().status(status).header(name, value).body(Body::empty()).unwrap());
    }

    /// The next message.
    pub async fn next(&mut self) -> Came {
        tokio::time::timeout(PATIENCE, self.came.recv()).await.expect("a message").unwrap()
    }

    /// What has come by now.
    pub fn at_hand(&mut self) -> Vec<Came> {
        std::iter::from_fn(|| self.came.try_recv().ok()).collect()
    }
}
