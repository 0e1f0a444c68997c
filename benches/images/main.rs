//! The task `image` beside `vipsthumbnail`, over the same large JPEGs, in the same rounds.
//!
//! Run by `cargo bench --bench images`. The photographs are made here: 4,000 by 3,000 pixels of slopes, edges and grain, about
//! 3 MB each. `vipsthumbnail` is one process over all of them; times of Milepost are those of the batch, from its first start to
//! its end, results stored and recorded. Without `vipsthumbnail` its rows are left out.
//!
//! ```text
//! MILEPOST_BIN   executable to measure    BENCH_ROUNDS   rounds (3)
//! BENCH_PHOTOS   photographs (24)
//! ```

#[path = "../throughput/process.rs"]
mod process;
#[path = "../throughput/report.rs"]
#[expect(dead_code, reason = "the other benches use the rest")]
mod report;
#[path = "../throughput/server.rs"]
#[expect(dead_code, reason = "the other benches use the rest")]
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Rgb, RgbImage};
use report::{Table, median, spread};
use reqwest::multipart::{Form, Part as FormPart};
use serde_json::{Value, json};
use server::{Part, Server};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whatever stops a measurement: said and given up.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Patience with one batch.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long before the start of a batch its files are sent.
const AHEAD: Duration = Duration::from_secs(5);
/// Quality of what is written, on both sides.
const QUALITY: u32 = 85;
/// What is made of each photograph: width in pixels and format, with the ending that `vipsthumbnail` knows it by.
const CASES: [(u32, &str, &str); 4] =
    [(320, "jpeg", "jpg"), (320, "webp", "webp"), (1_600, "jpeg", "jpg"), (1_600, "webp", "webp")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let number = |name: &str, default: u32| match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().map_err(|_form| format!("{name}: expected a number")),
        Err(_unset) => Ok(default),
    };
    let built = option_env!("CARGO_BIN_EXE_milepost").unwrap_or("target/release/milepost");
    let binary = std::env::var_os("MILEPOST_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
    let binary = binary.canonicalize().map_err(|fault| format!("{}: {fault}", binary.display()))?;
    let (rounds, photos) = (number("BENCH_ROUNDS", 3)?, number("BENCH_PHOTOS", 24)?);
    println!("{}\n", report::machine(&binary));
    let folder = tempfile::tempdir()?;
    let photos: Vec<PathBuf> =
        (1..=photos).map(|at| photograph(folder.path(), at)).collect::<Result<_, Fault>>()?;
    let has_vips = Command::new("vipsthumbnail").arg("--vips-version").stdout(Stdio::null()).status().is_ok();
    let mut rates = vec![(Vec::new(), Vec::new()); CASES.len()];
    let mut peaks = Vec::new();
    for round in 1..=rounds {
        let data = tempfile::tempdir_in(folder.path())?;
        let server = Server::start(&binary, data.path(), Part::ALONE).await?;
        for ((width, format, ending), (ours, theirs)) in CASES.iter().zip(&mut rates) {
            if has_vips {
                theirs.push(vipsthumbnail(data.path(), &photos, *width, ending)?);
            }
            ours.push(batch(&server, &photos, *width, format).await?);
        }
        peaks.push(server.peak_bytes()?);
        server.stop().await?;
        eprintln!("round {round} of {rounds} done");
    }
    let figure = |value: f64| format!("{value:.1}");
    let mut table = Table::new(&["pictures a second", "median", "lowest to highest", "of vipsthumbnail"]);
    for ((width, format, _), (ours, theirs)) in CASES.iter().zip(&rates) {
        let name = format!("`image`, width {width}, {format}");
        let ratio = if has_vips { format!("{:.2}", median(ours) / median(theirs)) } else { "–".to_owned() };
        table.row(&[&name, &figure(median(ours)), &spread(ours, figure), &ratio]);
        if has_vips {
            let name = format!("`vipsthumbnail`, width {width}, {format}");
            table.row(&[&name, &figure(median(theirs)), &spread(theirs, figure), "1.00"]);
        }
    }
    println!("{}", table.text());
    if !has_vips {
        println!("left out: vipsthumbnail is not installed");
    }
    println!(
        "{rounds} rounds of {} photographs, quality {QUALITY}. Peak memory of the server {:.0} MiB. Load average {:.2}.",
        photos.len(),
        median(&peaks) / (1024.0 * 1024.0),
        report::load_average()
    );
    Ok(())
}

