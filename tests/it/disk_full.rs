//! A disk that is full: cancel, delete and a restart work, and give room back.
//!
//! What is refused leaves nothing, the probe says the disk, and what is deleted is free again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::support::{PATIENCE, TestServer, id, number, send};

/// Bytes that the service may go on to hold once all batches are gone.
const KEPT_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// A file system of 24 MiB in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `folder`; none, said aloud, where this process may not. On a machine for tests it must.
    fn mount(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        assert!(std::env::var_os("CI").is_none(), "no file system can be mounted: {mounted:?}");
        eprintln!("skipped: this needs a small file system, and only root may mount one");
        None
    }

    fn free_bytes(&self) -> u64 {
        let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(&self.0).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
    }

    /// Takes all that is left, but for `but` bytes.
    fn fill(&self, but: usize) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        let block = vec![7_u8; 4_096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(but as u64)).unwrap();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_to_the_system = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn ready(server: &TestServer) -> (StatusCode, Value) {
    let reply = send(server.client.get(format!("{}/readyz", server.base))).await;
    (reply.status, reply.json())
}

async fn until_ready(server: &TestServer) {
    until(server, StatusCode::OK).await;
}

async fn until_full(server: &TestServer) {
    until(server, StatusCode::SERVICE_UNAVAILABLE).await;
}

/// An answer of the probe may be a second old.
async fn until(server: &TestServer, wanted: StatusCode) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, told) = ready(server).await;
        if status == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{told}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lines that no compression makes small.
fn noise(count: u64) -> String {
    (0..count)
        .map(|_line| format!("{:032x}{:032x}\n", rand::random::<u128>(), rand::random::<u128>()))
        .collect()
}

#[tokio::test]
async fn a_disk_that_the_service_filled_is_freed_by_deletes() {
    let mut server = TestServer::bare(&[]);
    let Some(disk) = SmallDisk::mount(&server.folder.path().join("data")) else { return };
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    let room = disk.free_bytes();
    // Noise until it is refused. What had run by then is visible, and said.
    let mut whole = Vec::new();
    let refused = loop {
        let reply = server.post_body("/batches?task=demo", "text/plain", noise(20_000)).await;
        if reply.status != 201 {
            break reply;
        }
        whole.push(reply.json());
    };
    let detail = refused.problem(507, "disk_full")["detail"].as_str().unwrap().to_owned();
    let page = server.get("/batches?limit=500").await.ok();
    let extra: Vec<&Value> = page["batches"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|batch| !whole.iter().any(|known| id(known) == id(batch)))
        .collect();
    match extra.as_slice() {
        [] => assert!(detail.contains("nothing was changed"), "{detail}"),
        [cut] => {
            assert!(detail.contains(&format!("{} items", number(cut, "total"))), "{detail}: {cut}");
            server.until(cut, "cancelled", |now| now["state"] == "cancelled").await;
            whole.push((*cut).clone());
        }
        more => panic!("{detail}: {more:?}"),
    }
    // Steadily, and for what it is.
    until_full(&server).await;
    for _look in 0..20 {
        let (status, told) = ready(&server).await;
        assert_eq!(status, 503, "{told}");
        assert!(told["reason"].as_str().unwrap().contains("disk is full"), "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = server.post_body("/batches?task=demo", "text/plain", "a\n").await;
    let told = refused.problem(507, "disk_full");
    assert!(told["detail"].as_str().unwrap().contains("nothing was changed"), "{told}");
    // Over a restart too.
    server.signal("TERM").await;
    server.ended().await;
    server.spawn().await;
    assert_eq!(ready(&server).await.0, 503);
    for batch in &whole {
        if server.get(&format!("/batches/{}", id(batch))).await.json()["finished_at"].is_null() {
            server.post(&format!("/batches/{}/cancel", id(batch))).await.ok();
            server.finished(batch).await;
        }
        assert_eq!(server.delete(&format!("/batches/{}", id(batch))).await.status, 204);
    }
    until_ready(&server).await;
    let deadline = Instant::now() + PATIENCE;
    while disk.free_bytes() + KEPT_BYTES_MAX < room {
        let back = disk.free_bytes();
        assert!(Instant::now() < deadline, "{back} of {room} bytes are free again\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let again = server.post_body("/batches?task=demo", "text/plain", "a\nb\n").await.ok();
    assert_eq!(number(&server.finished(&again).await, "succeeded"), 2);
}

#[tokio::test]
async fn a_disk_that_others_filled_stops_nothing_but_what_is_new() {
    let mut server = TestServer::bare(&[]);
    let Some(disk) = SmallDisk::mount(&server.folder.path().join("data")) else { return };
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    let done = server.demo(1, json!({})).await;
    server.finished(&done).await;
    let slow = server.demo(1_000, json!({"duration_ms": 60_000})).await;
    let filler = disk.fill(0);
    let form = |name: &str| {
        let part = reqwest::multipart::Part::bytes(vec![1; 64 * 1024]).file_name("a");
        let form = reqwest::multipart::Form::new().text("task", "checksum").text("name", name.to_owned());
        server.request(reqwest::Method::POST, "/batches").multipart(form.part("file", part))
    };
    let told = send(form("refused")).await.problem(507, "disk_full");
    assert!(told["detail"].as_str().unwrap().contains("nothing was changed"), "{told}");
    assert!(server.named("refused").await.is_none(), "and so it is");
    until_full(&server).await;
    server.post(&format!("/batches/{}/cancel", id(&slow))).await.ok();
    server.finished(&slow).await;
    assert_eq!(server.delete(&format!("/batches/{}", id(&done))).await.status, 204);
    // Also after kill -9, and with the reserve gone.
    server.kill().await;
    disk.fill(256 * 1024);
    server.spawn().await;
    assert_eq!(server.delete(&format!("/batches/{}", id(&slow))).await.status, 204);
    assert_eq!(ready(&server).await.0, 503);
    std::fs::remove_file(filler).unwrap();
    until_ready(&server).await;
    send(
        server.request(reqwest::Method::POST, "/batches").multipart(
            reqwest::multipart::Form::new()
                .text("task", "checksum")
                .part("file", reqwest::multipart::Part::bytes(vec![1; 1024]).file_name("a")),
        ),
    )
    .await
    .ok();
}
