//! Results as NDJSON and CSV over more than one page.
//!
//! Every item once, in order of `seq`, whatever the format.

use serde_json::json;

use super::support::{TestServer, id, number};

#[tokio::test]
async fn every_item_comes_once_in_order() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "name": "June / \"photos\"", "params": {"fail_rate": 0.3},
        "options": {"attempts_max": 1}, "items": {"count": 1_700}});
    let batch = server.post_json("/batches", &body).await.ok();
    let done = server.finished(&batch).await;
    let rows = server.rows(&batch).await;
    let seqs: Vec<u64> = rows.iter().map(|row| number(row, "seq")).collect();
    assert_eq!(seqs, (1..=1_700).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row["input"] == row["seq"]));
    let failed = rows.iter().filter(|row| row["state"] == "failed").count() as u64;
    assert_eq!(failed, number(&done, "failed"));

    let path = format!("/batches/{}/results", id(&batch));
    let only = server.get(&format!("{path}?format=ndjson&only=failed")).await;
    assert_eq!(only.text.lines().count() as u64, failed);
    let table = server.get(&format!("{path}?format=csv")).await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    let disposition = table.header("content-disposition");
    assert!(disposition.starts_with("attachment; filename=\"June-photos-results.csv\""), "{disposition}");
    let lines: Vec<&str> = table.text.lines().collect();
    assert_eq!(lines[0], "input,milepost_seq,milepost_state,milepost_error,result");
    assert_eq!(lines.len(), 1_701);
    assert!(lines[1_700].starts_with("1700,1700,"), "{}", lines[1_700]);
    let table = server.get(&format!("{path}?format=csv&only=failed")).await;
    assert_eq!(table.text.lines().count() as u64, failed + 1);

    server.get(&format!("{path}?format=xml")).await.problem(400, "malformed");
    server.get(&format!("{path}?only=good")).await.problem(400, "malformed");
}

#[tokio::test]
async fn results_of_an_unfinished_batch_show_where_items_stand() {
    let server = TestServer::start().await;
    let batch = server.demo(1_000, json!({"duration_ms": 200})).await;
    server.until(&batch, "began", |now| number(now, "running") > 0).await;
    let rows = server.rows(&batch).await;
    assert_eq!(rows.len(), 1_000);
    assert_eq!(rows[999]["state"], "pending");
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
}
