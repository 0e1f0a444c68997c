//! Behind nginx and behind Caddy, as docs/operations.md says: pages, sign-in, live connections, uploads, addresses, names.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

use super::support::front::{Front, PROXY_PASSWORD, free_port, without_proxies};
use super::support::people::PASSWORD;
use super::support::raw_frames::{RawMessage, text};
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{PATIENCE, TestServer, client_builder, send};

/// Where the client of these tests is: not where the proxy is.
const CLIENT: &str = "127.0.0.2";
/// More than nginx takes by default (1 MiB), and than any buffer on the way.
const UPLOAD_BYTES: usize = 24 * 1024 * 1024;

struct Behind {
    server: TestServer,
    front: super::support::front::RunningFront,
    client: Client,
    base: String,
}

impl Behind {
    async fn start(front: Front, names: bool) -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let mut settings = vec![
            ("MILEPOST_SERVER_BASE_URL", base.as_str()),
            ("MILEPOST_SERVER_TRUSTED_PROXIES", "127.0.0.1"),
        ];
        if names {
            settings.extend([
                ("MILEPOST_SIGN_IN_HEADER_PROXIES", "127.0.0.1"),
                ("MILEPOST_SIGN_IN_HEADER_NAME", "Remote-User"),
                ("MILEPOST_SIGN_IN_HEADER_GROUPS", "Remote-Groups"),
                ("MILEPOST_SIGN_IN_HEADER_ROLES", "ops=admin"),
                ("MILEPOST_SIGN_IN_HEADER_DEFAULT_ROLE", "viewer"),
            ]);
        }
        let server = TestServer::start_with(&settings).await;
        let front = front.start(&server, port, names).await;
        let client = client_builder()
            .local_address(Some(CLIENT.parse::<IpAddr>().unwrap()))
            .redirect(reqwest::redirect::Policy::none())
            .cookie_store(true)
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self { server, front, client, base }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).header("origin", &self.base)
    }

    /// A connection to the proxy, from where the client is.
    async fn dial(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{CLIENT}:0").parse().unwrap()).unwrap();
        socket.connect(([127, 0, 0, 1], self.front.port).into()).await.unwrap()
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.front.port)
    }

    /// A socket that these headers let in answers what it is asked.
    async fn live_works(&self, headers: &str) {
        let mut wire = RawWebSocket::over(self.dial().await);
        let headers = format!("Origin: {}\r\n{headers}", self.base);
        let (status, answer) = wire.ask(&head(&self.authority(), &headers)).await;
        assert_eq!(status, 101, "{answer}");
        let first = wire.receive().await;
        assert!(matches!(&first, RawMessage::Text(text) if text.contains("welcome")), "{first:?}");
        let ask = text(r#"{"subscribe":{"topic":"batches"}}"#);
        let snapshot =
            |said: &RawMessage| matches!(said, RawMessage::Text(text) if text.contains("snapshot"));
        let answer = wire.exchange(&ask, snapshot).await;
        assert!(snapshot(&answer), "{answer:?}");
        wire.part().await;
    }

    /// Frames of a stream of events arrive while the stream stays open.
    async fn events_arrive(&self, token: &str) {
        let stream = self.client.get(format!("{}/live/events?topic=batches", self.base)).bearer_auth(token);
        let stream = stream.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let mut parts = stream.bytes_stream();
        let mut came = String::new();
        let mut until = async |word: &str| {
            while !came.contains(word) {
                let part =
                    tokio::time::timeout(PATIENCE, parts.next()).await.expect("a frame while it is open");
                came.push_str(&String::from_utf8_lossy(&part.expect("it stays open").unwrap()));
            }
        };
        until("snapshot").await;
        let body = json!({"task": "demo", "name": "seen at once", "items": {"count": 1}});
        self.server.post_json("/batches", &body).await.ok();
        until("seen at once").await;
    }
}

