//! A restart, and everybody comes back at once.
//!
//! It starts again on the same port and data as soon as it has gone; clients come back as docs/protocol.md says, and
//! are back when their subscribe is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::crowd::{After, Crowd, CrowdPlan, Group, Noting, WATCHER};
use crate::report::{load_average, quantile};
use crate::sheet::{Sheet, decimal, whole};
use crate::stage::{Run, Stage, address};
use crate::work::{Batch, Work};
use crate::{Fault, server::Server};

/// How long everybody may take to come back.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long requests are timed before the restart.
const BEFORE: Duration = Duration::from_secs(5);
/// Pause from one request to the next, and the longest one.
const REQUEST_PAUSE: Duration = Duration::from_millis(10);
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// How the server goes.
#[derive(Clone, Copy)]
enum Going {
    Told,
    Killed,
}

/// The part.
pub async fn measure(stage: &Stage) -> Result<(), Fault> {
    for (going, name) in [(Going::Told, "SIGTERM"), (Going::Killed, "SIGKILL")] {
        let folder = stage.folder()?;
        let server = stage.start(folder.path(), Run::DEFAULT).await?;
        let mut sheet =
            Sheet::new(format!("{name}, started again, {} clients come back", stage.settings.storm));
        let at = address(&server)?;
        let (crowd, quiet) = match gather(stage, &server, at).await {
            Ok(gathered) => gathered,
            Err(fault) => return Err(server.explain(fault)),
        };
        let refused = crowd.refused();
        let start = Instant::now();
        match going {
            Going::Told => server.stop().await?,
            Going::Killed => {
                Command::new("kill").args(["-KILL", &server.process.to_string()]).status().await?;
                server.stop().await?;
            }
        }
        let gone = Instant::now();
        let server = stage.start(folder.path(), Run { listen: &at.to_string(), ..Run::DEFAULT }).await?;
        let away_s = gone.elapsed().as_secs_f64();
        sheet.add("seconds from the signal until it had gone", (gone - start).as_secs_f64(), decimal);
        sheet.add("seconds until it listened again", away_s, decimal);
        let asking = Asking::start(at, &server.token)?;
        let late = gone + PATIENCE;
        while crowd.answered_since(gone).len() < stage.settings.storm && Instant::now() < late {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let asked = asking.stop().await?;
        add_back(&mut sheet, stage.settings.storm, &crowd.answered_since(gone), away_s);
        #[expect(clippy::cast_precision_loss, reason = "a count for a table")]
        sheet.add("tries to connect that failed", (crowd.refused() - refused) as f64, whole);
        quiet.add(&mut sheet, "before");
        asked.add(&mut sheet, "while they come back");
        sheet.print();
        drop(crowd);
        server.stop().await?;
    }
    println!("Each request on a connection of its own. Load average {:.2}.\n", load_average());
    Ok(())
}

async fn gather(stage: &Stage, server: &Server, at: SocketAddr) -> Result<(Crowd, Asked), Fault> {
    let running = Batch::running(server, Work::Ticking).await?;
    let groups =
        vec![Group { name: WATCHER, count: stage.settings.storm, topics: vec![running.topic.clone()] }];
    let (endpoint, tokens) = (stage.endpoint(at), Arc::clone(&stage.tokens));
    let (after, noting) = (After::ComeBack, Noting::Counts);
    let crowd = Crowd::gather(CrowdPlan { endpoint, tokens, groups, core: None, after, noting }).await?;
    let asking = Asking::start(at, &server.token)?;
    tokio::time::sleep(BEFORE).await;
    Ok((crowd, asking.stop().await?))
}

/// `answered`: seconds since the old server had gone, of which it took `away_s` until the new one listened.
fn add_back(sheet: &mut Sheet, count: usize, answered: &[f64], away_s: f64) {
    #[expect(clippy::cast_precision_loss, reason = "counts for a table")]
    let (of, back) = (count as f64, answered.len() as f64);
    for (what, share) in [("half are back", 0.5), ("95 % are back", 0.95), ("all are back", 1.0)] {
        let name = format!("seconds from then until {what}");
        if back >= (share * of).ceil() {
            // Of all that were to come, not of those that came.
            sheet.add(&name, (quantile(answered, share * of / back) - away_s).max(0.0), decimal);
        } else {
            sheet.add(&format!("{name}: not in {} s", PATIENCE.as_secs()), f64::NAN, decimal);
        }
    }
    sheet.add("not back", of - back, whole);
}

/// Milliseconds of each request that was answered well, and how many were not.
#[derive(Default)]
struct Asked {
    list: Vec<f64>,
    page: Vec<f64>,
    failed: u32,
}

impl Asked {
    fn add(self, sheet: &mut Sheet, when: &str) {
        sheet.add_delays(&format!("GET /api/v1/batches {when}"), self.list);
        sheet.add_delays(&format!("GET / {when}"), self.page);
        sheet.add(&format!("requests {when} that failed"), f64::from(self.failed), whole);
    }
}

/// Asks for the list and the page in turn, until it is stopped.
struct Asking {
    stop: CancellationToken,
    asking: tokio::task::JoinHandle<Asked>,
}

impl Asking {
    fn start(at: SocketAddr, token: &str) -> Result<Self, Fault> {
        // No connection is used twice: a new one has to get through as the others do.
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_MAX)
            .build()?;
        let stop = CancellationToken::new();
        let (stopping, token) = (stop.clone(), token.to_owned());
        let asking = tokio::spawn(async move {
            let mut asked = Asked::default();
            while !stopping.is_cancelled() {
                for path in ["/api/v1/batches", "/"] {
                    let start = Instant::now();
                    let well = request(&client, &format!("http://{at}{path}"), &token).await;
                    let ms = start.elapsed().as_secs_f64() * 1_000.0;
                    match (well, path) {
                        (Err(_failed), _) => asked.failed += 1,
                        (Ok(()), "/") => asked.page.push(ms),
                        (Ok(()), _) => asked.list.push(ms),
                    }
                    tokio::time::sleep(REQUEST_PAUSE).await;
                }
            }
            asked
        });
        Ok(Self { stop, asking })
    }

    async fn stop(self) -> Result<Asked, Fault> {
        self.stop.cancel();
        Ok(self.asking.await?)
    }
}

async fn request(client: &reqwest::Client, url: &str, token: &str) -> Result<(), Fault> {
    let answer = client.get(url).bearer_auth(token).send().await?;
    if answer.status() != 200 {
        return Err(format!("{url}: {}", answer.status()).into());
    }
    answer.bytes().await?;
    Ok(())
}
