//! How many live connections there may be: of a person, of an address, in all.
//!
//! Exactly as many come in as there are places, the others are told why, and a freed place can be had at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::net::TcpSocket;

use super::support::raw_frames::RawMessage;
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{PATIENCE, TestServer};

/// More than are told so by a close at once.
const CROWD: usize = 300;

/// How a try to come in was answered.
enum Door {
    In(RawWebSocket),
    /// After the upgrade, by a close.
    Closed(Option<u16>),
    /// Before the upgrade, by a problem.
    Problem(String),
}

impl Door {
    fn is_in(&self) -> bool {
        matches!(self, Self::In(_))
    }

    /// True where it was said, the one way or the other, that there are too many.
    fn is_too_many(&self) -> bool {
        match self {
            Self::In(_) => false,
            Self::Closed(code) => *code == Some(4429),
            Self::Problem(code) => code == "too_many",
        }
    }

    #[track_caller]
    fn wire(self) -> RawWebSocket {
        match self {
            Self::In(wire) => wire,
            Self::Closed(code) => panic!("closed with {code:?}"),
            Self::Problem(code) => panic!("a problem: {code}"),
        }
    }
}

/// Tries to come in.
async fn knock(server: &TestServer, token: &str) -> Door {
    knock_over(RawWebSocket::dial(server).await, server, token).await
}

async fn knock_over(wire: RawWebSocket, server: &TestServer, token: &str) -> Door {
    knock_with(wire, server, &bearer(token)).await
}

/// As [`knock`], with these headers.
async fn knock_with(mut wire: RawWebSocket, server: &TestServer, headers: &str) -> Door {
    let (status, answer) = wire.ask(&head(server.authority(), headers)).await;
    if status == 101 {
        return match wire.receive().await {
            RawMessage::Text(first) => {
                assert!(first.starts_with("{\"welcome\":"), "{first}");
                Door::In(wire)
            }
            RawMessage::Close { code, reason } => {
                assert!(!reason.is_empty(), "why, in words");
                wire.part().await;
                Door::Closed(code)
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(status, 429, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer}");
    let problem: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    Door::Problem(problem["code"].as_str().unwrap().to_owned())
}

/// Comes in as soon as there is a place; how long that took.
async fn waits(server: &TestServer, token: &str) -> RawWebSocket {
    let begun = Instant::now();
    loop {
        let door = knock(server, token).await;
        if door.is_in() {
            return door.wire();
        }
        assert!(door.is_too_many() && begun.elapsed() < PATIENCE, "a freed place can be had");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Frees one place after the other, by all ways to go, and takes each again.
async fn frees_and_takes(
    server: &TestServer,
    token: &str,
    mut places: Vec<RawWebSocket>,
) -> Vec<RawWebSocket> {
    for way in 0..9 {
        assert!(knock(server, token).await.is_too_many(), "all are taken");
        let gone = places.remove(0);
        match way % 3 {
            0 => gone.part().await,
            1 => drop(gone),
            _ => gone.reset(),
        }
        places.push(waits(server, token).await);
    }
    places
}

#[tokio::test]
async fn a_person_has_so_many_places() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "3")]).await;
    let other = server.make_token("other", "viewer").await;
    let mut places = Vec::new();
    for _place in 0..3 {
        places.push(knock(&server, &server.token).await.wire());
    }
    let places = frees_and_takes(&server, &server.token, places).await;
    assert_eq!(places.len(), 3);
    let _others = knock(&server, &other).await.wire();
}

#[tokio::test]
async fn who_comes_at_once_gets_no_more_places_than_there_are() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "3")]).await;
    for round in 0..5 {
        // A person of its own: places that were just left are another test's business.
        let token = server.make_token(&format!("round-{round}"), "viewer").await;
        let doors = join_all((0..30).map(|_| knock(&server, &token))).await;
        let (places, refused): (Vec<Door>, Vec<Door>) = doors.into_iter().partition(Door::is_in);
        assert!(refused.iter().all(Door::is_too_many), "the others are told why");
        assert_eq!(places.len(), 3, "at once or one after the other");
    }
}

