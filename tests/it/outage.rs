//! What is served while the database is away.
//!
//! What is the same for everybody needs no database, with a cookie as without; a page says what is the matter, with a
//! status that is true.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, Stop};
use super::support::{PATIENCE, Reply, TestServer, send};

async fn get(server: &TestServer, path: &str, cookie: &str, accept: &str) -> Reply {
    let url = format!("{}{path}", server.base);
    send(server.client.get(url).header("cookie", cookie).header("accept", accept)).await
}

#[tokio::test]
async fn what_is_the_same_for_all_needs_no_database() {
    let Some(cluster) = Cluster::own() else { return };
    let server = TestServer::start_on(Some(&cluster), &[]).await.expect("there is one");
    server.add_person("ada", "operator").await;
    let cookie = server.sign_in("ada").await;
    assert_eq!(get(&server, "/", &cookie, "text/html").await.status, 200);
    cluster.stop(Stop::Immediate);
    let deadline = Instant::now() + PATIENCE;
    while get(&server, "/api/v1/tasks", &cookie, "application/json").await.status != 503 {
        assert!(Instant::now() < deadline, "it notices that the database is away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for path in ["/healthz", "/api/openapi.json"] {
        assert_eq!(get(&server, path, &cookie, "*/*").await.status, 200, "{path}");
    }
    // Built or not, it is no matter of the database.
    for path in ["/pkg/milepost.js", "/pkg/milepost.wasm", "/pkg/nothing.css"] {
        let status = get(&server, path, &cookie, "*/*").await.status;
        assert!(status == 200 || status == 404, "{path}: {status}");
    }
    for path in ["/", "/batches/0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", "/nodes"] {
        let page = get(&server, path, &cookie, "text/html").await;
        assert_eq!(page.status, 503, "{page:?}");
        assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
        assert!(page.header("retry-after").parse::<u64>().is_ok(), "{page:?}");
        assert!(page.text.contains("database") && page.text.contains("</html>"), "{page:?}");
    }
    get(&server, "/api/v1/batches", &cookie, "text/html").await.problem(503, "busy");
    cluster.start();
    let deadline = Instant::now() + PATIENCE;
    while get(&server, "/", &cookie, "text/html").await.status != 200 {
        assert!(Instant::now() < deadline, "it comes back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
