//! A create whose last act the database refuses: it is done later, or said.
//!
//! No batch stays unsealed for ever, and what was answered is true.

use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait as _, Database, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use serde_json::{Value, json};

use super::cluster::{Cluster, Stop};
use super::support::raw::RawRequest;
use super::support::{PATIENCE, TestServer, id, number, send};

/// The batch named `name`, once it has `items` items.
async fn holding(server: &TestServer, name: &str, items: u64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(batch) = server.named(name).await.filter(|batch| number(batch, "total") == items) {
            return batch;
        }
        assert!(Instant::now() < deadline, "{name} never came\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A create of three lines whose end has not been sent.
async fn begun(server: &TestServer, name: &str, key: &str) -> (RawRequest, Value) {
    let key = format!("Idempotency-Key: {key}");
    let headers = ["Content-Type: text/plain", "Transfer-Encoding: chunked", key.as_str()];
    let mut request = RawRequest::post(server, &format!("/batches?task=demo&name={name}"), &headers).await;
    request.chunk(b"a\nb\nc\n").await;
    (request, holding(server, name, 3).await)
}

async fn repeat(server: &TestServer, name: &str, key: &str) -> Value {
    let request = server.request(reqwest::Method::POST, &format!("/batches?task=demo&name={name}"));
    let request =
        request.header("idempotency-key", key).header("content-type", "text/plain").body("a\nb\nc\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = send(request.try_clone().unwrap()).await;
        if reply.status.is_success() {
            return reply.json();
        }
        assert!(Instant::now() < deadline, "{reply:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_seal_that_a_lock_keeps_off_comes_later() -> Result<(), DbErr> {
    let server = TestServer::start().await;
    let (mut request, batch) = begun(&server, "locked", "k").await;
    server.until(&batch, "through", |now| number(now, "succeeded") == 3).await;
    let path = server.folder.path().join("data/milepost.db");
    let other = Database::connect(format!("sqlite://{}", path.display())).await?;
    let immediate = Some(SqliteTransactionMode::Immediate);
    let held = other
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: immediate,
            ..TransactionOptions::default()
        })
        .await?;
    request.send(b"0\r\n\r\n").await;
    let (status, text) = request.answer().await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("All 3 items"), "{text}");
    held.rollback().await?;
    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], &done["sealed"]), (&json!("succeeded"), &json!(true)), "{done}");
    assert_eq!(id(&repeat(&server, "locked", "k").await), id(&batch), "the key stands for it");
    other.execute_unprepared("PRAGMA quick_check").await?;
    Ok(())
}

#[tokio::test]
async fn a_seal_that_an_outage_keeps_off_comes_later() {
    let Some(cluster) = Cluster::own() else { return };
    let server = TestServer::start_on(Some(&cluster), &[]).await.expect("there is a cluster");
    let (mut request, batch) = begun(&server, "away", "k").await;
    server.until(&batch, "through", |now| number(now, "succeeded") == 3).await;
    cluster.stop(Stop::Fast);
    request.send(b"0\r\n\r\n").await;
    let (status, text) = request.answer().await;
    assert_eq!(status, 503, "{text}");
    cluster.start();
    let deadline = Instant::now() + PATIENCE;
    while server.try_get(&format!("/batches/{}", id(&batch))).await.is_none() {
        assert!(Instant::now() < deadline, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], &done["sealed"]), (&json!("succeeded"), &json!(true)), "{done}");
    assert_eq!(id(&repeat(&server, "away", "k").await), id(&batch), "the key stands for it");
}

/// Where the commit of the last act fails for a while.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_seal_that_is_refused_is_tried_until_it_is_done() {
    for wish in ["complete.before=6*return(error)", "complete.after=3*return(error)"] {
        let mut server = TestServer::prepare(&[]).await;
        assert!(server.spawn_with(&[("FAILPOINTS", wish)]).await);
        let batch = repeat(&server, "refused", "k").await;
        let done = server.finished(&batch).await;
        assert_eq!((&done["state"], number(&done, "total")), (&json!("succeeded"), 3), "{wish}");
        assert_eq!(id(&repeat(&server, "refused", "k").await), id(&batch), "{wish}");
        assert_eq!(server.get("/batches").await.ok()["batches"].as_array().unwrap().len(), 1, "{wish}");
    }
}

#[tokio::test]
async fn nobody_goes_on_with_a_batch_that_is_being_made() {
    let server = TestServer::start().await;
    let options = "%7B%22open%22:true%7D";
    let headers = ["Content-Type: text/plain", "Transfer-Encoding: chunked"];
    let path = format!("/batches?task=demo&name=young&options={options}");
    let mut request = RawRequest::post(&server, &path, &headers).await;
    request.chunk(b"a\nb\n").await;
    let batch = holding(&server, "young", 2).await;
    let path = format!("/batches/{}", id(&batch));
    let append = server.post_body(&format!("{path}/items?first_seq=3"), "text/plain", "c\n").await;
    append.problem(503, "busy");
    server.post(&format!("{path}/seal")).await.problem(503, "busy");
    request.send(b"0\r\n\r\n").await;
    let (status, text) = request.answer().await;
    assert_eq!(status, 201, "{text}");
    server.post_body(&format!("{path}/items?first_seq=3"), "text/plain", "c\n").await.ok();
    server.post(&format!("{path}/seal")).await.ok();
    assert_eq!(number(&server.finished(&batch).await, "succeeded"), 3);
}
