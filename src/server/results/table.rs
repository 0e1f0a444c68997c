//! Rows as CSV: the input's columns, where the item stands, the result's fields.
//!
//! Every row has the columns of the header; no cell is a formula to a spreadsheet; numbers and nested values stand as
//! they were written. The columns are those known when the download begins: of a batch that still runs, a field that
//! is first seen later has none.

use std::collections::{BTreeMap, BTreeSet};

use super::pages::ResultItem;
use crate::formats::csv::formula::marked;
use crate::protocol::{InputKind, Json};
use crate::store::{BatchRecord, PLAIN_COLUMN};

/// The columns of ours that every export has.
const OWN_COLUMNS: [&str; 3] = ["milepost_seq", "milepost_state", "milepost_error"];
/// What a result's column is called by that would be called as one of the input.
const CLASH_PREFIX: &str = "result_";

/// Whether a byte order mark stands first, by which a spreadsheet knows UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrderMark {
    First,
    Absent,
}

impl ByteOrderMark {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "true" => Some(Self::First),
            "false" => Some(Self::Absent),
            _ => None,
        }
    }
}

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
        let mut result_columns = batch.result_columns.clone();
        // What stands whole comes after what has names of its own.
        result_columns.sort_by_key(|name| name == PLAIN_COLUMN);
        let input_columns = kept_columns(&batch.columns, &result_columns);
        let header = header(&input_columns, &result_columns);
        Self { input: batch.input, input_columns, result_columns, header }
    }

    /// The first line.
    pub(super) fn header(&self, mark: ByteOrderMark) -> Vec<u8> {
        let mut writer = writer();
        write(&mut writer, self.header.iter().map(|name| marked(name.clone())));
        let header = finish(writer);
        match mark {
            ByteOrderMark::First => ["\u{feff}".as_bytes(), &header].concat(),
            ByteOrderMark::Absent => header,
        }
    }

    /// A line per item.
    pub(super) fn rows(&self, items: &[ResultItem]) -> Vec<u8> {
        let mut writer = writer();
        for item in items {
            write(&mut writer, self.cells(item).into_iter().map(marked));
        }
        finish(writer)
    }

    fn cells(&self, item: &ResultItem) -> Vec<String> {
        let mut cells = Vec::with_capacity(self.header.len());
        if self.input_columns.is_empty() {
            cells.push(self.input_cell(&item.input));
        } else {
            let members = members(&item.input).unwrap_or_default();
            cells.extend(
                self.input_columns.iter().map(|column| members.get(column).map(cell).unwrap_or_default()),
            );
        }
        cells.push(item.seq.to_string());
        cells.push(item.state.as_str().to_owned());
        cells.push(item.error.clone().unwrap_or_default());
        self.push_result(item.result.as_ref(), &mut cells);
        cells
    }

    /// The fields of an object in their columns. Whatever has no column is not lost: the whole value stands in
    /// [`PLAIN_COLUMN`], where there is one.
    fn push_result(&self, result: Option<&Json>, cells: &mut Vec<String>) {
        if self.result_columns.is_empty() {
            return cells.push(result.map(cell).unwrap_or_default());
        }
        let members = result.and_then(members);
        let has_column = |name: &String| self.result_columns.contains(name);
        let whole = match &members {
            Some(members) if members.keys().all(has_column) => None,
            Some(_) | None => result.map(cell),
        };
        cells.extend(self.result_columns.iter().map(|column| {
            let field = members.as_ref().and_then(|members| members.get(column)).map(cell);
            let whole = whole.as_ref().filter(|_| column == PLAIN_COLUMN);
            field.or_else(|| whole.cloned()).unwrap_or_default()
        }));
    }

    /// A file is shown by its name, anything else by its text.
    fn input_cell(&self, input: &Json) -> String {
        let name = || members(input).and_then(|mut members| members.remove("name"));
        match self.input {
            InputKind::File => name().as_ref().unwrap_or(input).display_text(),
            // As it came: a `null` too.
            InputKind::Line | InputKind::Record => input.display_text(),
        }
    }
}

/// The input's columns but those that an earlier export added, which ours replace: the three of [`OWN_COLUMNS`], and, where
/// all of them are there, those of results after them. So an export that is submitted again comes back in the same shape.
fn kept_columns(input_columns: &[String], result_columns: &[String]) -> Vec<String> {
    let position = |own: &str| input_columns.iter().position(|name| name == own);
    let is_export = OWN_COLUMNS.iter().all(|own| position(own).is_some());
    let results_from = position(OWN_COLUMNS[2]).filter(|_| is_export).unwrap_or(usize::MAX);
    let is_result = |name: &str| match result_columns {
        [] => name == PLAIN_COLUMN,
        names => names.iter().any(|result| result == name),
    };
    // With as many prefixes as it was given for its clashes.
    let is_renamed =
        |name: &str| std::iter::successors(Some(name), |name| name.strip_prefix(CLASH_PREFIX)).any(is_result);
    let comes_anew =
        |at: usize, name: &str| OWN_COLUMNS.contains(&name) || (at > results_from && is_renamed(name));
    let kept = input_columns.iter().enumerate().filter(|(at, name)| !comes_anew(*at, name));
    kept.map(|(_at, name)| name.clone()).collect()
}

