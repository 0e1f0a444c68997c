//! Folders of the server: their files as items, in order, and nothing from outside of them.

use std::os::unix::fs::symlink;
use std::path::Path;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{TestServer, id, number, send};

/// A server with a folder named photos, in which there is more than files.
async fn with_folder() -> TestServer {
    let server = TestServer::prepare(&[]).await;
    let base = server.folder.path();
    let photos = base.join("photos");
    for (name, text) in [
        ("a.jpg", "one"),
        ("a/b.jpg", "two"),
        ("a/c.txt", "three"),
        ("a/deep/x.JPG", "four"),
        ("a/deep/y.jpg", "five"),
        ("b.jpg", "six"),
    ] {
        write(&photos, name, text);
    }
    write(base, "secret/s.jpg", "secret");
    symlink(base.join("secret"), photos.join("out")).unwrap();
    symlink(base.join("secret/s.jpg"), photos.join("s.jpg")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(photos.join("pipe.jpg")).status().unwrap();
    assert!(pipe.success());
    let settings = "[inputs]\nfolders = [{ name = \"photos\", path = \"photos\" }]\n";
    std::fs::write(base.join("milepost.toml"), settings).unwrap();
    let mut server = server;
    server.spawn().await;
    server
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn files_of_a_folder_are_items_in_the_order_of_their_names() {
    let server = with_folder().await;
    assert_eq!(server.get("/folders").await.ok(), json!({"folders": [{"name": "photos"}]}));
    for (query, expected) in [
        ("", &["a.jpg", "a/b.jpg", "a/c.txt", "a/deep/x.JPG", "a/deep/y.jpg", "b.jpg"][..]),
        ("?pattern=*.jpg", &["a.jpg", "b.jpg"]),
        ("?pattern=**/*.jpg", &["a.jpg", "a/b.jpg", "a/deep/y.jpg", "b.jpg"]),
        ("?pattern=**/*.%7Bjpg,JPG%7D&path=a", &["a/b.jpg", "a/deep/x.JPG", "a/deep/y.jpg"]),
        ("?path=a/deep", &["a/deep/x.JPG", "a/deep/y.jpg"]),
        ("?pattern=nothing", &[]),
    ] {
        let page = server.get(&format!("/folders/photos{query}")).await.ok();
        assert_eq!((names(&page["files"]), &page["next"]), (expected.to_vec(), &Value::Null), "{query}");
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = server.get(&format!("/folders/photos{query}")).await.ok();
        seen.extend(names(&page["files"]).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&after={next}");
    }
    assert_eq!(seen, ["a.jpg", "a/b.jpg", "a/c.txt", "a/deep/x.JPG", "a/deep/y.jpg", "b.jpg"]);

    let body = json!({"task": "checksum", "items": {"folder": "photos", "pattern": "**/*.jpg"}});
    let batch = server.post_json("/batches", &body).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!((number(&done, "total"), number(&done, "succeeded"), &done["sealed"]), (4, 4, &json!(true)));
    let rows = server.rows(&batch).await;
    for (row, (name, text)) in
        rows.iter().zip([("a.jpg", "one"), ("a/b.jpg", "two"), ("a/deep/y.jpg", "five"), ("b.jpg", "six")])
    {
        assert_eq!(row["input"]["name"], name);
        assert_eq!(row["result"]["sha256"], format!("{:x}", Sha256::digest(text)));
    }
    // The same by the fields of a form, and into a batch that is open.
    let form = Form::new()
        .text("task", "checksum")
        .text("kind", "files")
        .text("folder", "photos")
        .text("pattern", "a/*");
    let batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    assert_eq!(number(&batch, "total"), 2);
    let open = json!({"task": "checksum", "options": {"open": true}, "items": {"folder": "photos", "path": "a/deep"}});
    let open = server.post_json("/batches", &open).await.ok();
    let more = json!({"items": {"folder": "photos", "pattern": "b.jpg"}});
    let appended = server.post_json(&format!("/batches/{}/items?first_seq=3", id(&open)), &more).await.ok();
    assert_eq!((number(&appended, "total"), &appended["sealed"]), (3, &json!(false)));
}

#[tokio::test]
async fn nothing_outside_is_told_or_taken() {
    let server = with_folder().await;
    let viewer = server.make_token("watch", "viewer").await;
    for path in ["/folders", "/folders/photos"] {
        send(server.client.get(server.url(path)).bearer_auth(&viewer)).await.problem(403, "not_allowed");
    }
    server.get("/folders/none").await.problem(404, "not_found");
    for (query, status, code) in [
        ("path=..", 422, "invalid"),
        ("path=a/../../secret", 422, "invalid"),
        ("path=a/./deep", 422, "invalid"),
        ("path=out", 404, "not_found"),
        ("path=none", 404, "not_found"),
        ("path=a.jpg", 404, "not_found"),
        ("pattern=[", 422, "invalid"),
    ] {
        server.get(&format!("/folders/photos?{query}")).await.problem(status, code);
    }
    for pattern in ["../secret/*", "/etc/passwd", "out/*", "s.jpg", "pipe.jpg", "none"] {
        let body = json!({"task": "checksum", "items": {"folder": "photos", "pattern": pattern}});
        server.post_json("/batches", &body).await.problem(422, "no_items");
    }
    for (items, word) in [
        (json!({"folder": "none"}), "photos"),
        (json!({"folder": "photos", "count": 1}), "expected"),
        (json!({"pattern": "*"}), "expected"),
        (json!({"folder": "photos", "pattern": "["}), "pattern"),
    ] {
        let refused = server.post_json("/batches", &json!({"task": "checksum", "items": items})).await;
        let problem = refused.problem(422, "invalid");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    let lines = json!({"task": "demo", "items": {"folder": "photos"}});
    server.post_json("/batches", &lines).await.problem(422, "invalid");
    assert_eq!(server.get("/batches").await.ok()["batches"], json!([]));
    // A name that is no text cannot be an item's: the batch says so, and what came before it stays.
    let odd = std::ffi::OsStr::new("photos/zz").to_owned();
    let odd = {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        std::ffi::OsString::from_vec([odd.as_bytes(), b"\xff.jpg"].concat())
    };
    std::fs::write(server.folder.path().join(odd), "x").unwrap();
    let body = json!({"task": "checksum", "items": {"folder": "photos"}});
    let refused = server.post_json("/batches", &body).await.problem(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("not UTF-8"), "{refused}");
}

#[tokio::test]
async fn a_path_that_is_no_folder_stops_the_start_with_its_line() {
    let mut server = TestServer::prepare(&[]).await;
    let settings = "[inputs]\nfolders = [\n  { name = \"gone\", path = \"no/such\" },\n]\n";
    std::fs::write(server.folder.path().join("milepost.toml"), settings).unwrap();
    assert!(!server.spawn_with(&[]).await, "it started");
    assert!(
        server.log().contains("milepost.toml:3: inputs.folders: \"gone\" expects a folder at"),
        "{}",
        server.log()
    );
}
