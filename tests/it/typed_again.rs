//! Forms that are posted without scripts and refused: the page comes once more, with what was typed and the reason.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};

use super::support::{Reply, TestServer, send};

/// The page at `path`, and the address to which its form `function` posts.
async fn form(server: &TestServer, path: &str, function: &str) -> (String, String) {
    let request = reqwest::Client::new().get(format!("{}{path}", server.base));
    let page = send(signed(server, request)).await.text;
    let start =
        page.find(&format!("action=\"/api/{function}")).expect("the form is there") + "action=\"".len();
    let action = page[start..].split('"').next().unwrap().to_owned();
    (page, action)
}

fn signed(server: &TestServer, request: RequestBuilder) -> RequestBuilder {
    let by_api = server.request(Method::GET, "/").build().unwrap();
    request.header("authorization", by_api.headers()["authorization"].clone()).header("accept", "text/html")
}

async fn post(server: &TestServer, action: &str, referer: &str, form: Form) -> Reply {
    let client =
        super::support::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.post(format!("{}{action}", server.base));
    let request =
        request.header("origin", &server.base).header("referer", format!("{}{referer}", server.base));
    send(signed(server, request).multipart(form)).await
}

fn typed(rate: &str) -> Form {
    Form::new()
        .text("task", "demo")
        .text("param.duration_ms", "7")
        // What browsers send for boxes that are not ticked.
        .text("param.spin", "false")
        .text("param.results", "false")
        .text("name", "June \"<b>\"")
        .text("option.rate_per_s", rate.to_owned())
        .text("option.private", "true")
        .text("option.start_at", "2999-01-31T14:30")
        .text("option.start_zone", "America/New_York")
        .text("kind", "lines")
        .text("count", "")
        .text("lines", "one <1>\ntwo\n")
        .part("lines", Part::bytes(Vec::new()).file_name(""))
}

#[tokio::test]
async fn a_refused_batch_is_typed_once() {
    let server = TestServer::start().await;
    let (_page, action) = form(&server, "/new?task=demo", "submit_form").await;
    let refused = post(&server, &action, "/new?task=demo", typed("-1")).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let page = &refused.text;
    for there in [
        "value=\"7\"",
        "value=\"June &quot;&lt;b&gt;&quot;\"",
        "value=\"-1\"><span class=\"fault\"",
        "value=\"2999-01-31T14:30\"",
        "value=\"America/New_York\"",
        "one &lt;1&gt;\ntwo",
        "role=\"alert\"",
        "<details class=\"options\" open",
    ] {
        assert!(page.contains(there), "{there} in {page}");
    }
    assert!(page.contains("name=\"option.private\" value=\"true\" checked"), "{page}");
    assert!(!page.contains("__err"), "no error in an address");
    assert!(!page.contains("milepost_bg") && !page.contains("hydrate()"), "without the program");
    // Once more from the page that the answer was: its browser says that it stands at the address of the post.
    let again = format!("{action}?from=/new%3Ftask%3Ddemo");
    assert!(page.contains(&format!("action=\"{again}\"")), "{page}");
    let refused = post(&server, &again, &again, typed("-2")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("value=\"-2\"><span class=\"fault\""), "{}", refused.text);
    let made = post(&server, &again, &again, typed("5")).await;
    assert!(made.header("location").starts_with("/batches/"), "{made:?}");
    let batch = server.named("June \"<b>\"").await.expect("it is made");
    assert_eq!(batch["start_at"], "2999-01-31T19:30:00.000Z", "{batch}");
}

#[tokio::test]
async fn no_batch_is_left_of_a_form_that_is_refused() {
    let server = TestServer::start().await;
    let (_page, action) = form(&server, "/new?task=demo", "submit_form").await;
    let zone = Form::new()
        .text("task", "demo")
        .text("option.start_at", "2999-01-31T14:30")
        .text("option.start_zone", "Mars/Olympus")
        .text("param.spin", "false")
        .text("param.results", "false")
        .text("lines", "a");
    let refused = post(&server, &action, "/new?task=demo", zone).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("value=\"Mars/Olympus\"><span class=\"fault\""), "{}", refused.text);
    let elsewhere =
        post(&server, &format!("{action}?from=%2F%2Fevil.example"), "/new?task=demo", typed("-1")).await;
    assert!(elsewhere.status == 422 && !elsewhere.text.contains("evil"), "{elsewhere:?}");
    assert_eq!(server.get("/batches").await.ok()["batches"], serde_json::json!([]));
}
