//! The wall clock is set while work waits: ahead and back, of the machine and of the database.
//!
//! What waits comes when it was to come, not sooner and not later, and nobody is taken for lost; what is to start at
//! a time of day starts by the clock as it then is.
//!
//! The machine's clock is set for the server alone, by libfaketime; its uptime goes on. The database's is set by a
//! function that stands before Postgres' own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{PATIENCE, TestServer, id, number, send};

const HOUR_MS: i64 = 3_600_000;
const SETTINGS: [(&str, &str); 3] = [
    // Far more than a loaded machine keeps a beat waiting, and far less than the clock is set by.
    ("MILEPOST_ENGINE_LEASE_SECONDS", "30"),
    ("MILEPOST_ENGINE_RECLAIM_SECONDS", "1"),
    ("MILEPOST_ENGINE_DRAIN_SECONDS", "0"),
];
/// Comes before Postgres' own where the search path says so.
const FUNCTION: &str = "CREATE TABLE set_by (ms BIGINT NOT NULL); INSERT INTO set_by VALUES (0); \
     CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
     'SELECT pg_catalog.clock_timestamp() + (SELECT ms FROM public.set_by) * interval ''1 millisecond'''";

/// A server whose wall clock a test sets.
pub struct Site {
    pub server: TestServer,
    pub clock: WallClock,
}

pub enum WallClock {
    Machine { file: PathBuf, _folder: tempfile::TempDir },
    Database { cluster: &'static Cluster, name: String },
}

/// The library, as Debian installs it.
fn faketime() -> String {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let paths = places.map(|place| format!("/usr/lib/{place}/faketime/libfaketimeMT.so.1"));
    let found = paths.into_iter().find(|path| std::path::Path::new(path).exists());
    found.expect("libfaketime is not installed: apt-get install libfaketime (or scripts/tools clock)")
}

impl Site {
    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = WallClock::Machine { file: folder.path().join("clock"), _folder: folder };
        clock.set(0);
        let WallClock::Machine { file, .. } = &clock else { unreachable!("it is the machine's") };
        let (library, path) = (faketime(), file.display().to_string());
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", path.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        let settings: Vec<(&str, &str)> = environment.into_iter().chain(SETTINGS).collect();
        Self { server: TestServer::start_with(&settings).await, clock }
    }

    /// None where tests are told to go without Postgres.
    pub async fn on_postgres() -> Option<Self> {
        let cluster = Cluster::shared()?;
        let url = cluster.database();
        let name = url.rsplit('/').next().unwrap().to_owned();
        cluster.query(&name, FUNCTION);
        cluster.query(&name, &format!("ALTER DATABASE {name} SET search_path = public, pg_catalog"));
        let settings: Vec<(&str, &str)> =
            SETTINGS.into_iter().chain([("MILEPOST_DATABASE_URL", url.as_str())]).collect();
        let server = TestServer::start_with(&settings).await;
        Some(Self { server, clock: WallClock::Database { cluster, name } })
    }

