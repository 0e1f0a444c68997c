//! The other half of `make bench`: the live side of a release build, beside what a bare socket could do.
//!
//! Run by `cargo bench --bench live`. Every number is measured from outside, through the public surface, and stands
//! beside a limit measured in the same run.
//!
//! ```text
//! MILEPOST_BIN    executable to measure            BENCH_PARTS        quiet,age,fanout,capacity,memory,slow,storm,weight (all)
//! BENCH_ROUNDS    rounds (3)                       BENCH_CLIENTS      clients on one batch (1000,5000)
//! BENCH_FOLDER    where data is made               BENCH_IDLE         idle ones beside them (a fifth)
//! BENCH_WINDOW    seconds of a measurement (20)    BENCH_CONNECTIONS  idle ones for the memory (10,000)
//! BENCH_SINGLE    single items of a round (40)     BENCH_STORM        clients that come back (2,000)
//! BENCH_CODEC     subprotocol (milepost.v1.json)   BENCH_TICKS_MS     ticks on one core (100,50)
//! BENCH_CALLERS   people they belong to (50)       BENCH_AGED         clients whose frames are timed (1,100,1000)
//! BENCH_WATCHING  connections that watch as a page does, for the memory (1,000)
//! ```

mod age;
mod bare;
mod capacity;
mod client;
mod codec;
mod crowd;
mod fanout;
#[path = "../throughput/live.rs"]
#[expect(dead_code, reason = "the other bench looks at more of a frame")]
mod live;
mod member;
mod memory;
#[path = "../throughput/process.rs"]
mod process;
#[path = "../throughput/report.rs"]
#[expect(dead_code, reason = "the other bench prints more forms")]
mod report;
#[path = "../throughput/server.rs"]
#[expect(dead_code, reason = "the other bench looks at more of a server")]
mod server;
mod settings;
mod sheet;
#[path = "../throughput/single.rs"]
mod single;
mod slow;
mod stage;
mod storm;
mod weight;
mod window;
mod websocket;
mod work;

use live::Live;
use settings::{Part, Settings};
use sheet::Sheet;
use stage::{Run, Stage};

/// Whatever stops a measurement: said and given up.
type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(bare::ARGUMENT) {
        return bare::serve(&arguments.collect::<Vec<_>>());
    }
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    // One thread, and one for the crowd: the load generator is to leave the other cores to what it measures.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(play())
}

async fn play() -> Result<(), Fault> {
    let settings = Settings::from_environment()?;
    println!("{}", report::machine(&settings.binary));
    println!(
        "Live: {}, {} rounds, windows of {} s, {} callers, data in {}\n",
        settings.codec.subprotocol,
        settings.rounds,
        settings.window.as_secs(),
        settings.callers,
        settings.folder.display()
    );
    let parts = settings.parts.clone();
    let stage = Stage::set(settings).await?;
    for part in parts {
        eprintln!("{}", part.name());
        match part {
            Part::Quiet => quiet(&stage).await?,
            Part::Age => age::measure(&stage).await?,
            Part::Fanout => fanout::measure(&stage).await?,
            Part::Capacity => capacity::measure(&stage).await?,
            Part::Memory => memory::measure(&stage).await?,
            Part::Slow => slow::measure(&stage).await?,
            Part::Storm => storm::measure(&stage).await?,
            Part::Weight => weight::measure(&stage).await?,
        }
    }
    Ok(())
}

/// Single items on a server that has nothing else to do, to hold the loaded ones against.
async fn quiet(stage: &Stage) -> Result<(), Fault> {
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    let sampling = async {
        let mut watchers = [Live::connect(&server).await?];
        single::items(&server, &mut watchers, stage.settings.single).await
    };
    match sampling.await {
        Ok(delays) => {
            server.stop().await?;
            let mut sheet = Sheet::new("a quiet server, one client");
            sheet.add_delays("item ended to frame", delays);
            sheet.print();
            Ok(())
        }
        Err(fault) => Err(server.explain(fault)),
    }
}
