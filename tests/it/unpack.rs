//! Tests of unpacking: any tree comes back the same, and what is hostile is refused before anything of it is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

use milepost::formats::file_sources::unpack::{UnpackLimits, unpack_into};
use milepost::formats::item_sink::ItemSink;
use milepost::protocol::{ApiError, ErrorCode, Json};
use proptest::prelude::*;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::support::{Reply, TestServer, number, send};

/// Keeps what comes.
#[derive(Default)]
struct Kept {
    files: Vec<(String, Vec<u8>)>,
}

impl ItemSink for Kept {
    type File = Vec<u8>;

    fn set_columns(&mut self, _columns: &[String]) -> Result<(), ApiError> {
        Ok(())
    }

    async fn push(&mut self, _item: &Json) -> Result<(), ApiError> {
        Ok(())
    }

    async fn push_uploads(&mut self, _ids: Vec<String>) -> Result<(), ApiError> {
        Ok(())
    }

    fn scratch_file(&self) -> Result<File, ApiError> {
        Ok(tempfile::tempfile().unwrap())
    }

    async fn begin_file(&mut self) -> Result<Vec<u8>, ApiError> {
        Ok(Vec::new())
    }

    async fn write_file(&mut self, file: &mut Vec<u8>, chunk: &[u8]) -> Result<(), ApiError> {
        file.extend_from_slice(chunk);
        Ok(())
    }

    async fn push_file(&mut self, file: Vec<u8>, name: &str) -> Result<(), ApiError> {
        self.files.push((name.to_owned(), file));
        Ok(())
    }
}

type Writer = ZipWriter<File>;

fn zipped(fill: impl FnOnce(&mut Writer)) -> File {
    let mut writer = ZipWriter::new(tempfile::tempfile().unwrap());
    fill(&mut writer);
    let mut file = writer.finish().unwrap();
    file.rewind().unwrap();
    file
}

fn add(writer: &mut Writer, name: &str, content: &[u8]) {
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
}

async fn unpack(zip: File, bytes_max: u64) -> (Vec<(String, Vec<u8>)>, Result<(), ApiError>) {
    let mut kept = Kept::default();
    let ended = unpack_into(zip, "a.zip", UnpackLimits { bytes_max }, &mut kept).await;
    (kept.files, ended)
}

#[tokio::test]
async fn folders_stay_in_names_and_what_macos_adds_is_left_out() {
    let zip = zipped(|zip| {
        zip.add_directory("photos/", SimpleFileOptions::default()).unwrap();
        add(zip, "photos/a.jpg", b"a");
        add(zip, "__MACOSX/photos/._a.jpg", b"x");
        add(zip, "photos/.DS_Store", b"x");
        add(zip, "inner.zip", b"PK not looked into");
        add(zip, "Grüße.txt", b"");
    });
    let (files, ended) = unpack(zip, 1 << 20).await;
    ended.unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _content)| &**name).collect();
    assert_eq!(names, ["photos/a.jpg", "inner.zip", "Grüße.txt"]);
}

#[tokio::test]
async fn hostile_entries_are_refused_before_anything_is_taken() {
    for name in ["../up.txt", "a/../../up.txt", "/etc/passwd", "C:\\x.txt", "a\\..\\b", "\\\\host\\share"] {
        let zip = zipped(|zip| {
            add(zip, "good.txt", b"good");
            add(zip, name, b"bad");
        });
        let (files, ended) = unpack(zip, 1 << 20).await;
        let fault = ended.unwrap_err();
        assert!(files.is_empty() && fault.code == ErrorCode::Invalid, "{name}: {fault}");
        assert!(fault.detail.contains(&format!("{name:?}")), "{name}: {fault}");
    }
    let link = zipped(|zip| zip.add_symlink("l", "/etc/passwd", SimpleFileOptions::default()).unwrap());
    assert!(unpack(link, 1 << 20).await.1.unwrap_err().detail.contains("is a link"));
    let zip = zipped(|zip| add(zip, "zeros", &vec![0; 4_000]));
    assert_eq!(unpack(zip, 3_999).await.1.unwrap_err().code, ErrorCode::TooLarge);
    let bomb = zipped(|zip| add(zip, "zeros", &vec![0; 80 * 1024 * 1024]));
    let (files, ended) = unpack(bomb, u64::MAX).await;
    assert_eq!((files.len(), ended.unwrap_err().code), (0, ErrorCode::TooLarge));
    let mut no_zip = tempfile::tempfile().unwrap();
    no_zip.write_all(b"no zip at all").unwrap();
    assert_eq!(unpack(no_zip, 1 << 20).await.1.unwrap_err().code, ErrorCode::Invalid);
}