async fn works(front: Front) {
    if without_proxies() {
        return;
    }
    let behind = Behind::start(front, false).await;
    behind.server.add_person("ada", "operator").await;

    let page = send(behind.request(Method::GET, "/login").header("accept", "text/html")).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Sign in"), "{}", page.text);
    let form = [("name", "ada"), ("password", PASSWORD), ("next", "/nodes")];
    let forged = behind.request(Method::POST, "/login").header("x-forwarded-for", "6.6.6.6");
    let signed_in = send(forged.form(&form)).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (StatusCode::SEE_OTHER, "/nodes"));
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(send(behind.request(Method::GET, "/").header("accept", "text/html")).await.status, 200);

    // The log knows where they are, whatever they say themselves.
    let log = behind.server.get("/audit?act=sign_in&who=ada").await.ok();
    assert_eq!(log["entries"][0]["address"], CLIENT, "{log}");

    behind.live_works(&format!("Cookie: {cookie}\r\n")).await;
    behind.events_arrive(&behind.server.token).await;

    // An upload of any size, which the server takes while it comes.
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(futures_util::stream::unfold(body, async |mut body| {
        body.recv().await.map(|part| (part, body))
    }));
    let upload = behind.request(Method::POST, "/api/v1/batches?task=demo&name=upload");
    let upload = tokio::spawn(send(upload.header("content-type", "text/plain").body(body)));
    sender.send(Ok(b"1\n2\n3\n".to_vec())).await.unwrap();
    let begun = async {
        while behind.server.named("upload").await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("items are taken before the body has ended");
    let line = vec![b'x'; 64 * 1024 - 1];
    let lines = UPLOAD_BYTES / (line.len() + 1);
    for _line in 0..lines {
        sender.send(Ok([&line[..], b"\n"].concat())).await.unwrap();
    }
    drop(sender);
    let batch = upload.await.unwrap().ok();
    assert_eq!((&batch["total"], &batch["owner"]), (&json!(lines + 3), &json!("ada")), "{batch}");

    // A page of another site is still one.
    let foreign = behind.client.post(format!("{}/api/v1/batches", behind.base));
    let foreign = send(foreign.header("origin", "https://evil.example").json(&json!({}))).await;
    foreign.problem(403, "not_allowed");
}

#[tokio::test]
async fn it_works_behind_nginx() {
    works(Front::Nginx).await;
}

#[tokio::test]
async fn it_works_behind_caddy() {
    works(Front::Caddy).await;
}

async fn names(front: Front) {
    if without_proxies() {
        return;
    }
    let behind = Behind::start(front, true).await;
    let me = async |name: Option<&str>, forged: &[(&str, &str)]| {
        let mut request = behind.request(Method::GET, "/api/v1/batches");
        if let Some(name) = name {
            request = request.basic_auth(name, Some(PROXY_PASSWORD));
        }
        for (header, value) in forged {
            request = request.header(*header, *value);
        }
        send(request).await
    };
    let people = async || -> Vec<(String, String)> {
        let page = behind.server.get("/people").await.ok();
        let people = page["people"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        people.iter().map(|person| (text(&person["name"]), text(&person["role"]))).collect()
    };
    // Whom the proxy does not know, it keeps out, whatever they call themselves.
    assert_eq!(me(None, &[("remote-user", "eve")]).await.status, 401);
    assert_eq!(me(Some("eve"), &[]).await.status, 401);
    // Of whom it knows, the name is theirs and the groups are not what they say.
    me(Some("ada"), &[("remote-user", "root"), ("remote-groups", "ops")]).await.ok();
    assert_eq!(people().await, [("ada".to_owned(), "viewer".to_owned())]);
    let page = behind.request(Method::GET, "/account").basic_auth("ada", Some(PROXY_PASSWORD));
    let page = send(page.header("accept", "text/html")).await;
    assert_eq!(page.status, 200, "{page:?}");
    // Programs come by their tokens, and are nobody else by a header.
    let token = behind.server.make_token("ci", "viewer").await;
    let program = behind.request(Method::GET, "/api/v1/people").bearer_auth(&token);
    let program = program.header("remote-user", "root").header("remote-groups", "ops");
    send(program).await.problem(403, "not_allowed");
    let wrong = behind.request(Method::GET, "/api/v1/people").bearer_auth("mp_nonsense");
    let wrong = wrong.header("remote-user", "root").header("remote-groups", "ops");
    send(wrong).await.problem(401, "not_signed_in");
    assert_eq!(people().await.len(), 1);

    let basic = "YWRhOmtlbHAgdmFuZSBvdHRlcg==";
    behind.live_works(&format!("Authorization: Basic {basic}\r\n")).await;
    behind.live_works(&bearer(&token)).await;
    behind.events_arrive(&token).await;
    let log = behind.server.get("/audit?act=sign_in&who=ada").await.ok();
    assert_eq!(
        (&log["entries"][0]["via"], &log["entries"][0]["address"]),
        (&json!("header"), &json!(CLIENT))
    );

    // Past the proxy nobody is anybody by a header.
    let past = client_builder().local_address(Some(CLIENT.parse::<IpAddr>().unwrap())).build().unwrap();
    let past = past.get(behind.server.url("/batches")).header("remote-user", "ada");
    send(past).await.problem(401, "not_signed_in");
}

#[tokio::test]
async fn nginx_says_who_asks() {
    names(Front::Nginx).await;
}

#[tokio::test]
async fn caddy_says_who_asks() {
    names(Front::Caddy).await;
}
