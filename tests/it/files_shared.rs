//! Equal files of several batches: stored once, whole for each, and gone with the last.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::support::{PATIENCE, TestServer, id, number};

/// Bytes of a small file, which is stored with others, and of a large one.
const SIZES: [usize; 2] = [600, 700_000];
/// Equal files of each size in one form.
const COPIES: usize = 5;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 249).unwrap()).collect()
}

async fn submit(server: &TestServer) -> Value {
    let mut form = Form::new().text("task", "checksum");
    for copy in 0..COPIES {
        for bytes in SIZES {
            form = form.part("file", Part::bytes(content(bytes)).file_name(format!("{copy}-{bytes}.bin")));
        }
    }
    let request = server.request(Method::POST, "/batches").multipart(form);
    let batch: Value = request.send().await.unwrap().json().await.unwrap();
    server.finished(&batch).await
}

/// Contents in the data folder.
fn stored(server: &TestServer) -> usize {
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    let shelves = std::fs::read_dir(server.folder.path().join("data/files")).unwrap();
    shelves.map(|shelf| files(&shelf.unwrap().path())).sum()
}

async fn until_stored(server: &TestServer, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while stored(server) != count {
        assert!(Instant::now() < deadline, "{} contents, not {count}\n{}", stored(server), server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_whole(server: &TestServer, batch: &Value) {
    for seq in 1..=COPIES * SIZES.len() {
        let bytes = SIZES[(seq - 1) % SIZES.len()];
        let name = format!("{}-{bytes}.bin", (seq - 1) / SIZES.len());
        let path = format!("/batches/{}/items/{seq}/files/{name}", id(batch));
        let answer = server.request(Method::GET, &path).send().await.unwrap();
        assert!(answer.bytes().await.unwrap() == content(bytes), "{path}");
    }
}

#[tokio::test]
async fn equal_files_are_stored_once_and_go_with_the_last_batch() {
    let server = TestServer::start().await;
    let mut batches = Vec::new();
    for _batch in 0..3 {
        let batch = submit(&server).await;
        assert_eq!(number(&batch, "succeeded"), (COPIES * SIZES.len()) as u64);
        until_stored(&server, SIZES.len()).await;
        batches.push(batch);
    }
    for gone in [0, 2] {
        assert_eq!(server.delete(&format!("/batches/{}", id(&batches[gone]))).await.status, 204);
        // What one batch alone named goes in the same sweep, so that it shows when it is over.
        let lone = Part::bytes(vec![b'x'; 100]).file_name("lone");
        let form = Form::new().text("task", "checksum").part("file", lone);
        let lone: Value = server
            .request(Method::POST, "/batches")
            .multipart(form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        server.finished(&lone).await;
        server.delete(&format!("/batches/{}", id(&lone))).await;
        until_stored(&server, SIZES.len()).await;
        assert_whole(&server, &batches[1]).await;
    }
    server.delete(&format!("/batches/{}", id(&batches[1]))).await;
    until_stored(&server, 0).await;
}
