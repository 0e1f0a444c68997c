//! What a connection costs that nothing happens on: memory, and processor time for being there.
//!
//! Owns the one run. Called by `main`. Invariant: what a server sets aside once is there before the first look: some
//! connections have come and gone by then. Deliberately leaves out what the system holds for a socket.

use std::time::Duration;

use crate::report::{load_average, mebibytes};
use crate::sheet::{Sheet, kibibytes, percent, whole};
use crate::stage::{Run, Stage, address};
use crate::work::Batch;
use crate::{Fault, process, server::Server};

/// Connections that come and go before the first look.
const FIRST: usize = 200;
/// How long a server is left alone before each look.
const SETTLE: Duration = Duration::from_secs(3);

/// The part.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    match look(stage, &server).await {
        Ok(()) => server.stop().await,
        Err(fault) => Err(server.explain(fault)),
    }
}

async fn look(stage: &Stage, server: &Server) -> Result<(), Fault> {
    let ended = Batch::ended(server).await?;
    let (address, none) = (address(server)?, (0, ""));
    drop(stage.gather(address, none, (FIRST, &ended.topic), None).await?);
    tokio::time::sleep(SETTLE).await;
    let memory = |name| process::bytes(server.process, name);
    let (resident, own) = (memory("VmRSS")?, memory("RssAnon")?);
    let quiet = share(server, stage.settings.window / 4).await?;
    let connections = stage.settings.connections;
    let crowd = stage.gather(address, none, (connections, &ended.topic), None).await?;
    tokio::time::sleep(SETTLE).await;
    let (resident_with, own_with) = (memory("VmRSS")?, memory("RssAnon")?);
    let busy = share(server, stage.settings.window / 4).await?;
    let (cut, refused) = (crowd.ended(), crowd.refused());
    drop(crowd);
    tokio::time::sleep(SETTLE).await;
    #[expect(clippy::cast_precision_loss, reason = "counts for a table")]
    let (count, cut, refused) = (connections as f64, cut as f64, refused as f64);
    let mut sheet = Sheet::new(format!("{} idle connections", whole(count)));
    sheet.add("resident memory without them", resident, mebibytes);
    sheet.add("resident memory with them", resident_with, mebibytes);
    sheet.add("resident memory after they have gone", memory("VmRSS")?, mebibytes);
    sheet.add("resident memory a connection", (resident_with - resident) / count, kibibytes);
    sheet.add("of it on the heap and on stacks", (own_with - own) / count, kibibytes);
    sheet.add("processor of the server without them, of one core", quiet, percent);
    sheet.add("processor of the server with them, of one core", busy, percent);
    sheet.add("connections that ended", cut, whole);
    sheet.add("tries to connect that failed before all had come", refused, whole);
    sheet.print();
    println!("{}Load average {:.2}.\n", stage.settings.fewer, load_average());
    Ok(())
}

/// Processor time of `server` over `length`, in shares of one core.
async fn share(server: &Server, length: Duration) -> Result<f64, Fault> {
    let before = process::cpu_seconds(server.process)?;
    tokio::time::sleep(length).await;
    Ok((process::cpu_seconds(server.process)? - before) / length.as_secs_f64())
}
