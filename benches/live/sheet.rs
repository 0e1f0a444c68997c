//! A table of figures that come round by round.
//!
//! A row shows the median and the spread of all its values.

use crate::report::{Table, median, per_second, spread};

/// How a value is printed.
pub type Print = fn(f64) -> String;

/// A table with a row a figure.
pub struct Sheet {
    title: String,
    rows: Vec<(String, Vec<f64>, Print)>,
}

impl Sheet {
    /// A table without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds a value to the row of that name, which comes last where it is new.
    pub fn add(&mut self, what: &str, value: f64, print: Print) {
        match self.rows.iter_mut().find(|(name, ..)| name == what) {
            Some((_, values, _)) => values.push(value),
            None => self.rows.push((what.to_owned(), vec![value], print)),
        }
    }

    /// Adds the quantiles of `values` in milliseconds, in rows that start with `what`.
    pub fn add_delays(&mut self, what: &str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("highest", 1.0)] {
            self.add(&format!("{what}, {name}"), crate::report::quantile(&values, share), milliseconds);
        }
    }

    /// Prints it.
    pub fn print(&self) {
        let mut table = Table::new(&[&self.title, "median", "lowest to highest"]);
        for (what, values, print) in &self.rows {
            table.row(&[what, &print(median(values)), &spread(values, *print)]);
        }
        println!("{}", table.text());
    }
}

/// A whole number.
pub fn whole(value: f64) -> String {
    per_second(value)
}

/// A number with two digits after the point.
pub fn decimal(value: f64) -> String {
    format!("{value:.2}")
}

/// A share as percent.
pub fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Milliseconds.
pub fn milliseconds(value: f64) -> String {
    format!("{value:.2} ms")
}

/// Bytes as kibibytes.
pub fn kibibytes(value: f64) -> String {
    format!("{:.2} KiB", value / 1024.0)
}
