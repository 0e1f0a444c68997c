//! Bytes of a watched update: as it is, and as permessage-deflate would make it.
//!
//! Updates are those that one connection got, in their order; each is compressed as RFC 7692 says: raw, flushed,
//! without the last four bytes.

use std::net::Ipv4Addr;
use std::time::Instant;

use flate2::{Compress, Compression, FlushCompress};

use crate::client::{Client, Endpoint};
use crate::codec::{CODECS, Codec, Kind};
use crate::report::{Table, load_average, median, quantile};
use crate::stage::{Run, Stage, address};
use crate::work::{Batch, Work};
use crate::{Fault, server::Server, websocket};

/// Updates that are looked at.
const UPDATES: usize = 200;
/// What a flush ends with; the other side puts it there again.
const FLUSH_END: [u8; 4] = [0, 0, 0xff, 0xff];

/// Whether a connection keeps its compressor from one update to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Kept,
    Fresh,
}

/// The part.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    let folder = stage.folder()?;
    let server = stage.start(folder.path(), Run::DEFAULT).await?;
    let mut all = Vec::new();
    for codec in CODECS {
        match updates(stage, &server, codec).await {
            Ok(updates) => all.push((codec, updates)),
            Err(fault) => return Err(server.explain(fault)),
        }
    }
    server.stop().await?;
    all.iter().try_for_each(|(codec, updates)| print(codec, updates))
}

async fn updates(stage: &Stage, server: &Server, codec: &'static Codec) -> Result<Vec<Vec<u8>>, Fault> {
    let running = Batch::running(server, Work::Ticking).await?;
    let endpoint = Endpoint { address: address(server)?, codec };
    let mut client =
        Client::connect(&endpoint, &stage.tokens[0], "weight", Ipv4Addr::LOCALHOST, None).await?;
    client.subscribe(&running.topic, None).await?;
    let mut updates = Vec::with_capacity(UPDATES);
    while updates.len() < UPDATES {
        let read = client.read(|kind, payload, _bytes| {
            if kind == Kind::Update {
                updates.push(payload.to_vec());
            }
        });
        read.await.map_err(|end| end.to_string())?;
    }
    Ok(updates)
}

fn print(codec: &Codec, updates: &[Vec<u8>]) -> Result<(), Fault> {
    let mut table =
        Table::new(&["bytes of an update of one batch", "mean", "least", "most", "µs each, median"]);
    let mut row = |what: &str, payloads: &[usize], microseconds: Option<f64>| {
        #[expect(clippy::cast_precision_loss, reason = "bytes for a table")]
        let mut sizes: Vec<f64> = payloads.iter().map(|bytes| *bytes as f64).collect();
        sizes.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a count for a mean")]
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let at = |share| format!("{:.0}", quantile(&sizes, share));
        let took = microseconds.map_or_else(String::new, |took| format!("{took:.1}"));
        table.row(&[what, &format!("{mean:.1}"), &at(0.0), &at(1.0), &took]);
    };
    let plain: Vec<usize> = updates.iter().map(Vec::len).collect();
    row(codec.subprotocol, &plain, None);
    let framed: Vec<usize> =
        updates.iter().map(|payload| websocket::from_server(codec.opcode, payload).len()).collect();
    row("the same with its head, on the wire", &framed, None);
    for (level, context, name) in [
        (1, Context::Fresh, "level 1, no context takeover"),
        (1, Context::Kept, "level 1, context takeover"),
        (6, Context::Fresh, "level 6, no context takeover"),
        (6, Context::Kept, "level 6, context takeover"),
    ] {
        let (sizes, took) = deflated(updates, level, context)?;
        row(&format!("deflated, {name}"), &sizes, Some(median(&took)));
    }
    println!("{}", table.text());
    println!(
        "{} updates in a row to one connection. Deflate by flate2 as it is in the tree. Load average {:.2}.\n",
        updates.len(),
        load_average()
    );
    Ok(())
}

/// Bytes and microseconds of each update.
fn deflated(updates: &[Vec<u8>], level: u32, context: Context) -> Result<(Vec<usize>, Vec<f64>), Fault> {
    let mut compress = Compress::new(Compression::new(level), false);
    let (mut sizes, mut took) = (Vec::with_capacity(updates.len()), Vec::with_capacity(updates.len()));
    for update in updates {
        let mut out = Vec::with_capacity(update.len() + 64);
        let start = Instant::now();
        if context == Context::Fresh {
            compress.reset();
        }
        let before = compress.total_in();
        compress.compress_vec(update, &mut out, FlushCompress::Sync)?;
        took.push(start.elapsed().as_secs_f64() * 1e6);
        if compress.total_in() - before != update.len() as u64 || !out.ends_with(&FLUSH_END) {
            return Err("an update was not compressed at once".into());
        }
        sizes.push(out.len() - FLUSH_END.len());
    }
    Ok((sizes, took))
}
