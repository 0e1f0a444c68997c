//! What one core can tell: the server on one, the generator on another.
//!
//! The bare server is held to the same core in the same round.

use std::path::Path;

use crate::Fault;
use crate::fanout::{self, Scene};
use crate::report;
use crate::server::on_core;
use crate::sheet::Sheet;
use crate::stage::Stage;
use crate::work::Work;

/// Of the server, and of the generator.
const CORES: (usize, usize) = (0, 1);

/// The two cores; none where processes cannot be held to them.
async fn cores() -> Option<(usize, usize)> {
    for core in [CORES.0, CORES.1] {
        let tried = on_core(Path::new("true"), Some(core)).output().await;
        if !tried.is_ok_and(|output| output.status.success()) {
            return None;
        }
    }
    Some(CORES)
}

/// The part: the most clients, at each of the ticks.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    let cores = cores().await;
    let place = match cores {
        Some((server, generator)) => {
            format!("the server on core {server}, the generator on core {generator}")
        }
        None => "NOT held to a core: there is no `taskset`, or no second core".to_owned(),
    };
    let watchers = stage.settings.clients.iter().copied().max().unwrap_or(0);
    let scene =
        |tick_ms: &u64| Scene { watchers, idle: 0, tick_ms: *tick_ms, cores, work: Work::Ticking, single: 0 };
    let scenes: Vec<Scene> = stage.settings.ticks_ms.iter().map(scene).collect();
    let title =
        |scene: &Scene| format!("{watchers} clients, a tick of {} ms at most, {place}", scene.tick_ms);
    let mut sheets: Vec<Sheet> = scenes.iter().map(|scene| Sheet::new(title(scene))).collect();
    for round in 1..=stage.settings.rounds {
        for (scene, sheet) in scenes.iter().zip(&mut sheets) {
            let told = fanout::milepost(stage, *scene).await?;
            let bare = fanout::bare(stage, *scene, &told).await?;
            fanout::add(sheet, told, &bare);
        }
        eprintln!("one core: round {round} of {} done", stage.settings.rounds);
    }
    sheets.iter().for_each(Sheet::print);
    println!(
        "The engine commits every 20 to 50 ms while a batch runs, so a tick below that tells no more. Load average {:.2}.\n",
        report::load_average()
    );
    Ok(())
}
