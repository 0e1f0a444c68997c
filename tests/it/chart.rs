//! The course of a batch on its page: what ended when, as a drawing and as a table, and who did what meanwhile.

use reqwest::Method;
use serde_json::json;

use super::support::{TestServer, id, number, send};

/// A page as a browser without scripts sees it.
async fn page(server: &TestServer, path: &str) -> String {
    let request = server.client.get(format!("{}{path}", server.base)).bearer_auth(&server.token);
    send(request.header("accept", "text/html,*/*")).await.text
}

/// What stands between the first `from` and the next `to`.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = html.split_once(from).unwrap_or_else(|| panic!("no {from} in {html}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

/// Numbers of the cells of each row of the table: good and bad ends.
fn rows(html: &str) -> Vec<(u64, u64)> {
    let body = between(between(html, "class=\"chart-table\"", "</table>"), "<tbody", "</tbody>");
    let number = |cell: &str| cell.split_once("</td>").unwrap().0.replace(',', "").parse().unwrap();
    let row = |row: &str| {
        let cells: Vec<&str> = row.split("<td>").skip(1).take(2).collect();
        (number(cells[0]), number(cells[1]))
    };
    body.split("<tr>").skip(1).map(row).collect()
}

/// The path of the element with this class.
fn path(html: &str, class: &str) -> String {
    let (before, after) = html.split_once(&format!("class=\"{class}\"")).unwrap_or_else(|| panic!("{html}"));
    let before = before.rsplit_once('<').unwrap().1;
    let element = format!("{before}{}", after.split_once('>').unwrap().0);
    element.split_once(" d=\"").map_or("", |(_, rest)| rest.split_once('"').unwrap().0).to_owned()
}

#[tokio::test]
async fn the_page_shows_what_ended_when_without_scripts() {
    let server = TestServer::start().await;
    let batch = server.demo(2_500, json!({"duration_ms": 6, "fail_rate": 0.1, "fail_attempts": 9})).await;
    let batch = server.finished(&batch).await;
    let html = page(&server, &format!("/batches/{}", id(&batch))).await;
    let mut rows = rows(&html);
    let all = rows.pop().unwrap();
    assert_eq!(all, (number(&batch, "succeeded"), number(&batch, "failed")));
    assert!(all.1 > 0 && !rows.is_empty(), "{rows:?}");
    let sums = rows.iter().fold((0, 0), |sums, row| (sums.0 + row.0, sums.1 + row.1));
    assert_eq!(sums, all, "the rows make the whole");
    for class in ["chart-ended", "chart-failed"] {
        let path = path(&html, class);
        assert!(path.starts_with('M') && path.contains(" 200V") && path.ends_with('z'), "{class}: {path}");
    }
}

#[tokio::test]
async fn a_retry_adds_to_the_course_and_takes_nothing_back() {
    let server = TestServer::start().await;
    let batch = server.demo(60, json!({"duration_ms": 1, "fail_rate": 1.0, "fail_attempts": 9})).await;
    let batch = server.finished(&batch).await;
    assert_eq!(number(&batch, "failed"), 60);
    server.post(&format!("/batches/{}/retry", id(&batch))).await.ok();
    server.finished(&batch).await;
    let html = page(&server, &format!("/batches/{}", id(&batch))).await;
    let all = *rows(&html).last().unwrap();
    assert_eq!(all.0 + all.1, 120, "each end once: {all:?}");
    assert!(html.contains("chart-mark") && html.contains("retried by "), "{html}");
}

