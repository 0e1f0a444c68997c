//! One batch and everybody who watches it: Milepost and the bare server in turn.
//!
//! What the engine takes without anybody watching is measured in the same run and taken off, and both are printed;
//! the bare server sends the bytes that Milepost has just sent.

use std::time::Duration;

use crate::bare::{Bare, Frames};
use crate::live::Live;
use crate::report::load_average;
use crate::sheet::{Sheet, decimal, milliseconds, percent, whole};
use crate::stage::{Run, Stage, address};
use crate::window::Window;
use crate::work::{Batch, Work};
use crate::{Fault, process, server::Server, single};

/// Connections that see single items end while the others are told of the batch.
const SAMPLERS: usize = 10;

/// A run: how many watch what.
#[derive(Clone, Copy)]
pub struct Scene {
    pub watchers: usize,
    pub idle: usize,
    pub tick_ms: u64,
    /// The cores of the server and of the generator; none: all for both.
    pub cores: Option<(usize, usize)>,
    pub work: Work,
    /// Single items to run after the window; 0: none.
    pub single: usize,
}

/// What Milepost did.
pub struct Told {
    pub window: Window,
    /// Processor time without anybody connected, in shares of one core.
    pub share_alone: f64,
    items_alone: f64,
    items: f64,
    /// An update, as it came.
    pub update: Vec<u8>,
    /// From the end of an item to its frame, in milliseconds.
    delays: Vec<f64>,
}

/// One run of Milepost on fresh data.
pub async fn milepost(stage: &Stage, scene: Scene) -> Result<Told, Fault> {
    let folder = stage.folder()?;
    let core = scene.cores.map(|(server, _)| server);
    let run = Run { tick_ms: scene.tick_ms, core, ..Run::DEFAULT };
    let server = stage.start(folder.path(), run).await?;
    match watch(stage, scene, &server).await {
        Ok(told) => {
            server.stop().await?;
            Ok(told)
        }
        Err(fault) => Err(server.explain(fault)),
    }
}

async fn watch(stage: &Stage, scene: Scene, server: &Server) -> Result<Told, Fault> {
    let ended = Batch::ended(server).await?;
    let running = Batch::running(server, scene.work).await?;
    let length = stage.settings.window;
    let alone = length / 4;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (cpu, items) = (process::cpu_seconds(server.process)?, running.items().await?);
    tokio::time::sleep(alone).await;
    let share_alone = (process::cpu_seconds(server.process)? - cpu) / alone.as_secs_f64();
    let items_alone = (running.items().await? - items) / alone.as_secs_f64();

    let watchers = (scene.watchers, running.topic.as_str());
    let reading = scene.cores.map(|(_, generator)| generator);
    let crowd = stage.gather(address(server)?, watchers, (scene.idle, &ended.topic), reading).await?;
    let items = running.items().await?;
    let start = std::time::Instant::now();
    let window = Window::watch(server.process, &crowd, length).await?;
    let items = (running.items().await? - items) / start.elapsed().as_secs_f64();
    let mut delays = Vec::new();
    if scene.single > 0 {
        let mut samplers = Vec::with_capacity(SAMPLERS);
        for _ in 0..SAMPLERS {
            samplers.push(Live::connect(server).await?);
        }
        delays = single::items(server, &mut samplers, scene.single).await?;
    }
    Ok(Told { window, share_alone, items_alone, items, update: crowd.sample(), delays })
}

/// One run of the bare server, with the bytes of `told` and as often as they came.
pub async fn bare(stage: &Stage, scene: Scene, told: &Told) -> Result<Window, Fault> {
    let core = scene.cores.map(|(server, _)| server);
    let tick = Duration::from_secs_f64(1.0 / told.window.rate_at(0.5).max(0.1));
    let server = Bare::start(stage.settings.codec, &told.update, tick, Frames::Same, core).await?;
    let reading = scene.cores.map(|(_, generator)| generator);
    let crowd = stage.gather(server.address, (scene.watchers, ""), (scene.idle, ""), reading).await?;
    let window = Window::watch(server.process, &crowd, stage.settings.window).await?;
    drop(crowd);
    server.stop().await?;
    Ok(window)
}

