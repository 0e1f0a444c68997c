//! The pages as HTML: what stands in their heads, what they answer to addresses of nothing, and what they tell of.
//!
//! Whatever people named or wrote is text on every page, and a refusal is a page for people and a problem for
//! programs.

use std::process::Stdio;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::cluster::Cluster;
use super::support::{Reply, TestServer, id, send};

/// Ends of every kind of element and quote that data could stand in.
const CLOSING: [&str; 8] = [
    "</title><meta http-equiv=refresh content=\"0;url=//evil.example\">",
    "</textarea><img src=x onerror=pwn()>",
    "</style><img src=x onerror=pwn()>",
    "</script><script>pwn()</script>",
    "</svg></noscript><img src=x onerror=pwn()>",
    "--><script>pwn()</script><!--",
    "\"'><script>pwn()</script>",
    "&lt;/title&gt;<script>pwn()</script>",
];

impl TestServer {
    /// A page as a browser asks for it.
    async fn page(&self, path: &str) -> Reply {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        send(request.header("accept", "text/html,*/*")).await
    }
}

/// The content of the first element `name`.
fn element<'a>(html: &'a str, name: &str) -> &'a str {
    let (_, rest) = html.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {html}"));
    rest.split_once(&format!("</{name}>")).unwrap().0
}

async fn names_are_text(server: &TestServer) {
    for name in CLOSING {
        let body = json!({"task": "demo", "name": name, "items": [name]});
        let batch = server.post_json("/batches", &body).await.ok();
        server.finished(&batch).await;
        let id = id(&batch);
        let paths = ["/".to_owned(), format!("/batches/{id}"), format!("/batches/{id}?tab=settings")];
        for path in paths.into_iter().chain([format!("/batches/{id}/items/1")]) {
            let page = server.page(&path).await;
            assert_eq!(page.status, 200, "{path}");
            let html = &page.text;
            for markup in
                ["<script>pwn", "<img src=x", "<meta http-equiv=refresh", "-->pwn", "//evil.example\">"]
            {
                assert!(!html.contains(markup), "{markup} in {path} of {name}: {html}");
            }
            assert_eq!(html.matches("<title>").count(), 1, "{path}");
        }
        let page = server.page(&format!("/batches/{id}")).await;
        let title = element(&page.text, "title");
        let said = title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        assert_eq!(said, format!("{name} · finished · milepost"));
        assert!(!title.contains('<'));
    }
}

#[tokio::test]
async fn what_people_name_is_text_in_head_and_body() {
    names_are_text(&TestServer::start().await).await;
}

#[tokio::test]
async fn what_people_name_is_text_on_postgres_too() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    names_are_text(&server).await;
}

#[tokio::test]
async fn what_a_page_loads_is_sent_once() {
    let server = TestServer::start().await;
    let batch = server.demo(40, json!({"fail_rate": 1.0, "fail_attempts": 0})).await;
    let batch = server.finished(&batch).await;
    let running = server.demo(2_000, json!({"duration_ms": 200, "fail_rate": 0.5})).await;
    let (done, runs) = (id(&batch), id(&running));
    // Who is signed in, then what each page reads: more, and something was made again on the way.
    for (path, reads) in [
        ("/".to_owned(), 5),
        ("/nodes".to_owned(), 2),
        ("/new".to_owned(), 2),
        (format!("/batches/{done}"), 7),
        (format!("/batches/{done}?tab=failures"), 6),
        (format!("/batches/{done}?tab=files"), 6),
        (format!("/batches/{done}?tab=settings"), 7),
        (format!("/batches/{done}/items/1"), 2),
        (format!("/batches/{runs}?tab=settings"), 8),
        (format!("/batches/{runs}?tab=files"), 7),
    ] {
        let html = server.page(&path).await.text;
        let (_, rest) = html.split_once("__PENDING_RESOURCES=[").unwrap_or_else(|| panic!("{html}"));
        let sent = rest.split_once(']').unwrap().0.split(',').filter(|id| !id.is_empty()).count();
        assert_eq!(sent, reads, "{path}");
        assert!(html.contains("<h1"), "{path} is whole");
    }
    server.post(&format!("/batches/{runs}/cancel")).await.ok();
}

#[tokio::test]
async fn what_there_is_not_is_answered_404() {
    let server = TestServer::start().await;
    let batch = server.demo(3, json!({})).await;
    let (batch, none) = (id(&batch), "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b");
    for path in [
        "/nonsense".to_owned(),
        "/batches/xyz".to_owned(),
        format!("/batches/{none}"),
        format!("/batches/{none}/items/1"),
        format!("/batches/{none}/course"),
        "/batches/xyz/items/1".to_owned(),
        format!("/batches/{batch}/items/0"),
        format!("/batches/{batch}/items/4"),
        format!("/batches/{batch}/items/x"),
        format!("/batches/{batch}/items/18446744073709551615"),
        format!("/batches/{batch}/items/99999999999999999999"),
    ] {
        let page = server.page(&path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(element(&page.text, "title"), "Not found · milepost", "{path}");
        assert!(page.text.contains("<h1>Nothing is here"), "{path}: {}", page.text);
    }
    for path in ["?from=18446744073709551615", "?state=failed&after=18446744073709551615"] {
        let page = server.page(&format!("/batches/{batch}{path}")).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("panel panel-error"), "{path}");
    }
    assert_eq!(server.page("/?state=nonsense").await.status, 422);
}