    /// Waits until the server has found the clock set, so many times in all.
    async fn found_set(&self, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.server.log().matches("the clock was set").count() < times {
            assert!(Instant::now() < deadline, "never found set {times} times\n{}", self.server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl WallClock {
    /// Sets it to so many ms beside the right time.
    pub fn set(&self, ms: i64) {
        match self {
            Self::Machine { file, .. } => {
                // At once: half of a line would be another time.
                let fresh = file.with_extension("fresh");
                std::fs::write(&fresh, format!("{}{}\n", if ms < 0 { "-" } else { "+" }, ms.abs() / 1_000))
                    .unwrap();
                std::fs::rename(&fresh, file).unwrap();
            }
            Self::Database { cluster, name } => {
                cluster.query(name, &format!("UPDATE set_by SET ms = {ms}"));
            }
        }
    }
}

fn ms(time: &Value) -> i64 {
    let time =
        time::OffsetDateTime::parse(time.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
    i64::try_from(time.unwrap().unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// Waits of an item between its attempts, by its history; how far the clock was set meanwhile left out.
fn waits(item: &Value) -> Vec<i64> {
    let history = item["history"].as_array().unwrap();
    let between = history.windows(2).map(|pair| ms(&pair[1]["started_at"]) - ms(&pair[0]["ended_at"]));
    between
        .map(|wait| {
            let hours = (wait + HOUR_MS / 2).div_euclid(HOUR_MS);
            wait - hours * HOUR_MS
        })
        .collect()
}

/// All items fail once; the clock is set ahead and back while they wait.
async fn retries_come_when_they_were_to_come(site: Site) {
    let Site { server, clock } = &site;
    let body = json!({"task": "demo", "params": {"duration_ms": 4, "fail_rate": 1, "fail_attempts": 1},
        "items": {"count": 3_000}, "options": {"retry_base_ms": 3_000, "attempts_max": 2}});
    let batch = server.post_json("/batches", &body).await.ok();
    let begun = Instant::now();
    for (ended, set_ms) in [(50, 2 * HOUR_MS), (800, 0), (1_500, -2 * HOUR_MS), (2_200, 0)] {
        server.until(&batch, "under way", |now| number(now, "succeeded") >= ended).await;
        clock.set(set_ms);
    }
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 3_000, "{done}");
    let mut least = i64::MAX;
    for seq in (1..=3_000).step_by(7) {
        let item = server.get(&format!("/batches/{}/items/{seq}", id(&batch))).await.ok();
        least = least.min(*waits(&item).iter().min().expect("it was tried twice"));
    }
    // Half of the base, less what times in whole milliseconds hide.
    assert!(least >= 1_498, "tried again after {least} ms");
    println!("3,000 items in {:?}, none tried again sooner than after {least} ms", begun.elapsed());
}

/// What is to start in an hour starts when the clock says so, whatever it said before.
async fn a_start_follows_the_clock_as_it_is(site: Site) {
    let Site { server, clock } = &site;
    let at = |ms: i64| {
        let at = time::OffsetDateTime::now_utc() + time::Duration::milliseconds(ms);
        at.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let later = async |ms: i64| {
        let body = json!({"task": "demo", "items": {"count": 3}, "options": {"start_at": at(ms)}});
        server.post_json("/batches", &body).await.ok()
    };
    let (hour, day) = (later(HOUR_MS).await, later(24 * HOUR_MS).await);
    assert_eq!(hour["state"], "scheduled");
    clock.set(2 * HOUR_MS);
    server.finished(&hour).await;
    site.found_set(1).await;
    clock.set(-2 * HOUR_MS);
    site.found_set(2).await;
    let soon = later(-2 * HOUR_MS + 5_000).await;
    assert_eq!(soon["state"], "scheduled", "by the clock as it is");
    server.finished(&soon).await;
    assert_eq!(server.get(&format!("/batches/{}", id(&day))).await.ok()["state"], "scheduled");
}

/// A rate goes on as it was: it neither stands still nor makes up for time that has not passed.
async fn a_rate_goes_on(site: Site) {
    let Site { server, clock } = &site;
    let body = json!({"task": "demo", "items": {"count": 100}, "options": {"rate_per_s": 20}});
    let begun = Instant::now();
    let batch = server.post_json("/batches", &body).await.ok();
    for (ended, set_ms) in [(30, 2 * HOUR_MS), (50, -2 * HOUR_MS), (70, 0)] {
        server.until(&batch, "under way", |now| number(now, "succeeded") >= ended).await;
        clock.set(set_ms);
    }
    server.finished(&batch).await;
    // 20 at once, and 80 at 20 a second.
    assert!(begun.elapsed() >= Duration::from_millis(3_900), "{:?}", begun.elapsed());
}

/// Who is signed in stays so, and a key still stands for what it stood for.
async fn nothing_runs_out_by_the_clock(site: Site) {
    let Site { server, clock } = &site;
    server.add_person("bob", "operator").await;
    let cookie = server.sign_in("bob").await;
    let body = json!({"task": "demo", "items": {"count": 2}});
    let submit = async || {
        let request = server.request(reqwest::Method::POST, "/batches").header("idempotency-key", "once");
        send(request.json(&body)).await
    };
    let first = submit().await.ok();
    for (times, set_ms) in [(1, 60 * 24 * HOUR_MS), (2, -60 * 24 * HOUR_MS)] {
        clock.set(set_ms);
        site.found_set(times).await;
        let again = submit().await;
        assert_eq!((again.status.as_u16(), again.ok()["id"].clone()), (200, first["id"].clone()));
        let request = server.client.get(server.url("/batches")).header("cookie", &cookie);
        assert_eq!(send(request).await.status, 200, "bob stays signed in");
    }
}

/// Both nodes go on, and what they run: nobody is lost where only the clock was set.
async fn nobody_is_lost(site: Site) {
    let Site { server, clock } = &site;
    let other = server.beside("other", "all").await;
    let before = server.get("/nodes").await.ok();
    let body = json!({"task": "demo", "params": {"duration_ms": 1_500}, "items": {"count": 96}});
    let batch = server.post_json("/batches", &body).await.ok();
    let found = || [server, &other].map(|node| node.log().matches("the clock was set").count());
    for (times, set_ms) in [(1, 2 * HOUR_MS), (2, -2 * HOUR_MS)] {
        server.until(&batch, "under way", |now| number(now, "running") > 8).await;
        clock.set(set_ms);
        let deadline = Instant::now() + PATIENCE;
        while found().iter().sum::<usize>() < times {
            assert!(Instant::now() < deadline, "never found set\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    server.finished(&batch).await;
    for row in server.rows(&batch).await {
        assert_eq!(row["attempts"], 1, "{row}\n{}\n==== other\n{}", server.log(), other.log());
    }
    let after = server.get("/nodes").await.ok();
    let known = |page: &Value| -> Vec<(Value, Value)> {
        let nodes = page["nodes"].as_array().unwrap().iter();
        nodes.map(|node| (node["id"].clone(), node["state"].clone())).collect()
    };
    assert_eq!(known(&before), known(&after));
    for node in [server, &other] {
        assert!(!node.log().contains("lost"), "{}", node.log());
    }
    assert_eq!(found().iter().sum::<usize>(), 2, "agreed on once each time: {:?}", found());
}

/// What waits over a restart comes no later for a clock that was set before it, and none is lost.
async fn a_restart_keeps_what_was_agreed(mut site: Site) {
    let body = json!({"task": "demo", "params": {"fail_rate": 1, "fail_attempts": 1}, "items": {"count": 50},
        "options": {"retry_base_ms": 20_000, "attempts_max": 2}});
    let batch = site.server.post_json("/batches", &body).await.ok();
    site.server.until(&batch, "waiting", |now| number(now, "retrying") == 50).await;
    site.clock.set(2 * HOUR_MS);
    site.found_set(1).await;
    site.server.kill().await;
    site.server.spawn().await;
    let item = async |site: &Site| site.server.get(&format!("/batches/{}/items/1", id(&batch))).await.ok();
    let done = site.server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded"), 50);
    let least = *waits(&item(&site).await).iter().min().unwrap();
    assert!(least >= 9_998, "{least}");
}

/// A machine that begins each start with an old clock, until it is told the time.
async fn an_old_clock_at_the_start_delays_nothing(mut site: Site) {
    let body = json!({"task": "demo", "params": {"fail_rate": 1, "fail_attempts": 1}, "items": {"count": 50},
        "options": {"retry_base_ms": 2_000, "attempts_max": 2}});
    for start in 1..=3 {
        let batch = site.server.post_json("/batches", &body).await.ok();
        site.server.until(&batch, "waiting", |now| number(now, "retrying") == 50).await;
        site.server.kill().await;
        site.clock.set(-400 * 24 * HOUR_MS);
        site.server.spawn().await;
        site.clock.set(0);
        let done = site.server.finished(&batch).await;
        assert_eq!(number(&done, "succeeded"), 50, "start {start}");
    }
}

/// `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name(super::Site::on_sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                let Some(site) = super::Site::on_postgres().await else { return };
                super::$name(site).await;
            }
        })*
    };
}

on_both! {
    retries_come_when_they_were_to_come,
    a_start_follows_the_clock_as_it_is,
    a_rate_goes_on,
    nothing_runs_out_by_the_clock,
    a_restart_keeps_what_was_agreed,
    an_old_clock_at_the_start_delays_nothing,
}

#[tokio::test]
async fn nobody_is_lost_where_the_clock_of_the_database_is_set() {
    let Some(site) = Site::on_postgres().await else { return };
    nobody_is_lost(site).await;
}
