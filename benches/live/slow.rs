//! One client that reads a byte a second, beside those that read all: do the others notice?
//!
//! The slow one listens to the same batch as the others, and to so much more that its socket is full at once.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Endpoint};
use crate::live::Live;
use crate::report::load_average;
use crate::sheet::{Sheet, decimal};
use crate::stage::{Run, Stage, address};
use crate::work::{Batch, Work};
use crate::{Fault, server::Server, single};

/// Clients that read all.
const NORMAL: usize = 50;
/// What the system takes in for the slow one: as little as it can.
const RECEIVE_BYTES: u32 = 2_048;
/// Windows of 500 items that the slow one asks for: some 100 kB each.
const WINDOWS: u64 = 40;

/// The part: rounds without it and with it.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    match rounds(stage, &server).await {
        Ok(()) => server.stop().await,
        Err(fault) => Err(server.explain(fault)),
    }
}

async fn rounds(stage: &Stage, server: &Server) -> Result<(), Fault> {
    let running = Batch::running(server, Work::Ticking).await?;
    let mut normal = Vec::with_capacity(NORMAL);
    for _ in 0..NORMAL {
        let mut live = Live::connect(server).await?;
        live.subscribe(&running.topic).await?;
        normal.push(live);
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut sheet =
        Sheet::new(format!("{NORMAL} clients on one batch, beside one that reads a byte a second"));
    for _ in 0..stage.settings.rounds {
        without.extend(single::items(server, &mut normal, stage.settings.single).await?);
        let slow = Slow::connect(&stage.endpoint(address(server)?), &stage.tokens[0], &running.topic).await?;
        with.extend(single::items(server, &mut normal, stage.settings.single).await?);
        let seconds = slow.start.elapsed().as_secs_f64();
        sheet.add("seconds with the slow one", seconds, decimal);
        let cut_ms = slow.cut_ms.load(Ordering::Relaxed);
        if cut_ms > 0 {
            sheet.add("of these until it was cut", Duration::from_millis(cut_ms).as_secs_f64(), decimal);
        }
    }
    sheet.add_delays("item ended to frame, without it", without);
    sheet.add_delays("item ended to frame, with it", with);
    sheet.print();
    println!(
        "{} items a round, each seen by all {NORMAL}; {} rounds. Load average {:.2}.\n",
        stage.settings.single,
        stage.settings.rounds,
        load_average()
    );
    Ok(())
}

/// The slow one, until it is dropped.
struct Slow {
    start: Instant,
    /// When it ended, in milliseconds from the start; 0: not yet.
    cut_ms: Arc<AtomicU64>,
    reading: tokio::task::JoinHandle<()>,
}

impl Slow {
    async fn connect(endpoint: &Endpoint, token: &str, topic: &str) -> Result<Self, Fault> {
        let from = Ipv4Addr::new(127, 0, 0, 99);
        let mut client = Client::connect(endpoint, token, "slow", from, Some(RECEIVE_BYTES)).await?;
        client.subscribe(topic, None).await?;
        for window in 0..WINDOWS {
            client
                .subscribe(&format!("{topic}/items/{}-{}", window * 500 + 1, window * 500 + 500), None)
                .await?;
        }
        let (start, cut_ms) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let cut = Arc::clone(&cut_ms);
        let reading = tokio::spawn(async move {
            while client.read_byte().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            cut.store(
                u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1),
                Ordering::Relaxed,
            );
        });
        Ok(Self { start, cut_ms, reading })
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