/// Adds a run of both to a table.
pub fn add(sheet: &mut Sheet, told: Told, bare: &Window) {
    let Told { window, share_alone, delays, .. } = told;
    sheet.add("updates delivered a second", window.updates_per_second(), whole);
    sheet.add("updates a second to one client, the least served", window.rate_at(0.0), decimal);
    sheet.add("the same, 1st percentile", window.rate_at(0.01), decimal);
    sheet.add("the same, median", window.rate_at(0.5), decimal);
    sheet.add("milliseconds between two of them", 1_000.0 / window.rate_at(0.5), decimal);
    sheet.add("least served to median", window.rate_at(0.0) / window.rate_at(0.5), decimal);
    sheet.add("connections that ended", window.cut, whole);
    sheet.add("tries to connect that failed before all had come", window.refused, whole);
    sheet.add("bytes of an update on the wire", window.update_bytes, whole);
    sheet.add("processor of the server, of one core", window.cpu_share, percent);
    sheet.add("the same before anybody had connected", share_alone, percent);
    let cpu_ms = window.cpu_ms_per_10_000(share_alone);
    sheet.add("processor time of 10,000 updates, the latter taken off", cpu_ms, milliseconds);
    sheet.add("processor of the thread that reads, of one core", window.generator_share, percent);
    if !delays.is_empty() {
        sheet.add_delays("item ended to frame", delays);
    }
    sheet.add("limit: updates delivered a second", bare.updates_per_second(), whole);
    sheet.add("limit: updates a second to one client, the least served", bare.rate_at(0.0), decimal);
    sheet.add("limit: bytes of an update on the wire", bare.update_bytes, whole);
    sheet.add("limit: processor of the server, of one core", bare.cpu_share, percent);
    let limit_ms = bare.cpu_ms_per_10_000(0.0);
    sheet.add("limit: processor time of 10,000 updates", limit_ms, milliseconds);
    sheet.add("limit: processor of the thread that reads, of one core", bare.generator_share, percent);
    sheet.add("share of the limit: updates for the same processor time", limit_ms / cpu_ms, decimal);
    sheet.add("load average", load_average(), decimal);
}

/// The part: rounds of both for each number of clients, then Milepost at full speed.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    let scene = |watchers: usize, work| Scene {
        watchers,
        idle: stage.settings.idle.unwrap_or(watchers / 5),
        tick_ms: Run::DEFAULT.tick_ms,
        cores: None,
        work,
        single: stage.settings.single,
    };
    let title = |scene: Scene, how: &str| {
        format!(
            "{} clients on one batch {how}, {} idle",
            whole_number(scene.watchers),
            whole_number(scene.idle)
        )
    };
    let scenes: Vec<Scene> =
        stage.settings.clients.iter().map(|clients| scene(*clients, Work::Ticking)).collect();
    let mut sheets: Vec<Sheet> =
        scenes.iter().map(|scene| Sheet::new(title(*scene, "that changes at every tick"))).collect();
    for round in 1..=stage.settings.rounds {
        for (scene, sheet) in scenes.iter().zip(&mut sheets) {
            let told = milepost(stage, *scene).await?;
            let bare = bare(stage, *scene, &told).await?;
            add(sheet, told, &bare);
        }
        eprintln!("fan-out: round {round} of {} done", stage.settings.rounds);
    }
    sheets.iter().for_each(Sheet::print);
    for clients in &stage.settings.clients {
        let scene = scene(*clients, Work::FullSpeed);
        let mut sheet = Sheet::new(title(scene, "at full speed"));
        add_full_speed(&mut sheet, milepost(stage, scene).await?);
        sheet.print();
    }
    Ok(())
}

fn whole_number(count: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count for a title")]
    whole(count as f64)
}

/// Of a run in which engine and telling share the processor: what each leaves the other.
fn add_full_speed(sheet: &mut Sheet, told: Told) {
    let window = told.window;
    sheet.add("items a second before anybody had connected", told.items_alone, whole);
    sheet.add("items a second while they watch", told.items, whole);
    sheet.add("processor of the server before, of one core", told.share_alone, percent);
    sheet.add("processor of the server while they watch, of one core", window.cpu_share, percent);
    sheet.add("updates delivered a second", window.updates_per_second(), whole);
    sheet.add("updates a second to one client, the least served", window.rate_at(0.0), decimal);
    sheet.add("the same, median", window.rate_at(0.5), decimal);
    sheet.add("connections that ended", window.cut, whole);
    sheet.add("tries to connect that failed before all had come", window.refused, whole);
    sheet.add("processor of the thread that reads, of one core", window.generator_share, percent);
    sheet.add_delays("item ended to frame", told.delays);
}
