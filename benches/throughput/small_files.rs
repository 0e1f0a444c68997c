//! Many small files by one form, beside copying them with `cp -r` and `sync`, in turns.
//!
//! Both take the same files to the same disk, and are over when all of them survive a power cut.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use serde_json::Value;

use crate::report::{self, Table};
use crate::server::{Part, Server};
use crate::{Fault, Settings};

/// Files of one form.
const FILES: usize = 10_000;
/// Bytes of each.
const FILE_BYTES: usize = 512;
/// What parts the files of the form.
const BOUNDARY: &str = "----------------------------of-the-bench";

/// Measures, and prints a table.
pub async fn measure(settings: &Settings) -> Result<(), Fault> {
    let (mut copied, mut submitted, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..settings.rounds {
        let folder = tempfile::tempdir_in(&settings.folder)?;
        // Others in each round: equal contents would be stored once.
        let body = make_files(&folder.path().join("from"), round as u64)?;
        sync()?;
        let begun = Instant::now();
        let done = Command::new("cp").arg("-r").args(["from", "to"]).current_dir(folder.path()).status()?;
        if !done.success() {
            return Err("cp failed".into());
        }
        sync()?;
        copied.push(begun.elapsed().as_secs_f64());
        let server = Server::start(&settings.binary, folder.path(), Part::ALONE).await?;
        match submit(&server, body, settings.patience).await {
            Ok((answered, ended)) => {
                submitted.push(answered);
                whole.push(ended);
            }
            Err(fault) => return Err(server.explain(fault)),
        }
        server.stop().await?;
    }
    let mut table = Table::new(&["10,000 files of 512 bytes", "median", "lowest to highest", "of the limit"]);
    let limit = report::median(&copied);
    for (what, values) in [
        ("limit: `cp -r` and `sync`", &copied),
        ("one form: first byte to 201", &submitted),
        ("one form of `checksum`: first byte to the end of all items", &whole),
    ] {
        let middle = report::median(values);
        let share = format!("{:.2} ×", middle / limit);
        table.row(&[what, &report::seconds(middle), &report::spread(values, report::seconds), &share]);
    }
    println!("\n{}", table.text());
    Ok(())
}

fn sync() -> Result<(), Fault> {
    if Command::new("sync").status()?.success() { Ok(()) } else { Err("sync failed".into()) }
}

/// Makes the files; the form that holds them.
fn make_files(folder: &Path, seed: u64) -> Result<Vec<u8>, Fault> {
    std::fs::create_dir(folder)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut body = String::new();
    write!(body, "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"task\"\r\n\r\nchecksum\r\n")?;
    let mut body = body.into_bytes();
    for number in 0..FILES {
        let mut content = [0; FILE_BYTES];
        random.fill_bytes(&mut content);
        std::fs::write(folder.join(format!("{number}.bin")), content)?;
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{number}.bin\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Ok(body)
}

/// Seconds to the answer, and to the end of the batch.
async fn submit(server: &Server, body: Vec<u8>, patience: Duration) -> Result<(f64, f64), Fault> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let api = format!("{}/api/v1/batches", server.base);
    let begun = Instant::now();
    let request = client.post(&api).bearer_auth(&server.token).body(body);
    let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let answer = request.send().await?;
    let answered = begun.elapsed().as_secs_f64();
    if answer.status() != 201 {
        return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
    }
    let batch: Value = answer.json().await?;
    let url = format!("{api}/{}", batch["id"].as_str().ok_or("a batch without id")?);
    loop {
        let now: Value = client.get(&url).bearer_auth(&server.token).send().await?.json().await?;
        if now["state"] == "succeeded" && now["succeeded"] == FILES {
            return Ok((answered, begun.elapsed().as_secs_f64()));
        }
        if begun.elapsed() > patience || now["failed"] != 0 {
            return Err(format!("not all has ended well: {now}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
