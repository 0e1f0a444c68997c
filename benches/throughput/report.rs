//! Medians, tables and the machine they were measured on.
//!
//! Tables are Markdown, fit to paste.

use std::path::Path;

/// A Markdown table that grows by rows.
pub struct Table {
    text: String,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[&str]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(columns);
        table.text.push_str(&"| --- ".repeat(columns.len()));
        table.text.push_str("|\n");
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) {
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(cell);
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    /// The table.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The value at `share` (0 to 1) of ascending values, by nearest rank; 0 if there are none.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index among a few hundred samples"
    )]
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The middle value; the mean of the two in the middle of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let half = ascending.len() / 2;
    match ascending.len() {
        0 => 0.0,
        length if length % 2 == 1 => ascending[half],
        _ => f64::midpoint(ascending[half - 1], ascending[half]),
    }
}

/// Lowest to highest.
pub fn spread(values: &[f64], print: fn(f64) -> String) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} to {}", print(lowest), print(highest))
}

/// A count with thousands set apart.
pub fn per_second(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds, to the millisecond.
pub fn seconds(value: f64) -> String {
    format!("{value:.3} s")
}

/// Bytes as mebibytes.
pub fn mebibytes(value: f64) -> String {
    format!("{:.1} MiB", value / (1024.0 * 1024.0))
}

/// Load average of the last minute.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

/// One paragraph on machine and executable.
pub fn machine(binary: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let version = std::process::Command::new(binary).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "{} ({cores} cores), {} of memory, Linux {}, load average {:.2}; {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        load_average(),
        version.unwrap_or_default(),
    )
}
