//! Multipart forms: files in, files out; what a plain HTML form posts.
//!
//! A file is stored as it came under the name it came with, and given back as such.

use std::io::Read;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::support::raw::RawRequest;
use super::support::{Reply, TestServer, id, number, send};

async fn post_form(server: &TestServer, form: Form) -> Reply {
    send(server.request(Method::POST, "/batches").multipart(form)).await
}

fn file(name: &str, content: impl Into<Vec<u8>>) -> Part {
    Part::bytes(content.into()).file_name(name.to_owned())
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let server = TestServer::start().await;
    let large = vec![b'x'; 300_000];
    let form = Form::new()
        .text("task", "checksum")
        .text("name", "three files")
        .text("options", r#"{"concurrency":2}"#)
        .part("file", file("a/b c.txt", "hello"))
        .part("file", file("", ""))
        .part("file", file("empty", ""))
        .part("file", file("large.bin", large.clone()));
    let reply = post_form(&server, form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let batch = reply.json();
    let done = server.finished(&batch).await;
    assert_eq!((number(&done, "succeeded"), &done["name"]), (3, &json!("three files")), "{done}");
    let rows = server.rows(&batch).await;
    assert_eq!(rows[0]["input"]["name"], "a/b c.txt");
    assert_eq!(rows[0]["input"]["bytes"], 5);
    assert!(rows[0]["input"].get("key").is_none(), "keys of the vault stay inside");
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(
        (&rows[0]["result"]["sha256"], &rows[2]["result"]["bytes"]),
        (&json!(sha256), &json!(300_000))
    );

    let content = server.get(&format!("/batches/{}/items/1/files/a/b%20c.txt", id(&batch))).await;
    assert_eq!((content.status.as_u16(), content.text.as_str()), (200, "hello"));
    assert!(content.header("content-disposition").starts_with("attachment"), "{content:?}");
    assert!(content.header("content-security-policy").contains("sandbox"), "{content:?}");
    assert_eq!(content.header("x-content-type-options"), "nosniff");
    let content = server.get(&format!("/batches/{}/items/3/files/large.bin", id(&batch))).await;
    assert_eq!(content.text.len(), large.len());
    server.get(&format!("/batches/{}/items/1/files/other", id(&batch))).await.problem(404, "not_found");
    server
        .get(&format!("/batches/{}/items/1/files/..%2F..%2Ftest.log", id(&batch)))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn files_of_items_come_as_an_archive() {
    let server = TestServer::start().await;
    let form = Form::new()
        .text("task", "image")
        .text("params", r#"{"width":8,"format":"png"}"#)
        .part("file", file("one.png", png(32, 16)))
        .part("file", file("broken.png", "no picture"))
        .part("file", file("two.png", png(16, 16)));
    let batch = post_form(&server, form).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!((number(&done, "succeeded"), number(&done, "failed")), (2, 1), "{done}");
    let path = format!("/batches/{}", id(&batch));
    let item = server.get(&format!("{path}/items/1")).await.ok();
    let name = item["files"][0]["name"].as_str().unwrap().to_owned();
    let archive = server.request(Method::GET, &format!("{path}/results?format=zip")).send().await.unwrap();
    assert_eq!(archive.headers()["content-type"], "application/zip");
    let bytes = archive.bytes().await.unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&format!("000001-{name}")), "{names:?}");
    let mut manifest = String::new();
    zip.by_name("manifest.ndjson").unwrap().read_to_string(&mut manifest).unwrap();
    assert_eq!(manifest.lines().count(), 3);
    let mut picture = Vec::new();
    zip.by_name(&format!("000001-{name}")).unwrap().read_to_end(&mut picture).unwrap();
    let picture = image::load_from_memory(&picture).unwrap();
    assert_eq!((picture.width(), picture.height()), (8, 4));
    let failed = server.get(&format!("{path}/results?format=csv&only=failed")).await;
    assert_eq!(failed.text.lines().count(), 2, "{failed:?}");
    assert!(failed.text.contains("broken.png"), "{failed:?}");
}

#[tokio::test]
async fn a_plain_html_form_makes_a_batch() {
    let server = TestServer::start().await;
    let form = Form::new()
        .text("task", "demo")
        .text("name", "")
        .text("kind", "lines")
        .text("param.duration_ms", "1")
        .text("param.spin", "on")
        .text("param.jitter", "")
        .text("option.priority", "3")
        .text("option.concurrency", "")
        .part("file", file("", ""))
        .text("csv", "")
        .text("lines", "one\r\ntwo\r\n");
    let batch = post_form(&server, form).await.ok();
    assert_eq!((&batch["params"]["duration_ms"], &batch["params"]["spin"]), (&json!(1), &json!(true)));
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!("one"), json!("two")]);

    let form = Form::new()
        .text("task", "csv-check")
        .text("params", r#"{"columns":{"none":{"required":false,"type":"integer"}}}"#)
        .text("kind", "csv")
        .part("csv", file("a.csv", "x;y\n1;2\n"));
    let batch = post_form(&server, form).await.ok();
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await, [json!({"x": "1", "y": "2"})]);

    let form = Form::new().text("task", "demo").text("kind", "count").text("count", "5");
    assert_eq!(number(&post_form(&server, form).await.ok(), "total"), 5);
}

#[tokio::test]
async fn forms_that_are_not_acceptable() {
    let server = TestServer::start_with(&[("MILEPOST_LIMITS_UPLOAD_BYTES_MAX", "8192")]).await;
    let form = || Form::new().text("task", "checksum");
    let one = || file("a", "x");
    post_form(&server, Form::new().part("file", one())).await.problem(422, "invalid");
    post_form(&server, form()).await.problem(422, "no_items");
    post_form(&server, form().text("colour", "red").part("file", one())).await.problem(422, "invalid");
    post_form(&server, form().text("params", "{").part("file", one())).await.problem(400, "malformed");
    post_form(&server, Form::new().text("task", "demo").part("file", one())).await.problem(422, "invalid");
    post_form(&server, Form::new().text("task", "none").part("file", one()))
        .await
        .problem(422, "unknown_task");
    post_form(&server, form().part("file", file("a", vec![0; 9_000]))).await.problem(413, "too_large");
    let late = form().text("name", "late").part("file", one()).text("params", "{}");
    post_form(&server, late).await.problem(422, "invalid");
    // Where the file was stored by then, what has come stays, cancelled.
    if let Some(late) = server.named("late").await {
        assert_eq!(server.finished(&late).await["state"], "cancelled");
    }

    let head = "--B\r\nContent-Disposition: form-data; name=\"task\"\r\n\r\nchecksum\r\n\
                --B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ncut\r\n\
                --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"whole\"\r\n\r\nabc\r\n\
                --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"half\"\r\n\r\nabc";
    let headers = ["Content-Type: multipart/form-data; boundary=B", "Content-Length: 5000"];
    let mut request = RawRequest::post(&server, "/batches", &headers).await;
    request.send(head.as_bytes()).await;
    let batch = loop {
        if let Some(batch) = server.named("cut").await {
            break batch;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    server.until(&batch, "one file came", |now| number(now, "total") == 1).await;
    request.cut().await;
    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], number(&done, "total")), (&json!("cancelled"), 1), "{done}");
}
