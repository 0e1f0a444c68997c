//! Columns of results: the names of fields that results of a batch have, in the order in which they were first seen.
//!
//! Owns the list that a CSV of results needs before its first row. Called by record. Invariant: at most
//! [`RESULT_COLUMNS_MAX`] names, each once. Deliberately reads names only, never values.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::cells::{parse_list, print_list};
use super::error::StoreError;
use super::tape::Tape;

/// Names of result fields kept per batch; later ones are left out.
const RESULT_COLUMNS_MAX: usize = 200;

/// Names of result fields: those known before, and those seen now.
pub(super) struct Columns {
    known: BTreeSet<String>,
    new: Vec<String>,
}

impl Columns {
    pub(super) fn of(tape: &Tape<'_>) -> Result<Self, StoreError> {
        let known = parse_list::<String>(&tape.batch.result_columns)?.into_iter().collect();
        Ok(Self { known, new: Vec::new() })
    }

    /// Adds what was seen now, up to the bound.
    pub(super) fn write(self, tape: &mut Tape<'_>) -> Result<(), StoreError> {
        if self.new.is_empty() {
            return Ok(());
        }
        let mut names: Vec<String> = parse_list(&tape.batch.result_columns)?;
        names.extend(self.new);
        names.truncate(RESULT_COLUMNS_MAX);
        tape.batch.result_columns = print_list(&names);
        Ok(())
    }

    /// Notes the fields of an object; anything else has none.
    pub(super) fn see(&mut self, json: &str) {
        if json.starts_with('{') && self.known.len() + self.new.len() < RESULT_COLUMNS_MAX {
            // What is not an object after all has no fields to note.
            let _not_an_object = serde_json::Deserializer::from_str(json).deserialize_map(Fields(self));
        }
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
            let columns = &mut *self.0;
            if !columns.known.contains(&name) && !columns.new.contains(&name) {
                columns.new.push(name);
            }
        }
        Ok(())
    }
}
