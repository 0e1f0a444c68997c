//! Rows as CSV: the input's columns, where the item stands, the result's fields.
//!
//! Owns the columns of a CSV download and what a cell may hold. Called by the downloads. Invariant: every row has the
//! columns of the header; no cell is a formula to a spreadsheet. Deliberately leaves out what has no column.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::pages::Item;
use crate::protocol::{InputKind, Json};
use crate::store::BatchRecord;

/// The columns of a download, fixed when it begins.
#[derive(Clone, Debug)]
pub(super) struct Table {
    input: InputKind,
    /// Names of the input's columns; empty = one column `input`.
    input_columns: Vec<String>,
    /// Names of the result's fields; empty = one column `result`.
    result_columns: Vec<String>,
    header: Vec<String>,
}

impl Table {
    /// The columns of `batch` as they are now.
    pub(super) fn new(batch: &BatchRecord) -> Self {
        let header = header(&batch.columns, &batch.result_columns);
        Self {
            input: batch.input,
            input_columns: batch.columns.clone(),
            result_columns: batch.result_columns.clone(),
            header,
        }
    }

    /// The first line.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut writer = writer();
        write(&mut writer, self.header.iter().map(|name| safe(name.clone())));
        finish(writer)
    }

    /// A line per item.
    pub(super) fn rows(&self, items: &[Item]) -> Vec<u8> {
        let mut writer = writer();
        for item in items {
            write(&mut writer, self.cells(item).into_iter().map(safe));
        }
        finish(writer)
    }

    fn cells(&self, item: &Item) -> Vec<String> {
        let mut cells = Vec::with_capacity(self.header.len());
        if self.input_columns.is_empty() {
            cells.push(self.input_cell(&item.input));
        } else {
            fields(Some(&item.input), &self.input_columns, &mut cells);
        }
        cells.push(item.seq.to_string());
        cells.push(item.state.as_str().to_owned());
        cells.push(item.error.clone().unwrap_or_default());
        if self.result_columns.is_empty() {
            cells.push(item.result.as_ref().map(|result| cell(&result.to_value())).unwrap_or_default());
        } else {
            fields(item.result.as_ref(), &self.result_columns, &mut cells);
        }
        cells
    }

    /// A file is shown by its name, anything else by its text.
    fn input_cell(&self, input: &Json) -> String {
        let value = input.to_value();
        match (self.input, value["name"].as_str()) {
            (InputKind::File, Some(name)) => name.to_owned(),
            // Read again from its text: what came is written as it came.
            (InputKind::File | InputKind::Line | InputKind::Record, _) => input.display_text(),
        }
    }
}

/// The names of all columns: a result's that is taken already gets `result_` in front.
fn header(input_columns: &[String], result_columns: &[String]) -> Vec<String> {
    let one = |name: &str| vec![name.to_owned()];
    let mut header = if input_columns.is_empty() { one("input") } else { input_columns.to_vec() };
    header.extend(["milepost_seq", "milepost_state", "milepost_error"].map(str::to_owned));
    let named = if result_columns.is_empty() { one("result") } else { result_columns.to_vec() };
    let mut taken: BTreeSet<String> = header.iter().cloned().collect();
    for mut name in named {
        while taken.contains(&name) {
            name = format!("result_{name}");
        }
        taken.insert(name.clone());
        header.push(name);
    }
    header
}

/// The members of `object` named by `columns`, in that order.
fn fields(object: Option<&Json>, columns: &[String], cells: &mut Vec<String>) {
    let members: Map<String, Value> =
        object.and_then(|object| serde_json::from_str(object.as_str()).ok()).unwrap_or_default();
    for column in columns {
        cells.push(members.get(column).map(cell).unwrap_or_default());
    }
}

/// What a value looks like in a cell: text as it is, null as nothing, the rest as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A spreadsheet runs a cell that starts so, unless it is a plain number.
fn safe(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_plain_number(&cell) {
        return format!("'{cell}");
    }
    cell
}

/// A sign, digits, perhaps a fraction and an exponent.
fn is_plain_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let number_fits = match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(number),
    };
    number_fits
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().from_writer(Vec::new())
}

fn write(writer: &mut csv::Writer<Vec<u8>>, cells: impl Iterator<Item = String>) {
    writer.write_record(cells).expect("every row has the columns of the header");
}

fn finish(writer: csv::Writer<Vec<u8>>) -> Vec<u8> {
    writer.into_inner().expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ItemState;

    fn item(input: &str, result: Option<&str>) -> Item {
        Item {
            seq: 3,
            state: ItemState::Succeeded,
            attempts: 1,
            input: Json::parse(input).unwrap(),
            progress: None,
            result: result.map(|text| Json::parse(text).unwrap()),
            error: None,
            family: None,
            ms: None,
            node: None,
            files: Vec::new(),
            rev: 1,
        }
    }

    fn table(input_columns: &[&str], result_columns: &[&str]) -> Table {
        let mut table = Table {
            input: InputKind::Line,
            input_columns: input_columns.iter().map(ToString::to_string).collect(),
            result_columns: result_columns.iter().map(ToString::to_string).collect(),
            header: Vec::new(),
        };
        table.header = header(&table.input_columns, &table.result_columns);
        table
    }

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        for (cell, shown) in [
            ("=1+1", "'=1+1"),
            ("-5", "-5"),
            ("+4.25e-3", "+4.25e-3"),
            ("-5+cmd", "'-5+cmd"),
            ("+49 30 1234", "'+49 30 1234"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("-", "'-"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(safe(cell.to_owned()), shown);
        }
    }

    #[test]
    fn columns_that_clash_are_renamed() {
        let table = table(&["name", "age", "result_age"], &["age", "valid"]);
        assert_eq!(
            String::from_utf8(table.header()).unwrap(),
            "name,age,result_age,milepost_seq,milepost_state,milepost_error,result_result_age,valid\n"
        );
        let row = table.rows(&[item(r#"{"name":"=ada","age":"36","result_age":""}"#, Some(r#"{"age":37}"#))]);
        assert_eq!(String::from_utf8(row).unwrap(), "'=ada,36,,3,succeeded,,37,\n");
    }

    #[test]
    fn plain_inputs_and_results_have_one_column_each() {
        let table = table(&[], &[]);
        assert_eq!(
            String::from_utf8(table.header()).unwrap(),
            "input,milepost_seq,milepost_state,milepost_error,result\n"
        );
        let row = table.rows(&[item(r#""a, b""#, Some("[1,2]")), item(r#"{"b":1.10}"#, None)]);
        assert_eq!(
            String::from_utf8(row).unwrap(),
            "\"a, b\",3,succeeded,,\"[1,2]\"\n\"{\"\"b\"\":1.10}\",3,succeeded,,\n"
        );
    }
}