#[tokio::test]
async fn a_crowd_that_finds_no_place_is_told_so_and_disturbs_nobody() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "1")]).await;
    let mut inside = knock(&server, &server.token).await.wire();
    let doors = join_all((0..CROWD).map(|_| knock(&server, &server.token))).await;
    assert!(doors.iter().all(Door::is_too_many), "each is told");
    let closed = doors.iter().filter(|door| matches!(door, Door::Closed(_))).count();
    println!("{CROWD} too many: {closed} by a close, the others before the upgrade");
    let words = super::support::raw_frames::text(r#"{"subscribe":{"topic":"nodes"}}"#);
    let answer = inside.exchange(&words, |heard| matches!(heard, RawMessage::Text(_))).await;
    assert!(matches!(&answer, RawMessage::Text(text) if text.contains("snapshot")), "{answer:?}");
    inside.part().await;
    waits(&server, &server.token).await;
}

#[tokio::test]
async fn an_address_has_so_many_places() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_PER_ADDRESS_MAX", "4")]).await;
    let other = server.make_token("other", "viewer").await;
    let mut places = Vec::new();
    for token in [&server.token, &server.token, &server.token, &other] {
        places.push(knock(&server, token).await.wire());
    }
    for token in [&server.token, &other] {
        assert!(knock(&server, token).await.is_too_many(), "whoever asks from here");
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let elsewhere = RawWebSocket::over(socket.connect(server.authority().parse().unwrap()).await.unwrap());
    let _elsewhere = knock_over(elsewhere, &server, &server.token).await.wire();
    frees_and_takes(&server, &other, places).await;
}

#[tokio::test]
async fn behind_a_proxy_that_is_believed_the_address_is_the_one_it_names() {
    let settings = [
        ("MILEPOST_SERVER_TRUSTED_PROXIES", "127.0.0.1"),
        ("MILEPOST_LIVE_CONNECTIONS_PER_ADDRESS_MAX", "2"),
    ];
    let server = TestServer::start_with(&settings).await;
    let named = |client: &str| format!("{}X-Forwarded-For: {client}\r\n", bearer(&server.token));
    let mut places = Vec::new();
    // What stands before the last hop was said by the client itself.
    for client in ["203.0.113.7", "10.1.1.1, 203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8::2"] {
        places.push(knock_with(RawWebSocket::dial(&server).await, &server, &named(client)).await.wire());
    }
    for client in ["203.0.113.7", "198.51.100.1, 203.0.113.7", "2001:db8::3"] {
        let door = knock_with(RawWebSocket::dial(&server).await, &server, &named(client)).await;
        assert!(door.is_too_many(), "{client}");
    }
    // Who is no proxy is taken for where it comes from, whatever it says.
    let mut others = Vec::new();
    for client in ["203.0.113.20", "203.0.113.21", "203.0.113.22"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let wire = RawWebSocket::over(socket.connect(server.authority().parse().unwrap()).await.unwrap());
        others.push(knock_with(wire, &server, &named(client)).await);
    }
    assert_eq!(others.iter().map(Door::is_in).collect::<Vec<_>>(), [true, true, false]);
    assert!(others[2].is_too_many());
}

#[tokio::test]
async fn there_are_so_many_places_in_all() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_MAX", "3")]).await;
    let mut tokens = vec![server.token.clone()];
    for name in ["ada", "bob", "eve"] {
        tokens.push(server.make_token(name, "viewer").await);
    }
    let mut places = Vec::new();
    for token in &tokens[..3] {
        places.push(knock(&server, token).await.wire());
    }
    assert!(knock(&server, &tokens[3]).await.is_too_many(), "nobody else");
    frees_and_takes(&server, &tokens[3], places).await;
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_told_so_and_takes_no_place() {
    let server = TestServer::start_with(&[("MILEPOST_LIVE_CONNECTIONS_MAX", "2")]).await;
    let nobody = server.token.chars().rev().collect::<String>();
    let doors = join_all((0..CROWD).map(|_| knock(&server, &nobody))).await;
    let told = |door: &Door| matches!(door, Door::Closed(Some(4401))) || door.is_too_many();
    assert!(doors.iter().all(told), "each is told");
    assert!(doors.iter().any(|door| matches!(door, Door::Closed(Some(4401)))), "and some to sign in");
    let _places = [knock(&server, &server.token).await.wire(), knock(&server, &server.token).await.wire()];
}
