//! Files that come in pieces: they go on where they stopped, over cuts, kills and changes of node, and are the same byte for
//! byte; a batch uses each once.

use std::time::{Duration, Instant};

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cluster::Cluster;
use super::s3::S3Server;
use super::support::raw::RawRequest;
use super::support::{PATIENCE, Reply, TestServer, id, number, send};

const MIB: usize = 1024 * 1024;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap()).collect()
}

async fn announced(server: &TestServer, name: &str, bytes: usize) -> String {
    let reply = server.post_json("/uploads", &json!({"name": name, "bytes": bytes})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let upload = reply.json();
    assert_eq!(reply.header("location"), format!("/api/v1/uploads/{}", id(&upload)));
    assert_eq!(
        (&upload["name"], number(&upload, "bytes"), number(&upload, "offset")),
        (&json!(name), bytes as u64, 0)
    );
    assert!(upload["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{upload}");
    id(&upload).to_owned()
}

async fn piece(server: &TestServer, upload: &str, offset: usize, bytes: impl Into<Body>) -> Reply {
    let request = server.request(Method::PATCH, &format!("/uploads/{upload}"));
    send(request.header("upload-offset", offset.to_string()).body(bytes)).await
}

/// Sends the rest, from where the server stands.
async fn rest(server: &TestServer, upload: &str, whole: &[u8]) -> usize {
    let from = offset(server, upload).await;
    let reply = piece(server, upload, from, whole[from..].to_vec()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("upload-offset")),
        (204, &*whole.len().to_string()),
        "{reply:?}"
    );
    from
}

async fn offset(server: &TestServer, upload: &str) -> usize {
    let path = format!("/uploads/{upload}");
    let told = server.get(&path).await;
    let bytes = usize::try_from(number(&told.ok(), "offset")).unwrap();
    let head = send(server.request(Method::HEAD, &path)).await;
    // More may have come meanwhile.
    let later = head.header("upload-offset").parse::<usize>().unwrap();
    assert!(head.status == 200 && later >= bytes, "{head:?}");
    bytes
}

/// Waits until at least so many bytes are acknowledged.
async fn until_offset(server: &TestServer, upload: &str, least: usize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = offset(server, upload).await;
        if now >= least {
            return now;
        }
        assert!(Instant::now() < deadline, "{now} of {least} bytes\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn batch_of(server: &TestServer, uploads: &[&str]) -> Reply {
    let items: Vec<Value> = uploads.iter().map(|upload| json!({"upload": upload})).collect();
    server.post_json("/batches", &json!({"task": "checksum", "items": items})).await
}

/// A batch of the upload: its item has the name and exactly these bytes.
async fn assert_same(server: &TestServer, upload: &str, name: &str, whole: &[u8]) {
    let batch = batch_of(server, &[upload]).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 1, "{done}");
    let row = &server.rows(&batch).await[0];
    assert_eq!(row["input"]["name"], name);
    assert_eq!(row["result"]["sha256"], format!("{:x}", Sha256::digest(whole)));
    let file = server.request(Method::GET, &format!("/batches/{}/items/1/files/{name}", id(&batch)));
    assert!(file.send().await.unwrap().bytes().await.unwrap() == whole, "the same, byte for byte");
}

#[tokio::test]
async fn a_file_comes_in_pieces_and_is_used_once() {
    let server = TestServer::start().await;
    let whole = content(3 * MIB);
    let upload = announced(&server, "film.bin", whole.len()).await;
    let first = piece(&server, &upload, 0, whole[..1000].to_vec()).await;
    assert_eq!((first.status.as_u16(), first.header("upload-offset")), (204, "1000"));
    for wrong in [0, 999, 1001, whole.len()] {
        let refused = piece(&server, &upload, wrong, whole[..10].to_vec()).await;
        assert_eq!(refused.problem(409, "wrong_offset")["offset"], 1000);
        assert_eq!(refused.header("upload-offset"), "1000");
    }
    let refused = batch_of(&server, &[&upload]).await.problem(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("1000 of 3145728 bytes"), "{refused}");
    let beyond = piece(&server, &upload, 1000, vec![0; whole.len()]).await;
    beyond.problem(413, "too_large");
    // Not announced by a length, it is found out on the way: none of the piece that is too long counts.
    let chunks = stream::iter([Ok::<_, std::io::Error>(vec![7; 10]), Ok(vec![7; whole.len()])]);
    let beyond = piece(&server, &upload, 1000, Body::wrap_stream(chunks)).await;
    beyond.problem(413, "too_large");
    assert_eq!(offset(&server, &upload).await, 1000);
    server.delete(&format!("/uploads/{upload}")).await;
    server.get(&format!("/uploads/{upload}")).await.problem(404, "not_found");

    let upload = announced(&server, "film.bin", whole.len()).await;
    for start in (0..whole.len()).step_by(MIB) {
        piece(&server, &upload, start, whole[start..start + MIB].to_vec()).await;
    }
    assert_same(&server, &upload, "film.bin", &whole).await;
    server.get(&format!("/uploads/{upload}")).await.problem(404, "not_found");
    let again = batch_of(&server, &[&upload]).await.problem(422, "invalid");
    assert!(again["detail"].as_str().unwrap().starts_with("Item 1: "), "{again}");
    assert_eq!(
        server.get("/batches").await.ok()["batches"].as_array().unwrap().len(),
        1,
        "refused, no batch is left"
    );

    // Of equal contents one is kept, and an empty file is whole at once.
    let equal = announced(&server, "same.bin", whole.len()).await;
    rest(&server, &equal, &whole).await;
    let empty = announced(&server, "empty.bin", 0).await;
    let batch = batch_of(&server, &[&empty, &equal]).await.ok();
    assert_eq!(number(&server.finished(&batch).await, "succeeded"), 2);
    let names: Vec<_> = server.inputs(&batch).await.iter().map(|input| input["name"].clone()).collect();
    assert_eq!(names, ["empty.bin", "same.bin"]);
    let growing = std::fs::read_dir(server.folder.path().join("data/files/uploads")).unwrap().count();
    assert_eq!(growing, 0, "nothing is left of pieces");
}

#[tokio::test]
async fn uploads_go_into_open_batches_and_what_was_refused_can_be_used() {
    let server = TestServer::start().await;
    let whole = content(1000);
    let mut uploads = Vec::new();
    for name in ["a.bin", "b.bin", "c.bin"] {
        let upload = announced(&server, name, whole.len()).await;
        rest(&server, &upload, &whole).await;
        uploads.push(upload);
    }
    let open = json!({"task": "checksum", "options": {"open": true}, "items": [{"upload": uploads[0]}]});
    let batch = server.post_json("/batches", &open).await.ok();
    let append = async |first: u64, items: Value| {
        server
            .post_json(&format!("/batches/{}/items?first_seq={first}", id(&batch)), &json!({"items": items}))
            .await
    };
    append(1, json!([{"upload": uploads[1]}])).await.problem(409, "wrong_first_seq");
    for (bad, word) in [
        (json!([{"upload": uploads[1]}, {"upload": uploads[1]}]), "twice"),
        (json!([{"upload": uploads[1]}, {"upload": uploads[0]}]), "not there"),
        (json!([{"upload": uploads[1]}, {"upload": "nonsense"}]), "not there"),
        (json!([{"upload": uploads[1], "name": "x"}]), "takes files"),
        (json!(["a.bin"]), "takes files"),
    ] {
        let refused = append(2, bad).await.problem(422, "invalid");
        assert!(refused["detail"].as_str().unwrap().contains(word), "{refused}");
    }
    let appended = append(2, json!([{"upload": uploads[2]}, {"upload": uploads[1]}])).await.ok();
    assert_eq!(number(&appended, "total"), 3);
    server.post(&format!("/batches/{}/seal", id(&batch))).await.ok();
    let names: Vec<_> = server.inputs(&server.finished(&batch).await).await;
    assert_eq!(
        names.iter().map(|input| input["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["a.bin", "c.bin", "b.bin"]
    );
    // A task that takes no files takes what looks like one as it is.
    let line = server.post_json("/batches", &json!({"task": "demo", "items": [{"upload": "x"}]})).await.ok();
    assert_eq!(server.inputs(&server.finished(&line).await).await, [json!({"upload": "x"})]);
}

#[tokio::test]
async fn who_may_and_how_much() {
    let server = TestServer::start_with(&[("MILEPOST_LIMITS_UPLOAD_BYTES_MAX", "10000")]).await;
    let (viewer, ada, bob) = (
        server.make_token("watch", "viewer").await,
        server.make_token("ada", "operator").await,
        server.make_token("bob", "operator").await,
    );
    let asked = async |token: &str, method: Method, path: &str, body: &Value| {
        send(server.client.request(method, server.url(path)).bearer_auth(token).json(body)).await
    };
    let new = json!({"name": "a.bin", "bytes": 4});
    asked(&viewer, Method::POST, "/uploads", &new).await.problem(403, "not_allowed");
    let upload = asked(&ada, Method::POST, "/uploads", &new).await.ok();
    let path = format!("/uploads/{}", id(&upload));
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        for (token, status, code) in [(&viewer, 403, "not_allowed"), (&bob, 404, "not_found")] {
            let request = server.client.request(method.clone(), server.url(&path)).bearer_auth(token);
            send(request.header("upload-offset", "0").body("abcd")).await.problem(status, code);
        }
    }
    let bare = server.client.request(Method::GET, server.url(&path));
    send(bare).await.problem(401, "not_signed_in");
    let sent =
        server.client.patch(server.url(&path)).bearer_auth(&ada).header("upload-offset", "0").body("abcd");
    assert_eq!(send(sent).await.status, 204);
    let body = json!({"task": "checksum", "items": [{"upload": id(&upload)}]});
    for other in [&bob, &server.token] {
        let refused = asked(other, Method::POST, "/batches", &body).await.problem(422, "invalid");
        assert!(refused["detail"].as_str().unwrap().contains("another's"), "{refused}");
    }
    asked(&ada, Method::POST, "/batches", &body).await.ok();

    for (bad, status, code) in [
        (json!({"name": "", "bytes": 1}), 422, "invalid"),
        (json!({"name": "x".repeat(1025), "bytes": 1}), 422, "invalid"),
        (json!({"name": "a\u{0}b", "bytes": 1}), 422, "invalid"),
        (json!({"name": "a"}), 422, "invalid"),
        (json!({"name": "a", "bytes": -1}), 422, "invalid"),
        (json!({"name": "a", "bytes": 1, "offset": 0}), 422, "invalid"),
        (json!({"name": "a", "bytes": 10_001}), 413, "too_large"),
    ] {
        asked(&ada, Method::POST, "/uploads", &bad).await.problem(status, code);
    }
    let upload = asked(&ada, Method::POST, "/uploads", &new).await.ok();
    let path = format!("/uploads/{}", id(&upload));
    for offset in [None, Some(""), Some("-1"), Some("x"), Some("1.0")] {
        let mut request = server.client.patch(server.url(&path)).bearer_auth(&ada).body("abcd");
        if let Some(offset) = offset {
            request = request.header("upload-offset", offset);
        }
        send(request).await.problem(400, "malformed");
    }
    for _more in 0..3 {
        asked(&ada, Method::POST, "/uploads", &json!({"name": "a", "bytes": 10_000})).await.ok();
    }
    let refused = asked(&ada, Method::POST, "/uploads", &json!({"name": "a", "bytes": 10_000})).await;
    assert!(!refused.header("retry-after").is_empty());
    assert!(refused.problem(429, "too_many")["detail"].as_str().unwrap().contains("40000 bytes"));
    asked(&bob, Method::POST, "/uploads", &new).await.ok();
    for _more in 0..996 {
        asked(&ada, Method::POST, "/uploads", &json!({"name": "a", "bytes": 1})).await.ok();
    }
    let refused = asked(&ada, Method::POST, "/uploads", &json!({"name": "a", "bytes": 1})).await;
    assert!(refused.problem(429, "too_many")["detail"].as_str().unwrap().contains("1000 uploads"));
}

/// The head of a PATCH whose body is sent by hand.
async fn patch_by_hand(server: &TestServer, upload: &str, offset: usize, length: &str) -> RawRequest {
    let headers = [format!("Upload-Offset: {offset}"), length.to_owned()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    RawRequest::begin(server, "PATCH", &format!("/api/v1/uploads/{upload}"), &headers).await
}

#[tokio::test]
async fn a_cut_body_keeps_what_came_and_a_newer_request_goes_first() {
    let server = TestServer::start().await;
    let whole = content(2 * MIB);
    let upload = announced(&server, "cut.bin", whole.len()).await;
    let mut cut = patch_by_hand(&server, &upload, 0, &format!("Content-Length: {}", whole.len())).await;
    cut.send(&whole[..700_001]).await;
    cut.cut().await;
    assert_eq!(until_offset(&server, &upload, 700_001).await, 700_001, "all that came");

    // The connection is there, but nothing comes any more: whoever comes next does not wait for it.
    let headers = "Transfer-Encoding: chunked\r\nExpect: 100-continue";
    let mut stalled = patch_by_hand(&server, &upload, 700_001, headers).await;
    stalled.told_to_go_on().await;
    stalled.chunk(&whole[700_001..800_000]).await;
    let newer = piece(&server, &upload, 700_000, Vec::new());
    let refused = tokio::time::timeout(Duration::from_secs(10), newer).await.expect("the older gives way");
    let now = number(&refused.problem(409, "wrong_offset"), "offset");
    assert!((700_001..=800_000).contains(&now), "{now}");
    let (status, text) = stalled.answer().await;
    assert_eq!(status, 503, "{text}");
    assert_eq!(rest(&server, &upload, &whole).await, usize::try_from(now).unwrap());
    assert_same(&server, &upload, "cut.bin", &whole).await;
}

/// Kills the server in mid-piece, and goes on; the file is the same.
async fn killed_in_mid_piece(server: &mut TestServer) {
    let whole = content(37 * MIB + 12_345);
    let upload = announced(server, "killed.bin", whole.len()).await;
    let (mut from, mut kills) = (0, 0);
    while kills < 3 {
        let mut request = patch_by_hand(server, &upload, from, "Transfer-Encoding: chunked").await;
        let enough = from + 9 * MIB;
        for chunk in whole[from..enough].chunks(64 * 1024) {
            request.chunk(chunk).await;
        }
        until_offset(server, &upload, from + 8 * MIB).await;
        server.kill().await;
        server.spawn().await;
        let now = offset(server, &upload).await;
        assert!((from + 8 * MIB..=enough).contains(&now), "what was told is there: {now} after {from}");
        (from, kills) = (now, kills + 1);
    }
    // A piece that was answered is there after a kill, whatever its size.
    let reply = piece(server, &upload, from, whole[from..from + 4_321].to_vec()).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    server.kill().await;
    server.spawn().await;
    assert_eq!(offset(server, &upload).await, from + 4_321);
    rest(server, &upload, &whole).await;
    assert_same(server, &upload, "killed.bin", &whole).await;
}

#[tokio::test]
async fn the_server_is_killed_in_mid_piece() {
    killed_in_mid_piece(&mut TestServer::start().await).await;
}

#[tokio::test]
async fn the_server_is_killed_in_mid_piece_of_a_bucket() {
    let Some(s3) = S3Server::start().await else { return };
    let settings = s3.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
    let mut server = TestServer::start_with(&settings).await;
    killed_in_mid_piece(&mut server).await;
    // Smaller than a part, in two pieces; and nothing is left aside.
    let whole = content(70_000);
    let upload = announced(&server, "small.bin", whole.len()).await;
    piece(&server, &upload, 0, whole[..30_000].to_vec()).await;
    rest(&server, &upload, &whole).await;
    assert_same(&server, &upload, "small.bin", &whole).await;
    let gone = announced(&server, "gone.bin", 30 * MIB).await;
    piece(&server, &gone, 0, content(9 * MIB)).await;
    assert_eq!(server.delete(&format!("/uploads/{gone}")).await.status, 204);
    let aside = s3.objects().iter().filter(|path| path.to_string_lossy().contains("/uploads/")).count();
    assert_eq!((aside, s3.parts()), (0, 0), "nothing is left of pieces");
}

#[tokio::test]
async fn pieces_go_to_several_nodes_by_turns() {
    let Some(s3) = S3Server::start().await else { return };
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database();
    let bucket = s3.settings();
    let settings: Vec<(&str, &str)> = [("MILEPOST_DATABASE_URL", url.as_str())]
        .into_iter()
        .chain(bucket.iter().map(|(key, value)| (&**key, &**value)))
        .collect();
    let mut nodes = [TestServer::bare(&settings), TestServer::bare(&settings)];
    let token = nodes[0].make_token("admin", "admin").await;
    for (node, name) in nodes.iter_mut().zip(["one", "two"]) {
        (node.name, node.token) = (name.to_owned(), token.clone());
        node.spawn().await;
    }
    let whole = content(20 * MIB + 1);
    let upload = announced(&nodes[0], "turns.bin", whole.len()).await;
    let (mut from, mut node) = (0, 0);
    while from < whole.len() {
        let to = (from + 3 * MIB + 77).min(whole.len());
        let reply = piece(&nodes[node], &upload, from, whole[from..to].to_vec()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("upload-offset")),
            (204, &*to.to_string()),
            "{reply:?}"
        );
        (from, node) = (to, 1 - node);
    }
    assert_same(&nodes[1], &upload, "turns.bin", &whole).await;
}
