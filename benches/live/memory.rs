//! What a connection costs: memory and processor time of one that nothing happens on, memory of one that watches a running
//! batch as a page does.
//!
//! What a server sets aside once is there before the first look: some connections have come and gone by then. What the
//! system holds for a socket is left out.

use std::time::Duration;

use crate::crowd::Noting;
use crate::report::{load_average, mebibytes};
use crate::sheet::{Sheet, kibibytes, percent, whole};
use crate::stage::{Run, Stage, address};
use crate::work::{Batch, Work};
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
        Ok(()) => server.stop().await?,
        Err(fault) => return Err(server.explain(fault)),
    }
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    match watch(stage, &server).await {
        Ok(()) => server.stop().await,
        Err(fault) => Err(server.explain(fault)),
    }
}

/// What a page of one batch listens to.
fn page(batch: &Batch) -> Vec<String> {
    ["", "/items/1-100", "/strip", "/families"].map(|part| format!("{}{part}", batch.topic)).into()
}

/// Connections that watch a running batch, beside some that do already: what the batch itself holds is left out.
async fn watch(stage: &Stage, server: &Server) -> Result<(), Fault> {
    let running = Batch::running(server, Work::Ticking).await?;
    let (address, topics, count) = (address(server)?, page(&running), stage.settings.watching);
    drop(stage.watch(address, FIRST, &topics, Noting::Counts).await?);
    let first = stage.watch(address, FIRST, &topics, Noting::Counts).await?;
    tokio::time::sleep(SETTLE).await;
    let memory = |name| process::bytes(server.process, name);
    let (resident, own) = (memory("VmRSS")?, memory("RssAnon")?);
    let crowd = stage.watch(address, count, &topics, Noting::Counts).await?;
    tokio::time::sleep(SETTLE).await;
    let (resident_with, own_with) = (memory("VmRSS")?, memory("RssAnon")?);
    let ended = crowd.ended() + first.ended();
    #[expect(clippy::cast_precision_loss, reason = "counts for a table")]
    let (connections, ended) = (count as f64, ended as f64);
    let mut sheet = Sheet::new(format!("{} connections that watch a running batch", whole(connections)));
    sheet.add("resident memory a connection", (resident_with - resident) / connections, kibibytes);
    sheet.add("of it on the heap and on stacks", (own_with - own) / connections, kibibytes);
    sheet.add("connections that ended", ended, whole);
    sheet.print();
    Ok(())
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
