//! The task `image` on files that would take the server's memory: bounded, and told why they are refused.

use flate2::{Compress, Compression, FlushCompress, Status};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::support::process::{MIB, peak_bytes};
use super::support::{TestServer, send};

/// Bytes that these pictures may add to the server's memory at the most.
const GROWTH_MAX: u64 = 128 * MIB;

/// The stream of zlib of so many mebibytes of zeros.
fn zeros(mebibytes: u64) -> Vec<u8> {
    let mut packed = Compress::new(Compression::fast(), true);
    let mut content = Vec::with_capacity(16 * 1024 * usize::try_from(mebibytes).unwrap() + 1024);
    let piece = vec![0; 1024 * 1024];
    for _ in 0..mebibytes {
        packed.compress_vec(&piece, &mut content, FlushCompress::None).unwrap();
    }
    let ended = packed.compress_vec(&[], &mut content, FlushCompress::Finish).unwrap();
    assert_eq!((ended, packed.total_in()), (Status::StreamEnd, mebibytes * MIB));
    content
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut check = flate2::Crc::new();
    check.update(kind);
    check.update(content);
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], kind, content, &check.sum().to_be_bytes()].concat()
}

/// A PNG of RGB and `side` pixels a side, black, with more chunks before its pixels.
fn png(side: u32, depth: u8, chunks: &[u8]) -> Vec<u8> {
    let mut head = [side.to_be_bytes(), side.to_be_bytes()].concat();
    head.extend([depth, 2, 0, 0, 0]);
    let bytes = u64::from(side) * (1 + u64::from(side) * 3 * u64::from(depth / 8));
    let pixels = zeros(bytes.div_ceil(MIB));
    let parts = [chunk(b"IHDR", &head), chunks.to_vec(), chunk(b"IDAT", &pixels), chunk(b"IEND", &[])];
    [b"\x89PNG\r\n\x1a\n".to_vec(), parts.concat()].concat()
}

/// What became of each of these files.
async fn made(server: &TestServer, files: Vec<Vec<u8>>, params: &Value) -> Vec<Value> {
    let mut form = Form::new().text("task", "image").text("params", params.to_string());
    for file in files {
        form = form.part("file", Part::bytes(file).file_name("a.png"));
    }
    let batch = send(server.request(Method::POST, "/batches").multipart(form)).await.ok();
    server.finished(&batch).await;
    server.rows(&batch).await
}

#[tokio::test]
async fn small_files_take_little_memory() {
    let server = TestServer::start_with(&[("MILEPOST_SERVER_SLOTS", "4")]).await;
    // Whatever comes with the first batch is there.
    made(&server, vec![png(64, 8, &[])], &json!({"width": 8})).await;
    let before = peak_bytes(&server);
    let packed = zeros(128);
    let profile = chunk(b"iCCP", &[b"icc\0\0", &packed[..]].concat());
    let text = chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\x01\0\0\0", &packed[..]].concat());
    let files = vec![png(64, 8, &profile), png(64, 8, &profile), png(64, 8, &text), png(4_000, 16, &[])];
    let rows = made(&server, files, &json!({"width": 8})).await;
    let grown = peak_bytes(&server) - before;
    assert!(rows.iter().all(|row| row["state"] == "succeeded"), "{rows:?}");
    let left_out =
        "The colour profile was left out: it is damaged, over 1 MiB, or of another kind than the picture.";
    assert_eq!(rows[0]["result"]["notes"], json!([left_out]));
    assert_eq!(rows[3]["result"]["notes"], json!(["16 bits a sample became 8."]));
    assert!(grown < GROWTH_MAX, "{} MiB", grown / MIB);
    let refused = made(&server, vec![png(5_000, 8, &[])], &json!({"format": "webp", "lossless": true})).await;
    let error = refused[0]["error"].as_str().unwrap();
    assert!(error.contains("MiB of memory, more than the 1024 allowed"), "{error}");
    assert!(peak_bytes(&server) - before < GROWTH_MAX);
}