/// Makes the photograph `at`: slopes, edges and grain, other ones each time.
fn photograph(folder: &Path, at: u32) -> Result<PathBuf, Fault> {
    let mut grain = at;
    let picture = RgbImage::from_fn(4_000, 3_000, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (x + at * 131, y + at * 57);
        let edges = if (x / 61 + y / 97) % 3 == 0 { 70 } else { 0 }
            + if (x * x + y * y) / 90_000 % 2 == 0 { 40 } else { 0 };
        let sample = |slope: u32| {
            u8::try_from((x * slope / 97 % 128 + y / 41 % 32 + edges + (grain >> 28)).min(255))
                .unwrap_or(u8::MAX)
        };
        Rgb([sample(1), sample(2), sample(3)])
    });
    let path = folder.join(format!("photo-{at:02}.jpg"));
    let file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    DynamicImage::from(picture).write_with_encoder(JpegEncoder::new_with_quality(file, 85))?;
    Ok(path)
}

/// Runs `vipsthumbnail` once over all photographs: so many a second.
#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
fn vipsthumbnail(folder: &Path, photos: &[PathBuf], width: u32, ending: &str) -> Result<f64, Fault> {
    let made = folder.join(format!("%s-{width}.{ending}[Q={QUALITY}]"));
    let mut command = Command::new("vipsthumbnail");
    command.args(["--size", &format!("{width}x"), "-o"]).arg(made).args(photos);
    let begun = Instant::now();
    let status = command.status()?;
    if !status.success() {
        return Err(format!("vipsthumbnail: {status}").into());
    }
    Ok(photos.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Submits all photographs and waits for the end: pictures a second, from the first start.
#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
async fn batch(server: &Server, photos: &[PathBuf], width: u32, format: &str) -> Result<f64, Fault> {
    // Named before by another part: as good.
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/api/v1/batches", server.base);
    let params = json!({"width": width, "format": format, "quality": QUALITY}).to_string();
    // All files have come before the first one is looked at: what is measured is the task, not the upload.
    let start = (OffsetDateTime::now_utc() + AHEAD).format(&Rfc3339)?;
    let options = json!({"start_at": start}).to_string();
    let mut form = Form::new().text("task", "image").text("params", params).text("options", options);
    for (at, photo) in photos.iter().enumerate() {
        form = form.part("file", FormPart::bytes(std::fs::read(photo)?).file_name(format!("{at:02}.jpg")));
    }
    let request = client.post(&url).bearer_auth(&server.token).multipart(form);
    let mut batch: Value = request.send().await?.error_for_status()?.json().await?;
    let id = batch["id"].as_str().ok_or("no id")?.to_owned();
    let deadline = Instant::now() + PATIENCE;
    while batch["finished_at"].is_null() {
        if Instant::now() > deadline {
            return Err(format!("not finished in time: {batch}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        batch = client.get(format!("{url}/{id}")).bearer_auth(&server.token).send().await?.json().await?;
    }
    if batch["succeeded"] != photos.len() {
        return Err(format!("not all succeeded: {batch}").into());
    }
    let at = |name: &str| -> Result<OffsetDateTime, Fault> {
        Ok(OffsetDateTime::parse(batch[name].as_str().ok_or("no time")?, &Rfc3339)?)
    };
    let took = at("finished_at")? - at("started_at")?;
    Ok(photos.len() as f64 / took.as_seconds_f64())
}