#[tokio::test]
async fn a_sign_in_link_says_what_it_can_do() {
    let mut server = TestServer::bare(&[]);
    let mut command = server.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let link = loop {
        let line = lines.next_line().await.unwrap().expect("a link before the end");
        if let Some((_, link)) = line.split_once("sign in once: ") {
            break link.trim().to_owned();
        }
    };
    let (base, code) = link.split_once("/first/").unwrap();
    (server.base, server.token) = (base.to_owned(), "none".to_owned());
    let path = format!("/first/{code}");
    let open = server.page(&path).await;
    assert_eq!(open.status, 200);
    assert!(open.text.contains("Sign in as admin"));
    let post = async |accept: &str| {
        let request = server.client.post(format!("{}{path}", server.base)).header("accept", accept);
        send(request.header("origin", &server.base)).await
    };
    assert_eq!(server.page(&path).await.status, 200, "opening uses nothing up");
    post("text/html").await;
    for path in [path.as_str(), "/first/none", "/first/%22%3E%3Cb%3E%00"] {
        let used = server.page(path).await;
        assert_eq!(used.status, 404, "{path}");
        assert!(used.text.contains("This link does not sign in"), "{path}");
        assert!(!used.text.contains("Sign in as admin") && used.text.contains("href=\"/login\""), "{path}");
    }
    let again = post("application/json").await;
    again.problem(404, "not_found");
    let by_person = post("text/html").await;
    assert!(by_person.text.contains("This link does not sign in"), "{by_person:?}");
}

#[tokio::test]
async fn refusals_are_pages_for_people_and_problems_for_programs() {
    let server = TestServer::start().await;
    let foreign = |accept: &str| {
        let request =
            server.client.post(format!("{}/login", server.base)).header("accept", accept.to_owned());
        send(request.header("origin", "http://elsewhere.example").form(&[("name", "a"), ("password", "b")]))
    };
    let page = foreign("text/html").await;
    assert_eq!(page.status, 403);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.text.contains("<h1>") && page.header("content-security-policy").contains("default-src 'none'")
    );
    foreign("application/json").await.problem(403, "not_allowed");
    // The API stays what it is, whoever asks.
    let api = server.request(Method::GET, "/batches/x").header("accept", "text/html");
    send(api).await.problem(400, "malformed");
}

#[tokio::test]
async fn a_form_leads_back_to_pages_of_this_installation_only() {
    let server = TestServer::start().await;
    let batch = server.demo(2_000, json!({"duration_ms": 500})).await;
    let page = server.page(&format!("/batches/{}", id(&batch))).await.text;
    let (_, rest) = page.split_once("action=\"/api/act_on").unwrap_or_else(|| panic!("no form in {page}"));
    let action = format!("/api/act_on{}", rest.split_once('"').unwrap().0);
    let client =
        crate::support::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (referer, leads) in [
        (format!("{}/batches?x=y", server.base), format!("{}/batches?x=y", server.base)),
        ("https://evil.example/".to_owned(), "/".to_owned()),
        ("javascript:alert(1)".to_owned(), "/".to_owned()),
        (format!("{}.evil.example/", server.base), "/".to_owned()),
    ] {
        let request = client.post(format!("{}{action}", server.base)).bearer_auth(&server.token);
        let form = [("batch", id(&batch)), ("act", "pause")];
        let answer = request.header("accept", "text/html").header("referer", &referer).form(&form);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["location"].to_str().unwrap(), leads, "{referer}");
    }
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
}

#[tokio::test]
async fn faults_of_pages_are_counted_and_logged_within_bounds() {
    let server = TestServer::start().await;
    let tell = |body: String| send(server.client.post(format!("{}/page-faults", server.base)).body(body));
    let told = async || {
        let text =
            send(server.client.get(format!("{}/metrics", server.base)).bearer_auth(&server.token)).await.text;
        let line =
            text.lines().find(|line| line.starts_with("milepost_page_faults_total ")).unwrap().to_owned();
        line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(told().await, 0);
    let fault = |message: &str| json!({"build": "b", "path": "/nodes", "message": message}).to_string();
    assert_eq!(tell(fault("it broke\n2026 INFO forged")).await.status, 204);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("a page has failed")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("it broke") && line.contains("forged"), "one line, whatever is in it: {log}");
    tell("{}".to_owned()).await.problem(400, "malformed");
    tell(fault(&"x".repeat(9_000))).await.problem(413, "too_large");
    assert_eq!(told().await, 1, "what cannot be read counts nothing");
    let mut refused = 0;
    for _ in 0..60 {
        refused += u64::from(tell(fault("again")).await.status == 429);
    }
    assert!(refused >= 20, "{refused} of 60 refused");
    assert_eq!(told().await, 61);
    let lines = server.log().matches("a page has failed").count();
    assert!(lines <= 45, "{lines} lines");
    let foreign = server
        .client
        .post(format!("{}/page-faults", server.base))
        .header("origin", "http://elsewhere.example");
    send(foreign.body(fault("x"))).await.problem(403, "not_allowed");
}