#[tokio::test]
async fn who_did_what_stands_on_the_page_and_in_its_settings() {
    let server = TestServer::start().await;
    let ada = server.make_token("ada", "operator").await;
    let body = json!({"task": "demo", "params": {"duration_ms": 50}, "items": {"count": 2_000}});
    let ask = |method: Method, path: String, body: serde_json::Value| {
        send(server.client.request(method, server.url(&path)).bearer_auth(&ada).json(&body))
    };
    let batch = ask(Method::POST, "/batches".into(), body).await.ok();
    let path = format!("/batches/{}", id(&batch));
    ask(Method::PATCH, path.clone(), json!({"concurrency": 2})).await.ok();
    ask(Method::POST, format!("{path}/pause"), json!({})).await.ok();
    ask(Method::POST, format!("{path}/resume"), json!({})).await.ok();
    ask(Method::POST, format!("{path}/cancel"), json!({})).await.ok();
    for tab in ["items", "settings"] {
        let html = page(&server, &format!("{path}?tab={tab}")).await;
        let log = between(&html, "class=\"acts-log\"", "</ol>");
        let wanted = ["submitted", "changed (slots 2)", "paused", "resumed", "cancelled"];
        let places: Vec<_> =
            wanted.iter().map(|word| log.find(word).unwrap_or_else(|| panic!("{log}"))).collect();
        assert!(places.is_sorted(), "oldest first: {log}");
        assert_eq!(log.matches(" by token ada").count(), wanted.len(), "{log}");
    }
}

#[tokio::test]
async fn a_batch_of_which_nothing_has_ended_has_an_empty_chart() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "items": ["a"], "options": {"start_at": "2999-01-01T00:00:00Z"}});
    let batch = server.post_json("/batches", &body).await.ok();
    let html = page(&server, &format!("/batches/{}", id(&batch))).await;
    assert!(html.contains("Nothing has ended yet."), "{html}");
    assert_eq!((path(&html, "chart-ended"), rows(&html)), (String::new(), vec![(0, 0)]));
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
}

#[tokio::test]
async fn a_batch_under_way_is_drawn_in_the_list_and_one_that_has_ended_is_not() {
    let server = TestServer::start().await;
    let over = server.demo(20, json!({"duration_ms": 1})).await;
    server.finished(&over).await;
    assert!(!page(&server, "/").await.contains("<path class=\"chart-ended\""));
    let params = json!({"duration_ms": 40, "fail_rate": 0.5, "fail_attempts": 9});
    let batch = server.demo(20_000, params).await;
    let path = format!("/batches/{}", id(&batch));
    let drawn = async {
        loop {
            let html = page(&server, "/").await;
            if let Some((_, rest)) = html.split_once("<span class=\"row-spark\"><svg") {
                return rest.split_once("</svg>").unwrap().0.to_owned();
            }
        }
    };
    let spark = tokio::time::timeout(std::time::Duration::from_secs(30), drawn).await.unwrap();
    assert!(spark.contains("aria-hidden=\"true\""), "{spark}");
    for class in ["chart-ended", "chart-failed"] {
        let drawn = between(&spark, &format!("class=\"{class}\" d=\""), "\"");
        assert!(drawn.starts_with("M0 24V") && drawn.ends_with("V24z"), "{class}: {drawn}");
    }
    server.post(&format!("{path}/cancel")).await.ok();
}

#[tokio::test]
async fn the_course_afterwards_is_a_table_with_ends_and_acts_in_order() {
    let server = TestServer::start().await;
    let batch = server.demo(900, json!({"duration_ms": 8, "fail_rate": 0.2, "fail_attempts": 9})).await;
    let path = format!("/batches/{}", id(&batch));
    server.post(&format!("{path}/pause")).await.ok();
    server.post(&format!("{path}/resume")).await.ok();
    let batch = server.finished(&batch).await;
    let html = page(&server, &format!("{path}/course")).await;
    let table = between(&html, "<tbody>", "</tbody>");
    let times: Vec<&str> = table.split("datetime=\"").skip(1).map(|rest| &rest[..24]).collect();
    assert!(times.is_sorted() && times.len() > 3, "{times:?}");
    let places = [">submitted by ", ">paused by ", ">resumed by "].map(|act| table.find(act).unwrap());
    assert!(places.is_sorted(), "{table}");
    let ended = number(&batch, "succeeded") + number(&batch, "failed");
    let said = format!("{ended} items ended by then, {} of them failed", number(&batch, "failed"));
    assert!(between(&html, "<output>", "</output>").contains(&said), "{said}");
    assert!(!html.contains("modulepreload"), "it comes without the program");
    let over = server.demo(1, json!({})).await;
    server.finished(&over).await;
    let html = page(&server, &format!("/batches/{}/course", id(&over))).await;
    assert!(html.contains("1 item ended by then, none of them failed"), "{html}");
}
