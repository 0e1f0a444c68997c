//! How old news is when it is read: on a quiet server, and where it changes ten times a second.
//!
//! One item runs after the other, so the number of those that have succeeded says which end a frame tells of. Every client
//! notes that number and when it read it; when the items ended is read from the API afterwards. The limit is one loop that
//! stamps a frame of as many bytes with the time, as often, and writes it to as many sockets; the same clients read it.

use std::time::Duration;

use crate::bare::{Bare, Frames};
use crate::crowd::{Note, Noting};
use crate::report::load_average;
use crate::sheet::{Sheet, decimal};
use crate::stage::{Run, Stage, address};
use crate::work::{Batch, Work};
use crate::{Fault, codec, server::Server};

/// How long one item takes: longer than any tick, and ten a second.
const ITEMS_MS: [u32; 2] = [250, 100];
/// How long everything is left alone before it is timed.
const SETTLE: Duration = Duration::from_secs(1);

/// What was measured of one server.
struct Aged {
    ages: Vec<f64>,
    update: Vec<u8>,
    frames_per_second: f64,
}

/// The part: for each number of clients, both kinds of items, and the limit of each.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    if stage.settings.codec.subprotocol != codec::JSON.subprotocol {
        println!("The age of news is measured in JSON alone.\n");
        return Ok(());
    }
    for item_ms in ITEMS_MS {
        for clients in &stage.settings.aged {
            let mut sheet = Sheet::new(format!("{clients} clients, an item ends every {item_ms} ms"));
            for _ in 0..stage.settings.rounds {
                round(stage, *clients, item_ms, &mut sheet).await?;
            }
            sheet.print();
        }
    }
    println!(
        "`ended_at` is in whole milliseconds: up to 1 ms of each age is rounding, of the limit nothing is.\n"
    );
    Ok(())
}

async fn round(stage: &Stage, clients: usize, item_ms: u32, sheet: &mut Sheet) -> Result<(), Fault> {
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    let told = match milepost(stage, &server, clients, item_ms).await {
        Ok(told) => {
            server.stop().await?;
            told
        }
        Err(fault) => return Err(server.explain(fault)),
    };
    let limit = bare(stage, clients, item_ms, &told.update).await?;
    sheet.add_delays("item ended to frame", told.ages);
    sheet.add("frames a second to one client", told.frames_per_second, decimal);
    sheet.add_delays("limit: written to frame", limit);
    sheet.add("load average", load_average(), decimal);
    Ok(())
}

async fn milepost(stage: &Stage, server: &Server, clients: usize, item_ms: u32) -> Result<Aged, Fault> {
    let batch = Batch::running(server, Work::OneByOne(item_ms)).await?;
    let topics = [batch.topic.clone()];
    let crowd = stage.watch(address(server)?, clients, &topics, Noting::Succeeded).await?;
    tokio::time::sleep(SETTLE).await;
    let (_before, from) = (crowd.take_notes(), crowd.count(0));
    tokio::time::sleep(stage.settings.window).await;
    let (notes, to) = (crowd.take_notes(), crowd.count(0));
    let update = crowd.sample();
    drop(crowd);
    #[expect(clippy::cast_precision_loss, reason = "counts for rates")]
    let frames = (to.updates.iter().sum::<u64>() - from.updates.iter().sum::<u64>()) as f64;
    #[expect(clippy::cast_precision_loss, reason = "counts for rates")]
    let frames_per_second = frames / clients as f64 / stage.settings.window.as_secs_f64();
    let values = || notes.iter().flatten().map(|note| note.value);
    let (Some(first), Some(last)) = (values().min(), values().max()) else {
        return Err("no update came".into());
    };
    let ends = batch.ends(first..last + 1).await?;
    let ages = notes.iter().flat_map(|of_one| ages(of_one, first, &ends)).collect();
    Ok(Aged { ages, update, frames_per_second })
}

/// Of every end that a client was told of, how old it was, in milliseconds; not of what its first frame told.
fn ages(notes: &[Note], first: u64, ends: &[f64]) -> Vec<f64> {
    let mut ages = Vec::new();
    for pair in notes.windows(2) {
        for seq in pair[0].value + 1..=pair[1].value {
            let end = usize::try_from(seq - first).ok().and_then(|at| ends.get(at));
            ages.extend(end.map(|end_ms| milliseconds(pair[1].read_micros) - end_ms));
        }
    }
    ages
}

async fn bare(stage: &Stage, clients: usize, item_ms: u32, update: &[u8]) -> Result<Vec<f64>, Fault> {
    let tick = Duration::from_millis(item_ms.into());
    let server = Bare::start(stage.settings.codec, update, tick, Frames::Stamped, None).await?;
    let crowd = stage.watch(server.address, clients, &[String::new()], Noting::Stamp).await?;
    tokio::time::sleep(SETTLE).await;
    drop(crowd.take_notes());
    tokio::time::sleep(stage.settings.window).await;
    let notes = crowd.take_notes();
    drop(crowd);
    server.stop().await?;
    let age = |note: &Note| milliseconds(note.read_micros) - milliseconds(note.value);
    Ok(notes.iter().flatten().map(age).collect())
}

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 fit into 53 bits")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
