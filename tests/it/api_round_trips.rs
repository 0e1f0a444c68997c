//! Results that go somewhere else and come back: into a submit, into a spreadsheet, onto a disk.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::support::{TestServer, id, number, send};

const CHECKS: &str =
    "task=csv-check&params=%7B%22columns%22%3A%7B%22id%22%3A%22integer%22%2C%22age%22%3A%22integer%22%7D%7D";

async fn export(server: &TestServer, batch: &Value, query: &str) -> String {
    server.get(&format!("/batches/{}/results?format=csv{query}", id(batch))).await.text
}

async fn checked(server: &TestServer, table: String) -> Value {
    let batch = server.post_body(&format!("/batches?{CHECKS}"), "text/csv", table).await.ok();
    server.finished(&batch).await
}

#[tokio::test]
async fn every_export_can_be_submitted_again() {
    let server = TestServer::start().await;
    let rows = "1,36,\"a, \"\"b\"\"\"\n2,x,\n3,40,+49 30\n4,y,18446744073709551616.10\n";
    let first = checked(&server, format!("id,age,note\n{rows}")).await;
    let table = export(&server, &first, "").await;
    assert!(table.starts_with("id,age,note,milepost_seq,milepost_state,milepost_error,valid\n"), "{table}");
    // All of it, again and again: it stays as it is.
    let batch = checked(&server, table).await;
    let table = export(&server, &batch, "").await;
    let header = "id,age,note,valid,milepost_seq,milepost_state,milepost_error,result_valid\n";
    assert!(table.starts_with(header), "{table}");
    let mut again = table.clone();
    for _round in 0..3 {
        let batch = checked(&server, again.clone()).await;
        again = export(&server, &batch, "").await;
        assert_eq!(again, table);
    }
    // The failed rows, again and again, and mended at last.
    let mut failed = export(&server, &first, "&only=failed").await;
    for _round in 0..3 {
        let batch = checked(&server, failed.clone()).await;
        assert_eq!(number(&batch, "failed"), 2, "{failed}");
        failed = export(&server, &batch, "&only=failed").await;
        let header = failed.lines().next().unwrap();
        let names: BTreeSet<&str> = header.split(',').collect();
        assert_eq!(names.len(), header.split(',').count(), "{header}");
        assert!(header.starts_with("id,age,note,"), "{header}");
        assert!(failed.lines().nth(2).unwrap().starts_with("4,y,18446744073709551616.10,"), "{failed}");
    }
    let mended = failed.replace(",x,", ",1,").replace(",y,", ",2,");
    assert_eq!(checked(&server, mended).await["state"], "succeeded");
}

#[tokio::test]
async fn a_spreadsheet_is_given_its_mark() {
    let server = TestServer::start().await;
    let batch =
        server.finished(&server.post_body("/batches?task=demo", "text/csv", "näme\né\n").await.ok()).await;
    let marked = export(&server, &batch, "&bom=true").await;
    let plain = export(&server, &batch, "").await;
    assert_eq!(marked, format!("\u{feff}{plain}"));
    assert_eq!(plain, export(&server, &batch, "&bom=false").await);
    // With its mark it can be submitted as well.
    let again = server.post_body("/batches?task=demo", "text/csv", marked).await.ok();
    server.finished(&again).await;
    assert!(export(&server, &again, "").await.starts_with("näme,milepost_seq,"));
    let path = format!("/batches/{}/results", id(&batch));
    server.get(&format!("{path}?format=csv&bom=perhaps")).await.problem(400, "malformed");
    server.get(&format!("{path}?format=ndjson&bom=true")).await.problem(400, "malformed");
}

const TASKS: &str = r#"
[[task]]
name = "copy"
input = "file"
command = ["sh", "-c", "for name in 'A.txt' 'a.txt' 'what?.txt' 'trail.' ; do cp \"$1\" \"$2/$name\" || exit 1; done; mkdir \"$2/CON\" && cp \"$1\" \"$2/CON/x\"", "sh", "{file}", "{out}"]

[[task]]
name = "refuse"
input = "line"
command = ["sh", "-c", "printf '{\"error\":\"cannot open %s: no such album\",\"retry\":false}\\n' \"$1\"", "sh", "{line}"]
"#;

async fn start_with_tasks() -> TestServer {
    let mut server = TestServer::start().await;
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.kill().await;
    server.spawn().await;
    server
}

#[tokio::test]
async fn an_archive_keeps_folders_and_names_that_windows_takes() {
    let server = start_with_tasks().await;
    let mut form = Form::new().text("task", "copy");
    for name in ["a/same.png", "b/same.png", "nul/12:30.png"] {
        form = form.part("file", Part::text(name).file_name(name));
    }
    let batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    assert_eq!(server.finished(&batch).await["state"], "succeeded");
    let path = server.url(&format!("/batches/{}/results?format=zip", id(&batch)));
    let bytes =
        server.client.get(path).bearer_auth(&server.token).send().await.unwrap().bytes().await.unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names.len(), 1 + 3 * 5);
    for name in
        ["a/000001-A.txt", "a/000001-a-2.txt", "b/000002-what_.txt", "_nul/000003-trail_", "a/_CON/000001-x"]
    {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), names.len());
    let mut manifest = String::new();
    zip.by_name("manifest.ndjson").unwrap().read_to_string(&mut manifest).unwrap();
    for line in manifest.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (files, entries) = (row["files"].as_array().unwrap(), row["entries"].as_array().unwrap());
        assert_eq!((files.len(), entries.len()), (5, 5));
        for (file, entry) in files.iter().zip(entries) {
            let mut content = String::new();
            zip.by_name(entry.as_str().unwrap()).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, row["input"]["name"], "{file}");
        }
    }
}

#[tokio::test]
async fn failures_that_differ_by_their_input_are_one_family() {
    let server = start_with_tasks().await;
    let names: Vec<String> = (0..60_u32)
        .map(|at| {
            ["anna", "bob", "carla", "dieter"][at as usize % 4].to_owned()
                + &"qwertzuiop".repeat(3)[at as usize / 4..][..5]
        })
        .collect();
    let batch = server.post_json("/batches", &json!({"task": "refuse", "items": names})).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "failed"), 60);
    let families = server.get(&format!("/batches/{}/families", id(&batch))).await.ok();
    let families = families["families"].as_array().unwrap();
    assert_eq!((families.len(), number(&families[0], "count")), (1, 60), "{families:?}");
}
