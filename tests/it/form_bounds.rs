//! Bodies that would grow what the server holds: heads, settings and parts of forms, lists of JSON.
//!
//! Each is refused while it comes, for what it is, and the server's memory and time do not grow with it.

use serde_json::{Value, json};

use super::support::process::{MIB, peak_bytes};
use super::support::raw::RawRequest;
use super::support::{TestServer, id, number};

/// Bytes that one refused body may add to the server's memory at the most.
const GROWTH_MAX: u64 = 64 * MIB;
/// Bytes sent by who does not stop by itself; without bounds all of them would be held.
const ENDLESS_BYTES: usize = 256 * 1024 * 1024;

const FORM: [&str; 2] = ["Content-Type: multipart/form-data; boundary=b0", "Transfer-Encoding: chunked"];
const PART: &str = "--b0\r\nContent-Disposition: form-data; name=";

const API: &str = "/api/v1/batches";

/// Where the page's form of New batch posts to.
async fn page_form(server: &TestServer) -> String {
    let page = server.client.get(format!("{}/new", server.base)).bearer_auth(&server.token);
    let html = super::support::send(page.header("accept", "text/html")).await.text;
    let actions = html.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
    actions.filter(|action| action.contains("submit_form")).map(str::to_owned).next().expect("a form")
}

/// Sends `begin`, then `again` until the server answers or all is sent; the answer.
async fn poured(
    server: &TestServer,
    path: &str,
    begin: &str,
    again: impl Fn(usize) -> String,
) -> (u16, Value, usize) {
    let mut request = RawRequest::post_to(server, path, &FORM).await;
    request.chunk(begin.as_bytes()).await;
    let mut sent = begin.len();
    for at in 0.. {
        let chunk = again(at);
        if sent > ENDLESS_BYTES || chunk.is_empty() || !request.try_chunk(chunk.as_bytes()).await {
            break;
        }
        sent += chunk.len();
    }
    let (status, text) = request.answer().await;
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body = body.trim_start_matches(|c: char| c != '{').trim_end_matches(|c: char| c != '}');
    (status, serde_json::from_str(body).unwrap_or_else(|fault| panic!("{fault}: {text}")), sent)
}

#[tokio::test]
async fn the_head_of_a_part_has_a_bound() {
    let server = TestServer::start().await;
    let before = peak_bytes(&server);
    let filler = "x".repeat(256 * 1024);
    for begin in [format!("{PART}\""), "a preamble ".to_owned()] {
        let (status, problem, sent) = poured(&server, API, &begin, |_at| filler.clone()).await;
        assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{begin}: {problem}");
        assert!(sent < ENDLESS_BYTES, "refused while it came");
    }
    // The page's own form, which the framework reads.
    let mut request = RawRequest::post_to(&server, &page_form(&server).await, &FORM).await;
    request.chunk(format!("{PART}\"").as_bytes()).await;
    let mut sent = 0;
    while sent < ENDLESS_BYTES && request.try_chunk(filler.as_bytes()).await {
        sent += filler.len();
    }
    assert!(sent < ENDLESS_BYTES, "refused while it came");
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{} MiB more", grown / MIB);
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]));
}

#[tokio::test]
async fn the_settings_of_a_form_have_bounds() {
    let server = TestServer::start().await;
    let before = peak_bytes(&server);
    let begin = format!("{PART}\"task\"\r\n\r\ndemo\r\n");
    let large = "x".repeat(250_000);
    let (status, problem, _sent) =
        poured(&server, API, &begin, |at| format!("{PART}\"param.p{at}\"\r\n\r\n{large}\r\n")).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{problem}");
    let many = |at: usize| {
        let part = |at| format!("{PART}\"param.p{at}\"\r\n\r\n1\r\n");
        if at < 15 { (0..10_000).map(|one| part(at * 10_000 + one)).collect() } else { String::new() }
    };
    let (status, problem, _sent) = poured(&server, API, &begin, many).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{problem}");
    let begin = format!("{PART}\"task\"\r\n\r\nchecksum\r\n");
    let idle = format!("{PART}\"file\"; filename=\"\"\r\n\r\n\r\n").repeat(1_000);
    let (status, problem, _sent) = poured(&server, API, &begin, |_at| idle.clone()).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{problem}");
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{} MiB more", grown / MIB);
}

#[tokio::test]
async fn forms_within_the_bounds_come_whole() {
    let server = TestServer::start().await;
    let name = "n".repeat(900);
    let mut form = reqwest::multipart::Form::new().text("task", "checksum");
    for at in 0..150 {
        // Later ones count, empty ones are none.
        form = form.text("name", if at % 2 == 0 { String::new() } else { format!("form {at}") });
    }
    let content: Vec<u8> = (0..3 * MIB).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for _part in 0..3 {
        let part = reqwest::multipart::Part::bytes(content.clone()).file_name(name.clone());
        form = form.part("file", part);
    }
    let request = server.request(reqwest::Method::POST, "/batches").multipart(form);
    let batch = super::support::send(request).await.ok();
    assert_eq!((&batch["name"], number(&batch, "total")), (&json!("form 149"), 3));
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 3, "{done}");
    for row in server.rows(&batch).await {
        assert_eq!(row["result"]["bytes"], json!(3 * MIB), "{}", id(&batch));
    }
}

#[tokio::test]
async fn a_list_of_many_small_values_takes_no_more_than_its_text() {
    let server = TestServer::start().await;
    let before = peak_bytes(&server);
    let items = "1,".repeat(7 * 1024 * 1024);
    let body = format!(r#"{{"task":"checksum","items":[{items}1]}}"#);
    // Read whole, and refused with its first item: the task takes files.
    server.post_body("/batches", "application/json", body).await.problem(422, "invalid");
    // Parameters are read as values, and have a bound of their own.
    let body = format!(r#"{{"task":"demo","params":{{"x":[{items}1]}},"items":{{"count":1}}}}"#);
    server.post_body("/batches", "application/json", body).await.problem(413, "too_large");
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{} MiB more", grown / MIB);
}

#[tokio::test]
async fn an_item_is_measured_as_it_was_sent() {
    let server = TestServer::start().await;
    let post = async |line: &str| {
        server.post_body("/batches?task=demo", "text/plain", format!("first\n{line}\n")).await
    };
    // Twice as long as JSON, and as long as may be.
    for line in ["\"".repeat(600_000), "z".repeat(1024 * 1024), "\u{1}".repeat(1024 * 1024)] {
        let batch = post(&line).await.ok();
        assert_eq!(server.inputs(&batch).await[1], json!(line));
    }
    let problem = post(&"z".repeat(1024 * 1024 + 1)).await.problem(413, "too_large");
    assert_eq!(problem["line"], 2, "{problem}");
}
