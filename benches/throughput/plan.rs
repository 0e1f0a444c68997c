//! The rounds: on each database the bare driver, then Milepost, so that a busy minute hits all of them.
//!
//! A ratio is made of medians of the same rounds.

use std::path::Path;

use crate::cluster::Cluster;
use crate::load::{self, Lines};
use crate::report::{self, Table, mebibytes, median, per_second, seconds, spread};
use crate::server::{Part, Server};
use crate::{Fault, Settings, limits, postgres};

/// Where Milepost is measured, and beside what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Sqlite,
    OneNode,
    SnapshotHeld,
    TwoNodes,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::OneNode => "Postgres, one node",
            Self::SnapshotHeld => "Postgres, one node, a snapshot held open",
            Self::TwoNodes => "Postgres, two nodes",
        }
    }
}

/// What the bare driver did, lines a second, a value a round.
#[derive(Default)]
struct Limit {
    rows: Vec<f64>,
    chunks: Vec<f64>,
}

/// What Milepost did in one place, a value a round.
#[derive(Default)]
struct Figures {
    submit: Vec<f64>,
    whole: Vec<f64>,
    answered_s: Vec<f64>,
    first_end_s: Vec<f64>,
    peak_bytes: Vec<f64>,
    cpu_s: Vec<f64>,
    frames: Vec<f64>,
    frame_bytes: Vec<f64>,
    commits: Vec<f64>,
}

/// All rounds.
pub struct Plan<'a> {
    settings: &'a Settings,
    lines: &'a Lines,
    cluster: Option<Cluster>,
    sqlite: Limit,
    postgres: Limit,
    places: Vec<(Place, Figures)>,
    load: Vec<f64>,
}