/// The names of all columns: a result's that is taken already gets `result_` in front.
fn header(input_columns: &[String], result_columns: &[String]) -> Vec<String> {
    let one = |name: &str| vec![name.to_owned()];
    let mut header = if input_columns.is_empty() { one("input") } else { input_columns.to_vec() };
    header.extend(OWN_COLUMNS.map(str::to_owned));
    let named = if result_columns.is_empty() { one("result") } else { result_columns.to_vec() };
    let mut taken: BTreeSet<String> = header.iter().cloned().collect();
    for mut name in named {
        while taken.contains(&name) {
            name = format!("{CLASH_PREFIX}{name}");
        }
        taken.insert(name.clone());
        header.push(name);
    }
    header
}

/// The members of an object by name; none for any other value.
fn members(object: &Json) -> Option<BTreeMap<String, Json>> {
    object.members().map(|members| members.into_iter().collect())
}

/// What a value looks like in a cell: text as it reads, null as nothing, the rest as it was written.
fn cell(value: &Json) -> String {
    if value.as_str() == "null" { String::new() } else { value.display_text() }
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

    fn item(input: &str, result: Option<&str>) -> ResultItem {
        ResultItem {
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
    fn columns_that_clash_are_renamed() {
        let table = table(&["name", "age", "result_age"], &["age", "valid"]);
        assert_eq!(
            String::from_utf8(table.header(ByteOrderMark::Absent)).unwrap(),
            "name,age,result_age,milepost_seq,milepost_state,milepost_error,result_result_age,valid\n"
        );
        let row = table.rows(&[item(r#"{"name":"=ada","age":"36","result_age":""}"#, Some(r#"{"age":37}"#))]);
        assert_eq!(String::from_utf8(row).unwrap(), "'=ada,36,,3,succeeded,,37,\n");
    }

    #[test]
    fn an_export_that_is_submitted_again_keeps_its_shape() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (input, results) in [
            (names(&["id", "age"]), names(&["valid"])),
            (names(&["id", "valid", "result"]), names(&["valid", "extra"])),
            (names(&["id", "result_valid", "valid"]), names(&["valid"])),
            (names(&["id"]), Vec::new()),
            (names(&["result"]), Vec::new()),
            (Vec::new(), names(&["ok", "result"])),
        ] {
            let mut columns = input;
            let first = header(&kept_columns(&columns, &results), &results);
            for _round in 0..4 {
                columns = header(&kept_columns(&columns, &results), &results);
                assert_eq!(columns, first);
                let distinct: BTreeSet<&String> = columns.iter().collect();
                assert_eq!(distinct.len(), columns.len(), "{columns:?}");
            }
        }
        // What somebody added is kept, and so is what only looks like ours.
        let mended = names(&["id", "milepost_seq", "milepost_state", "milepost_error", "valid", "note"]);
        assert_eq!(kept_columns(&mended, &names(&["valid"])), ["id", "note"]);
        let joined = names(&["milepost_seq", "valid", "milepost_error"]);
        assert_eq!(kept_columns(&joined, &names(&["valid"])), ["valid"]);
    }

    #[test]
    fn a_mark_stands_first_where_it_is_wanted() {
        assert_eq!(table(&["é"], &[]).header(ByteOrderMark::First)[..5], *"\u{feff}é".as_bytes());
        assert_eq!(table(&["é"], &[]).header(ByteOrderMark::Absent)[..2], *"é".as_bytes());
    }

    #[test]
    fn numbers_stand_as_they_were_written() {
        let table = table(&["n"], &["id", "price", "nested"]);
        let result = r#"{"id":36893488147419103231,"price":1.10,"nested":{"a":[1e3, 1e999]}}"#;
        let row = table.rows(&[item(r#"{"n":-9223372036854775809}"#, Some(result))]);
        assert_eq!(
            String::from_utf8(row).unwrap(),
            "-9223372036854775809,3,succeeded,,36893488147419103231,1.10,\"{\"\"a\"\":[1e3, 1e999]}\"\n"
        );
    }

    #[test]
    fn a_result_without_columns_of_its_own_stands_whole() {
        let table = table(&[], &["ok", "result"]);
        let rows: Vec<ResultItem> =
            [r#"{"ok":"yes"}"#, r#""text""#, "true", r#"{"ok":1,"more":2}"#, r#"{"result":1.0}"#, "null"]
                .map(|result| item("1", Some(result)))
                .into();
        let text = String::from_utf8(table.rows(&rows)).unwrap();
        let results: Vec<&str> = text.lines().map(|line| &line["1,3,succeeded,,".len()..]).collect();
        assert_eq!(results, ["yes,", ",text", ",true", "1,\"{\"\"ok\"\":1,\"\"more\"\":2}\"", ",1.0", ","]);
    }

    #[test]
    fn plain_inputs_and_results_have_one_column_each() {
        let table = table(&[], &[]);
        assert_eq!(
            String::from_utf8(table.header(ByteOrderMark::Absent)).unwrap(),
            "input,milepost_seq,milepost_state,milepost_error,result\n"
        );
        let row = table.rows(&[item(r#""a, b""#, Some("[1,2]")), item(r#"{"b":1.10}"#, None)]);
        assert_eq!(
            String::from_utf8(row).unwrap(),
            "\"a, b\",3,succeeded,,\"[1,2]\"\n\"{\"\"b\"\":1.10}\",3,succeeded,,\n"
        );
    }
}