#[tokio::test]
async fn a_damaged_content_names_its_entry() {
    let mut zip = zipped(|zip| {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        add(zip, "first.txt", b"first");
        zip.start_file("second.txt", stored).unwrap();
        zip.write_all(b"the content of the second").unwrap();
    });
    let mut bytes = Vec::new();
    zip.read_to_end(&mut bytes).unwrap();
    let at = memchr::memmem::find(&bytes, b"the content").unwrap();
    bytes[at] = b'T';
    let mut damaged = tempfile::tempfile().unwrap();
    damaged.write_all(&bytes).unwrap();
    damaged.rewind().unwrap();
    let (files, ended) = unpack(damaged, 1 << 20).await;
    assert_eq!(files, [("first.txt".to_owned(), b"first".to_vec())]);
    let fault = ended.unwrap_err();
    assert!(fault.detail.contains("\"second.txt\""), "{fault}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_tree_comes_back_the_same(
        tree in proptest::collection::btree_map("[a-zé日 ]{1,6}(/[a-z.]{1,4}x){0,3}", proptest::collection::vec(any::<u8>(), 0..300), 0..12),
    ) {
        let zip = zipped(|zip| tree.iter().for_each(|(name, content)| add(zip, name, content)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (files, ended) = runtime.block_on(unpack(zip, 1 << 20));
        prop_assert!(ended.is_ok(), "{:?}", ended);
        prop_assert_eq!(files.into_iter().collect::<BTreeMap<_, _>>(), tree);
    }
}

async fn post(server: &TestServer, zip: File, unpack: &str) -> Reply {
    let mut zip = zip;
    let mut bytes = Vec::new();
    zip.read_to_end(&mut bytes).unwrap();
    let form = Form::new()
        .text("task", "checksum")
        .text("name", "zipped")
        .text("unpack", unpack.to_owned())
        .part("file", Part::bytes(&b"plain"[..]).file_name("plain.txt"))
        .part("file", Part::bytes(bytes).file_name("All.ZIP"));
    send(server.request(reqwest::Method::POST, "/batches").multipart(form)).await
}

#[tokio::test]
async fn a_zip_of_a_form_becomes_its_files_where_asked_for() {
    let server = TestServer::start().await;
    let tree = || {
        zipped(|zip| {
            add(zip, "a/one.txt", b"one");
            add(zip, "a/b/two.txt", &[b'x'; 200_000]);
        })
    };
    let batch = post(&server, tree(), "true").await.ok();
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 3, "{done}");
    let inputs = server.inputs(&batch).await;
    let names: Vec<_> = inputs.iter().map(|input| input["name"].clone()).collect();
    assert_eq!(names, [json!("plain.txt"), json!("a/one.txt"), json!("a/b/two.txt")]);
    assert_eq!(inputs[2]["bytes"], 200_000);
    let batch = post(&server, tree(), "false").await.ok();
    server.finished(&batch).await;
    assert_eq!(server.inputs(&batch).await[1]["name"], "All.ZIP", "as it came");

    let problem = post(&server, zipped(|zip| add(zip, "../up", b"x")), "true").await.problem(422, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("\"../up\""), "{problem}");
    // Where the file before the zip was stored by then, that stays, cancelled; else nothing does.
    let newest = server.finished(&server.named("zipped").await.unwrap()).await;
    if newest["id"] != batch["id"] {
        assert_eq!(newest["state"], "cancelled", "{newest}");
        assert!(newest["reason"].as_str().unwrap().contains("../up"), "{newest}");
    }
}

#[tokio::test]
async fn a_zip_as_the_body_becomes_its_files() {
    let server = TestServer::start().await;
    let mut bytes = Vec::new();
    zipped(|writer| {
        for (name, text) in [("a/one.txt", "one"), ("two.txt", "two")] {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
    })
    .read_to_end(&mut bytes)
    .unwrap();
    let batch = server.post_body("/batches?task=checksum", "application/zip", bytes.clone()).await.ok();
    assert_eq!(number(&server.finished(&batch).await, "succeeded"), 2);
    let names: Vec<_> = server.inputs(&batch).await.iter().map(|input| input["name"].clone()).collect();
    assert_eq!(names, ["a/one.txt", "two.txt"]);
    let cut = bytes[..bytes.len() - 10].to_vec();
    server.post_body("/batches?task=checksum", "application/zip", cut).await.problem(422, "invalid");
    server.post_body("/batches?task=demo", "application/zip", bytes).await.problem(422, "invalid");
    assert_eq!(server.get("/batches").await.ok()["batches"].as_array().unwrap().len(), 1);
}
