//! Columns of results: the names of the fields that results of a batch have, in the order in which they were first
//! seen, and [`PLAIN_COLUMN`] where some result is no object or has more fields than there are columns.
//!
//! A CSV of results needs the list before its first row. At most [`RESULT_COLUMNS_MAX`] names and that one, each
//! once.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::batch_transaction::Tape;
use super::strip_cells::{parse_list, print_list};
use crate::store::error::StoreError;

/// Names of result fields kept per batch. A result with others as well is shown whole in [`PLAIN_COLUMN`].
const RESULT_COLUMNS_MAX: usize = 200;
/// The column of results that do not fit the others.
pub const PLAIN_COLUMN: &str = "result";

/// Names of result columns: those known before, and those seen now.
pub struct Columns {
    /// All of them.
    known: BTreeSet<String>,
    /// Those seen now, in their order.
    new: Vec<String>,
}

impl Columns {
    pub fn of(tape: &Tape<'_>) -> Result<Self, StoreError> {
        let known = parse_list::<String>(&tape.batch.result_columns)?.into_iter().collect();
        Ok(Self { known, new: Vec::new() })
    }

    /// Adds what was seen now, up to the bound.
    pub fn write(self, tape: &mut Tape<'_>) -> Result<(), StoreError> {
        if self.new.is_empty() {
            return Ok(());
        }
        let mut names: Vec<String> = parse_list(&tape.batch.result_columns)?;
        names.extend(self.new);
        tape.batch.result_columns = print_list(&names);
        Ok(())
    }

    /// Notes the fields of an object, or that there is a value that has none; `null` says nothing.
    pub fn see(&mut self, json: &str) {
        if json.starts_with('{') {
            // A result has been parsed before; what is not an object after all is plain.
            if serde_json::Deserializer::from_str(json).deserialize_map(Fields(self)).is_err() {
                self.add(PLAIN_COLUMN);
            }
        } else if json != "null" {
            self.add(PLAIN_COLUMN);
        }
    }

    fn add(&mut self, name: &str) {
        if self.known.contains(name) {
            return;
        }
        if name != PLAIN_COLUMN && self.known.len() >= RESULT_COLUMNS_MAX {
            return self.add(PLAIN_COLUMN);
        }
        self.known.insert(name.to_owned());
        self.new.push(name.to_owned());
    }
}

struct Fields<'c>(&'c mut Columns);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            self.0.add(&name);
        }
        Ok(())
    }
}
