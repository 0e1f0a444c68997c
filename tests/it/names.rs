//! Names that are not what they look like: what turns the direction of writing, or is not seen at all.
//!
//! Of what people name it is refused; files keep the names that they came with, which are shown so that nothing is hidden.

use std::io::{Cursor, Read as _};

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::support::{TestServer, id, send};

const UNSEEN: [char; 19] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}', '\u{200e}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{3164}', '\u{0}',
    '\u{9b}', '\n',
];
const TASKS: &str = r#"
[[task]]
name = "leaves"
input = "file"
command = ["cp", "{file}", "{out}/{stem}.{ext}"]
"#;

#[tokio::test]
async fn what_people_name_can_be_seen() {
    let server = TestServer::start().await;
    let batch = server.demo(1, json!({})).await;
    let path = format!("/batches/{}", id(&batch));
    for unseen in UNSEEN {
        let name = format!("June{unseen}photos");
        let what = format!("{unseen:?}");
        let body = json!({"task": "demo", "name": name, "items": [1]});
        let refused = server.post_json("/batches", &body).await.problem(422, "invalid");
        assert!(refused["detail"].as_str().unwrap().contains("name"), "{what}: {refused}");
        let url =
            reqwest::Url::parse_with_params(&server.url("/batches"), [("task", "demo"), ("name", &name)]);
        let streamed =
            server.client.post(url.unwrap()).bearer_auth(&server.token).header("content-type", "text/plain");
        send(streamed.body("1\n")).await.problem(422, "invalid");
        let form = Form::new().text("task", "checksum").text("name", name.clone());
        let form = form.part("file", Part::bytes(&b"x"[..]).file_name("a"));
        send(server.request(Method::POST, "/batches").multipart(form)).await.problem(422, "invalid");
        let patch = server.request(Method::PATCH, &path).json(&json!({"name": name}));
        send(patch).await.problem(422, "invalid");
        let then = json!({"task": "demo", "items": [1], "options": {"then": {"task": "demo", "name": name, "items": [1]}}});
        server.post_json("/batches", &then).await.problem(422, "invalid");
        let schedule =
            json!({"name": name, "cron": "0 4 * * *", "batch": {"task": "demo", "items": {"count": 1}}});
        server.post_json("/schedules", &schedule).await.problem(422, "invalid");
        for (place, body) in
            [("/people", json!({"name": name, "role": "viewer"})), ("/tokens", json!({"name": name}))]
        {
            server.post_json(place, &body).await.problem(422, "invalid");
        }
    }
    let listed = server.get("/batches").await.ok();
    assert_eq!(listed["batches"].as_array().unwrap().len(), 1, "nothing was made: {listed}");
    // What only joins its neighbours is part of words and pictures.
    for name in ["می\u{200c}خواهم", "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}", "שלום", "Grüße – 照片"]
    {
        let body = json!({"task": "demo", "name": name, "items": [1]});
        assert_eq!(server.post_json("/batches", &body).await.ok()["name"], name);
    }
}

#[tokio::test]
async fn files_keep_their_names_and_show_what_is_in_them() {
    let mut server = TestServer::bare(&[("MILEPOST_CONFIG", "milepost.toml")]);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    let name = "photo\u{202e}gnp.exe";
    let form = Form::new().text("task", "leaves").part("file", Part::bytes(&b"x"[..]).file_name(name));
    let batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    let batch = server.finished(&batch).await;
    let item = server.get(&format!("/batches/{}/items/1", id(&batch))).await.ok();
    assert_eq!((&item["input"]["name"], &item["files"][0]["name"]), (&json!(name), &json!(name)), "{item}");

    let page = server.client.get(format!("{}/batches/{}", server.base, id(&batch)));
    let page = send(page.bearer_auth(&server.token).header("accept", "text/html")).await;
    assert!(page.text.contains("photo\u{fffd}gnp.exe"), "{}", page.text);
    let file = format!("/batches/{}/items/1/files/{}", id(&batch), "photo%E2%80%AEgnp.exe");
    let file = server.get(&file).await;
    let disposition = file.header("content-disposition");
    assert!(disposition.contains("photo_gnp.exe") && !disposition.contains("%E2%80%AE"), "{disposition}");
    let zip = server.request(Method::GET, &format!("/batches/{}/results?format=zip", id(&batch)));
    let zip = zip.send().await.unwrap().bytes().await.unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(names.contains(&"000001-photo_gnp.exe".to_owned()), "{names:?}");
    let mut manifest = String::new();
    zip.by_name("manifest.ndjson").unwrap().read_to_string(&mut manifest).unwrap();
    let told: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    assert_eq!(told["files"][0]["name"], name, "{manifest}");
}