impl<'a> Plan<'a> {
    /// Starts the cluster, if Postgres is not left out.
    pub fn new(settings: &'a Settings, lines: &'a Lines) -> Self {
        let cluster = postgres::cluster();
        let mut places = vec![Place::Sqlite];
        if cluster.is_some() {
            places.extend([Place::OneNode, Place::SnapshotHeld, Place::TwoNodes]);
        }
        let places = places.into_iter().map(|place| (place, Figures::default())).collect();
        let (sqlite, postgres) = (Limit::default(), Limit::default());
        Self { settings, lines, cluster, sqlite, postgres, places, load: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
    fn items(&self) -> f64 {
        self.settings.items as f64
    }

    /// One round, each part on a database of its own.
    pub async fn round(&mut self) -> Result<(), Fault> {
        self.load.push(report::load_average());
        let items = self.items();
        let folder = tempfile::tempdir_in(&self.settings.folder)?;
        let file = |name: &str| folder.path().join(name);
        self.sqlite.rows.push(items / limits::rows(&file("rows.db"), self.lines).await?.as_secs_f64());
        self.sqlite.chunks.push(items / limits::chunks(&file("chunks.db"), self.lines).await?.as_secs_f64());
        if let Some(cluster) = &self.cluster {
            let url = cluster.database();
            self.postgres.rows.push(items / postgres::rows(&url, self.lines).await?.as_secs_f64());
            self.postgres.chunks.push(items / postgres::chunks(&url, self.lines).await?.as_secs_f64());
        }
        for at in 0..self.places.len() {
            self.measure(at).await?;
        }
        self.load.push(report::load_average());
        Ok(())
    }

    async fn measure(&mut self, at: usize) -> Result<(), Fault> {
        let place = self.places[at].0;
        let folder = tempfile::tempdir_in(&self.settings.folder)?;
        let cluster = self.cluster.as_ref().filter(|_| place != Place::Sqlite);
        let url = cluster.map(Cluster::database);
        let part = Part { database: url.as_deref(), ..Part::ALONE };
        let server = Server::start(&self.settings.binary, folder.path(), part).await?;
        let other = match place {
            Place::TwoNodes => Some(self.second(folder.path(), part).await?),
            Place::Sqlite | Place::OneNode | Place::SnapshotHeld => None,
        };
        let snapshot = match (&url, place) {
            (Some(url), Place::SnapshotHeld) => Some(postgres::hold_snapshot(url).await?),
            _ => None,
        };
        let before = cluster.zip(url.as_deref()).map(|(cluster, url)| postgres::commits(cluster, url));
        let run = match load::submit(&server, self.lines, self.settings.patience).await {
            Ok(run) => run,
            Err(fault) => return Err(server.explain(fault)),
        };
        let items = self.items();
        let figures = &mut self.places[at].1;
        figures.submit.push(items / run.answered.as_secs_f64());
        figures.whole.push(items / run.done.as_secs_f64());
        figures.answered_s.push(run.answered.as_secs_f64());
        figures.first_end_s.push(run.first_end.as_secs_f64());
        figures.peak_bytes.push(server.peak_bytes()?);
        figures.frames.push(run.frames);
        figures.frame_bytes.push(run.frame_bytes);
        let mut cpu_s = server.cpu_seconds()?;
        drop(snapshot);
        if let Some(other) = other {
            cpu_s += other.cpu_seconds()?;
            other.stop().await?;
        }
        figures.cpu_s.push(cpu_s);
        server.stop().await?;
        // Counted once the connections have gone: what they did is told to the statistics by then.
        if let (Some(before), Some(cluster), Some(url)) = (before, &self.cluster, &url) {
            self.places[at].1.commits.push((postgres::commits(cluster, url)? - before?) * 1_000.0 / items);
        }
        Ok(())
    }

    /// A node that only works, beside the first.
    async fn second(&self, folder: &Path, part: Part<'_>) -> Result<Server, Fault> {
        Server::start(&self.settings.binary, folder, Part { role: "worker", ..part }).await
    }

    /// The figures and their ratios.
    pub fn print(&self) {
        let mut table = Table::new(&["limit: the bare driver, lines/s", "median", "lowest to highest"]);
        for (name, limit) in [("SQLite", &self.sqlite), ("Postgres", &self.postgres)] {
            if limit.rows.is_empty() {
                continue;
            }
            for (what, values) in [("one row an item", &limit.rows), ("rows of 1,024 lines", &limit.chunks)] {
                let spread = spread(values, per_second);
                table.row(&[&format!("{name}, {what}"), &per_second(median(values)), &spread]);
            }
        }
        println!("{}", table.text());
        for (place, figures) in &self.places {
            self.print_place(*place, figures);
        }
        self.print_ratios();
        println!(
            "Load average over the rounds: {}. The limits insert the same {} lines (number and text) into a fresh \
             database, 8,192 lines a commit: SQLite in WAL with synchronous=NORMAL, 500 rows a statement; Postgres by \
             unnest, each commit synced. No HTTP, no parsing, no outcome. Milepost takes them as one NDJSON body for \
             the task `demo`, runs each, and records each end, while one socket watches.\n",
            spread(&self.load, |value| format!("{value:.2}")),
            self.settings.items
        );
    }

    fn print_place(&self, place: Place, figures: &Figures) {
        let mut table = Table::new(&[place.name(), "median", "lowest to highest"]);
        let mut row = |what: &str, values: &[f64], print: fn(f64) -> String| {
            if !values.is_empty() {
                table.row(&[what, &print(median(values)), &spread(values, print)]);
            }
        };
        row("submit: first byte to 201, items/s", &figures.submit, per_second);
        row("no-op, whole: first byte to `succeeded` on a socket, items/s", &figures.whole, per_second);
        row("first byte to 201", &figures.answered_s, seconds);
        row("first byte to the first ended item on a socket", &figures.first_end_s, seconds);
        row("peak memory of the server that is asked", &figures.peak_bytes, mebibytes);
        row("processor time of the servers, start included", &figures.cpu_s, seconds);
        row("frames to the watching socket", &figures.frames, per_second);
        row("bytes of these frames", &figures.frame_bytes, per_second);
        row("commits in the database per 1,000 items, reads included", &figures.commits, |value| {
            format!("{value:.2}")
        });
        println!("{}", table.text());
    }

    fn print_ratios(&self) {
        let mut table = Table::new(&[
            "ratio of medians",
            "submit to one row an item",
            "whole to one row an item",
            "whole to rows of 1,024 lines",
            "whole to the first of its kind",
        ]);
        let first = |wanted: Place| self.places.iter().find(|(place, _)| *place == wanted);
        for (place, figures) in &self.places {
            let (limit, like) = match place {
                Place::Sqlite => (&self.sqlite, Place::Sqlite),
                Place::OneNode | Place::SnapshotHeld | Place::TwoNodes => (&self.postgres, Place::OneNode),
            };
            let ratio = |of: &[f64], to: &[f64]| format!("{:.2}", median(of) / median(to));
            let like = first(like).map_or_else(String::new, |(_, like)| ratio(&figures.whole, &like.whole));
            table.row(&[
                place.name(),
                &ratio(&figures.submit, &limit.rows),
                &ratio(&figures.whole, &limit.rows),
                &ratio(&figures.whole, &limit.chunks),
                &like,
            ]);
        }
        println!("{}", table.text());
    }
}
