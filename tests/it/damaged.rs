//! Databases that are not what they were: broken pages, an empty file, none at all beside files of one.
//!
//! A start says so and what to do, and serves nobody.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::support::{TestServer, send};

/// Bytes of a page of SQLite.
const PAGE: u64 = 4096;

fn database(server: &TestServer) -> PathBuf {
    server.folder.path().join("data/milepost.db")
}

/// Writes over twelve pages in the middle of the database.
fn break_pages(server: &TestServer) {
    let mut file = File::options().write(true).open(database(server)).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE;
    assert!(pages > 40, "{pages}");
    for at in 0..12 {
        let page = pages / 4 + at * (pages / 2) / 12;
        file.seek(SeekFrom::Start(page * PAGE)).unwrap();
        file.write_all(&vec![0xa5; usize::try_from(PAGE).unwrap()]).unwrap();
    }
}

async fn stopped(server: &mut TestServer) {
    server.signal("TERM").await;
    assert!(server.ended().await.success(), "{}", server.log());
}

/// Tries a start that is refused; what it said.
async fn refused(server: &mut TestServer) -> String {
    let before = server.log().len();
    assert!(!server.spawn_with(&[]).await, "it started");
    assert_eq!(server.ended().await.code(), Some(1));
    server.log()[before..].to_owned()
}

#[tokio::test]
async fn a_damaged_database_is_found_at_the_start() {
    let mut server = TestServer::start().await;
    let lines: Vec<String> = (0..5_000).map(|at| format!("{at} {}", "x".repeat(at % 400))).collect();
    let batch = server.post_json("/batches", &json!({"task": "demo", "items": lines})).await.ok();
    server.finished(&batch).await;
    // All of it is in the database, and the next stop is none.
    stopped(&mut server).await;
    server.spawn().await;
    server.kill().await;
    server.spawn().await;
    assert!(server.log().contains("the database was looked at and is whole"), "{}", server.log());
    server.kill().await;

    let whole = std::fs::read(database(&server)).unwrap();
    break_pages(&server);
    let told = refused(&mut server).await;
    for words in ["error: cannot open the database", "the database is damaged", "Put back a copy from before"]
    {
        assert!(told.contains(words), "{told}");
    }
    std::fs::write(database(&server), "this is no database, whatever it is called".repeat(200)).unwrap();
    let told = refused(&mut server).await;
    assert!(told.contains("the database is damaged"), "{told}");
    std::fs::write(database(&server), whole).unwrap();
    server.spawn().await;
    assert_eq!(server.finished(&batch).await["succeeded"], 5_000);

    // After a clean stop as well, as far as a moment goes.
    stopped(&mut server).await;
    break_pages(&server);
    let told = refused(&mut server).await;
    assert!(told.contains("the database is damaged"), "{told}");
}

#[tokio::test]
async fn an_empty_database_is_not_taken_for_a_new_one_beside_files() {
    let mut server = TestServer::start().await;
    let form = Form::new().text("task", "checksum").part("file", Part::bytes(&b"content"[..]).file_name("a"));
    let batch = send(server.request(reqwest::Method::POST, "/batches").multipart(form)).await.ok();
    server.finished(&batch).await;
    stopped(&mut server).await;
    let copy = std::fs::read(database(&server)).unwrap();
    let files = server.folder.path().join("data/files");
    for (what, words) in [("empty", "is empty"), ("gone", "is not there")] {
        if what == "gone" {
            std::fs::remove_file(database(&server)).unwrap();
        } else {
            File::create(database(&server)).unwrap();
        }
        let told = refused(&mut server).await;
        for words in [words, "holds files of one", "Put back a copy from before", "to begin anew, move"] {
            assert!(told.contains(words), "{what}: {told}");
        }
        let add = ["token", "create", "--name", "b", "--role", "admin", "--data", "data"];
        assert!(!server.runs(&add, &[]).await, "nor does a command make a new one");
        let left = std::fs::metadata(database(&server)).map_or(0, |file| file.len());
        assert_eq!(left, 0, "nothing was made");
    }
    std::fs::write(database(&server), copy).unwrap();
    server.spawn().await;
    assert_eq!(server.finished(&batch).await["state"], "succeeded");
    stopped(&mut server).await;

    // Who wants to begin anew can.
    std::fs::remove_file(database(&server)).unwrap();
    std::fs::rename(&files, server.folder.path().join("aside")).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]));
}
