//! A stretch of time in which nothing happens but updates: what came, and what it cost.
//!
//! Both looks are taken together, at the start and at the end.

use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::report::quantile;
use crate::{Fault, process};

/// How long everything is left alone before a window.
const SETTLE: Duration = Duration::from_secs(1);

/// What happened in a window.
pub struct Window {
    seconds: f64,
    /// Updates a second of each connection, ascending.
    rates: Vec<f64>,
    /// Bytes of an update on the wire.
    pub update_bytes: f64,
    /// Processor time of the server, in shares of one core.
    pub cpu_share: f64,
    /// The same of the thread that reads.
    pub generator_share: f64,
    /// Connections that ended.
    pub cut: f64,
    /// Tries to connect that failed before all had come.
    pub refused: f64,
}

impl Window {
    /// Watches the first group of `crowd`, and `process`, for `length`.
    pub async fn watch(process: u32, crowd: &Crowd, length: Duration) -> Result<Self, Fault> {
        tokio::time::sleep(SETTLE).await;
        let (start, before) = (Instant::now(), crowd.count(0));
        let (cpu, generator) = (process::cpu_seconds(process)?, crowd.cpu_seconds()?);
        tokio::time::sleep(length).await;
        let (seconds, after) = (start.elapsed().as_secs_f64(), crowd.count(0));
        let (cpu, generator) = (process::cpu_seconds(process)? - cpu, crowd.cpu_seconds()? - generator);
        #[expect(clippy::cast_precision_loss, reason = "counts for rates")]
        let number = |count: u64| count as f64;
        let mut rates: Vec<f64> = after
            .updates
            .iter()
            .zip(&before.updates)
            .map(|(after, before)| number(after - before) / seconds)
            .collect();
        rates.sort_by(f64::total_cmp);
        let updates = rates.iter().sum::<f64>() * seconds;
        Ok(Self {
            seconds,
            rates,
            update_bytes: number(after.bytes - before.bytes) / updates.max(1.0),
            cpu_share: cpu / seconds,
            generator_share: generator / seconds,
            cut: number(crowd.ended()),
            refused: number(crowd.refused()),
        })
    }

    /// Updates a second, of all.
    pub fn updates_per_second(&self) -> f64 {
        self.rates.iter().sum()
    }

    /// Updates a second at a share of the connections, from the least served.
    pub fn rate_at(&self, share: f64) -> f64 {
        quantile(&self.rates, share)
    }

    /// Processor time of 10,000 updates in milliseconds, without what the server takes anyway.
    pub fn cpu_ms_per_10_000(&self, share_without: f64) -> f64 {
        let seconds = (self.cpu_share - share_without) * self.seconds;
        seconds * 1_000.0 * 10_000.0 / (self.updates_per_second() * self.seconds).max(1.0)
    }
}
