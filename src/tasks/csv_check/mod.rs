//! The task `csv-check`: does a record hold what its columns declare?
//!
//! Called through the registry. The verdict is a function of parameters and record alone; declarations are read once
//! per batch.
//!
//! The verdict, exactly: a record is a JSON object (a CSV row is an object of texts). For every declared column, its
//! value is *missing* if the record has no such column, or it is the empty text, or null; texts are taken as they
//! came (nothing is trimmed: one blank is a value), numbers and truth values by their JSON text, arrays and objects
//! are always wrong. A missing value is wrong if `required`, else right, and no other rule looks at it. Where a
//! record names a column twice, the last one counts. Columns that are not declared are ignored, unless
//! `no_other_columns`. A record in which nothing is wrong gives `{"valid":true}`; any other fails without another
//! attempt.

mod column;
mod guess;
mod value;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::column::{Cell, Column, DeclaredColumn};
use super::context::TaskContext;
use super::task::{GuessedColumn, Item, ItemInput, Task, TaskError};
use crate::protocol::limits::COLUMNS_MAX;
use crate::protocol::{InputKind, Json};

/// Reasons that one message lists; how many more there are is said at its end.
const REASONS_MAX: usize = 50;

/// Checks records.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsvCheck;

/// What the columns must hold, as declared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Check rows")]
struct DeclaredColumns {
    /// Column name → the name of a type, or an object of type and rules, for example
    /// {"id":"integer","email":{"type":"email","required":false}}. Columns must have a value unless required is false.
    #[schemars(title = "Columns", extend("maxProperties" = COLUMNS_MAX, "default" = {}, "format" = "csv-columns"))]
    columns: BTreeMap<String, DeclaredColumn>,
    /// Columns that are not declared are faults too.
    #[schemars(title = "No other columns")]
    no_other_columns: bool,
}

/// What the columns must hold, ready to judge.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "DeclaredColumns")]
pub struct CsvCheckParams {
    by_name: HashMap<String, usize>,
    /// By name.
    columns: Vec<(String, Column)>,
    no_other_columns: bool,
}

impl JsonSchema for CsvCheckParams {
    fn schema_name() -> Cow<'static, str> {
        DeclaredColumns::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        DeclaredColumns::json_schema(generator)
    }
}

impl TryFrom<DeclaredColumns> for CsvCheckParams {
    type Error = String;

    fn try_from(declared: DeclaredColumns) -> Result<Self, String> {
        if declared.columns.len() > COLUMNS_MAX {
            return Err(format!("columns: expected at most {COLUMNS_MAX}"));
        }
        let mut columns = Vec::with_capacity(declared.columns.len());
        for (name, column) in declared.columns {
            let column = Column::try_from(column).map_err(|fault| format!("columns/{name}/{fault}"))?;
            columns.push((name, column));
        }
        let by_name = columns.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        Ok(Self { by_name, columns, no_other_columns: declared.no_other_columns })
    }
}

impl Task for CsvCheck {
    type Params = CsvCheckParams;
    const NAME: &'static str = "csv-check";
    const TITLE: &'static str = "Check rows";
    const DESCRIPTION: &'static str = "Checks every CSV row or JSON record against the types and rules of its columns and says what is wrong.";
    const INPUT: InputKind = InputKind::Record;

    async fn run(
        &self,
        params: Arc<CsvCheckParams>,
        item: Item,
        _context: TaskContext,
    ) -> Result<Json, TaskError> {
        let ItemInput::Value(record) = item.input else {
            return Err(TaskError::input("unsupported", "a record is expected, not a file"));
        };
        match verdict(&params, &record) {
            Ok(()) => Ok(Json::parse(r#"{"valid":true}"#).expect("this is JSON")),
            Err(message) => Err(TaskError::input("invalid", message)),
        }
    }

    /// Rules that every row passes: none at all, or only columns that may be missing and hold any text.
    fn idle(params: &CsvCheckParams) -> Option<String> {
        let checks =
            params.no_other_columns || params.columns.iter().any(|(_name, column)| column.has_rules());
        (!checks).then(|| {
            "Nothing would be checked: expected columns with a type other than text, a value that is required or another \
             rule, or no_other_columns"
                .to_owned()
        })
    }

    fn foresee(params: &CsvCheckParams, item: &Json) -> Option<Result<(), String>> {
        Some(verdict(params, item))
    }

    fn guess_columns(rows: &[Vec<String>], columns: usize) -> Option<Vec<GuessedColumn>> {
        Some((0..columns).map(|at| guess::column(rows, at)).collect())
    }
}

/// Whether `record` holds what its columns declare; else every reason, as one message.
fn verdict(params: &CsvCheckParams, record: &Json) -> Result<(), String> {
    let reasons = check(params, record.as_str());
    if reasons.is_empty() {
        return Ok(());
    }
    let message = reasons.iter().take(REASONS_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    if reasons.len() > REASONS_MAX {
        return Err(format!("{message}; and {} more", reasons.len() - REASONS_MAX));
    }
    Err(message)
}

/// Every reason why `record` is not valid, as `column: reason`: first the columns that the record has, in its order,
/// then the ones that it lacks, by name.
fn check(params: &CsvCheckParams, record: &str) -> Vec<String> {
    let mut found = Found { params, cells: vec![None; params.columns.len()], met: 0, others: Vec::new() };
    let mut parser = serde_json::Deserializer::from_str(record);
    if !record.trim_start().starts_with('{') || parser.deserialize_map(&mut found).is_err() {
        return vec!["expected a record: a JSON object or a CSV row".to_owned()];
    }
    let mut reasons = found.others;
    let mut faults = Vec::new();
    for ((name, column), cell) in params.columns.iter().zip(&found.cells) {
        let (place, cell) =
            cell.as_ref().map_or((usize::MAX, &Cell::Missing), |(place, cell)| (*place, cell));
        column.judge(cell, &mut faults);
        reasons.extend(faults.drain(..).map(|fault| (place, format!("{name}: {fault}"))));
    }
    // Stable: reasons of one column, and columns that are lacking, stay in their order.
    reasons.sort_by_key(|(place, _)| *place);
    reasons.into_iter().map(|(_, reason)| reason).collect()
}

/// What a record holds of the declared columns; filled while the record is read.
struct Found<'p, 'a> {
    params: &'p CsvCheckParams,
    /// By declared column: place in the record, and value.
    cells: Vec<Option<(usize, Cell<'a>)>>,
    /// Columns met so far.
    met: usize,
    /// Faults of columns that are not declared.
    others: Vec<(usize, String)>,
}

impl<'de> Visitor<'de> for &mut Found<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            let place = self.met;
            self.met += 1;
            if let Some(at) = self.params.by_name.get(name.0.as_ref()) {
                self.cells[*at] = Some((place, cell(value.get())));
            } else if self.params.no_other_columns {
                self.others.push((place, format!("{}: no such column is declared", name.0)));
            }
        }
        Ok(())
    }
}

/// A text that borrows from the record unless it holds escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one JSON value as a cell.
fn cell(json: &str) -> Cell<'_> {
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<Text<'_>>(json) {
            Ok(Text(text)) if text.is_empty() => Cell::Missing,
            Ok(Text(text)) => Cell::Text(text),
            Err(_lone_surrogate) => Cell::Nested("a text that is not Unicode"),
        },
        Some(b'n') | None => Cell::Missing,
        Some(b'[') => Cell::Nested("an array"),
        Some(b'{') => Cell::Nested("an object"),
        Some(_) => Cell::Text(Cow::Borrowed(json)),
    }
}

#[cfg(test)]
mod tests;
