//! Fields of a form into the settings of a batch.
//!
//! Reads `task`, `name`, `params`, `options`, and what a plain HTML form posts instead: `param.NAME`, `option.NAME`,
//! `option.start_zone` (the time zone of `option.start_at`), `kind`, `count`, `unpack`, `folder`, `pattern`; `encoding`, and the options
//! of a CSV; `columns./COLUMN`, what a column is to be called, and [the fields of a grid](super::grid_fields). An empty field is a
//! missing one. Whether the values are acceptable is for the task's
//! schema to say.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::grid_fields::GridFields;
use super::local_time::instant;
use super::typed_value::{option_value, typed_value};
use crate::formats::csv::options::{CsvOptions, FirstRow};
use crate::formats::encoding::TextEncoding;
use crate::formats::json_body::parse_setting;
use crate::protocol::{ApiError, ErrorCode, Json, NewBatch, Object, Options};

/// Settings of one form; more are refused as `too_large`.
const FIELDS_MAX: usize = 200;
/// Bytes of all settings of one form, names included; more are refused as `too_large`.
const FIELDS_BYTES_MAX: usize = 1024 * 1024;
/// What the name of a field begins with that says what a column is to be called.
const RENAMED: &str = "columns./";
/// Characters of a name that a refusal repeats.
const NAME_CHARS_SHOWN_MAX: usize = 100;

/// What a form says its items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormKind {
    /// Whatever part comes.
    Any,
    /// Parts named `file`.
    Files,
    /// The text in `lines`.
    Lines,
    /// The part or text named `csv`.
    Csv,
    /// Numbers, as many as `count` says.
    Count,
}

/// What becomes of files whose name ends in `.zip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZipFiles {
    /// They are items.
    Kept,
    /// The files in them are.
    Unpacked,
}

/// The settings so far.
#[derive(Clone, Debug)]
pub(super) struct FormSettings {
    task: Option<String>,
    name: Option<String>,
    params: Option<Json>,
    options: Option<Options>,
    /// `param.NAME`, the last value of each.
    param_fields: BTreeMap<String, String>,
    /// `option.NAME`, the last value of each.
    option_fields: BTreeMap<String, String>,
    /// `param./PARAMETER/COLUMN/RULE`.
    pub(super) grid: GridFields,
    /// How many came, one that came twice counted twice, and their bytes.
    fields_so_far: usize,
    bytes_so_far: usize,
    pub(super) kind: FormKind,
    pub(super) csv: CsvOptions,
    /// What the first row of a CSV was said to be.
    pub(super) first_row: Option<FirstRow>,
    pub(super) encoding: TextEncoding,
    pub(super) zips: ZipFiles,
    pub(super) count: Option<u64>,
    /// A folder of the server, in place of files.
    pub(super) folder: Option<String>,
    pub(super) pattern: Option<String>,
}

impl Default for FormSettings {
    fn default() -> Self {
        Self {
            task: None,
            name: None,
            params: None,
            options: None,
            param_fields: BTreeMap::new(),
            option_fields: BTreeMap::new(),
            grid: GridFields::default(),
            fields_so_far: 0,
            bytes_so_far: 0,
            kind: FormKind::Any,
            csv: CsvOptions::default(),
            first_row: None,
            encoding: TextEncoding::Auto,
            zips: ZipFiles::Kept,
            count: None,
            folder: None,
            pattern: None,
        }
    }
}

impl FormSettings {
    /// Adds one field.
    ///
    /// # Errors
    /// `too_large` over a bound; `invalid` or `malformed` for a field that cannot be read or that there is not.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), ApiError> {
        let is_of_column = name.starts_with("param./") || name.starts_with(RENAMED);
        // Those of a grid have a bound of their own.
        self.fields_so_far += usize::from(!is_of_column);
        self.bytes_so_far += name.len() + text.len();
        if self.fields_so_far > FIELDS_MAX {
            let detail = format!("The form has more than {FIELDS_MAX} settings.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        if self.bytes_so_far > FIELDS_BYTES_MAX {
            let detail = format!("The settings of the form have more than {FIELDS_BYTES_MAX} bytes in all.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let given = Some(text.trim()).filter(|text| !text.is_empty());
        if let Some(param) = name.strip_prefix("param.") {
            if self.grid.set(param, text)? {
                return Ok(());
            }
            put(&mut self.param_fields, param, given);
            return Ok(());
        }
        if let Some(option) = name.strip_prefix("option.") {
            put(&mut self.option_fields, option, given);
            return Ok(());
        }
        if let Some(column) = name.strip_prefix(RENAMED) {
            return self.rename(column, given);
        }
        match name {
            "task" => self.task = given.map(str::to_owned),
            "name" => self.name = given.map(str::to_owned),
            "params" => self.params = parse_setting("params", given)?,
            "options" => self.options = parse_setting("options", given)?.map(|Object(options)| options),
            "kind" => self.kind = given.map_or(Ok(FormKind::Any), read_kind)?,
            "folder" => self.folder = given.map(str::to_owned),
            "pattern" => self.pattern = given.map(str::to_owned),
            "unpack" => self.zips = read_zips(given)?,
            "encoding" => self.encoding = TextEncoding::read(text)?,
            "count" => self.count = given.map(read_count).transpose()?,
            "header" if !text.trim().is_empty() => {
                self.csv.set(name, text)?;
                self.first_row = Some(self.csv.first_row);
            }
            // A tab, which is a delimiter, would be trimmed away.
            csv if self.csv.set(csv, text)? => {}
            unknown => {
                let unknown: String = unknown.chars().take(NAME_CHARS_SHOWN_MAX).collect();
                return Err(ApiError::invalid(format!(
                    "There is no field {unknown:?}: expected task, name, params, options, then parts named file."
                )));
            }
        }
        Ok(())
    }

    /// What a column of the file is to be called; left out where that is empty.
    fn rename(&mut self, column: &str, to: Option<&str>) -> Result<(), ApiError> {
        let refused = |_bytes| ApiError::invalid("columns./: expected a column, percent-encoded in UTF-8.");
        let column = percent_decode_str(column).decode_utf8().map_err(refused)?.into_owned();
        if to == Some(column.as_str()) {
            self.csv.columns.remove(&column);
        } else {
            self.csv.columns.insert(column, to.map(str::to_owned));
        }
        Ok(())
    }

    /// What a column of the file is called in the records; none where it is left out.
    pub(super) fn called(&self, column: &str) -> Option<String> {
        self.csv.columns.get(column).cloned().unwrap_or_else(|| Some(column.to_owned()))
    }

    /// What the settings ask for; `schema_of` gives the schema of a task's parameters, or null for a task that there is
    /// not.
    ///
    /// # Errors
    /// `invalid` where the task is missing, or the fields fit no parameters or options.
    pub(super) fn new_batch(&mut self, schema_of: impl FnOnce(&str) -> Value) -> Result<NewBatch, ApiError> {
        let task = self.task.clone().ok_or_else(|| ApiError::invalid("The field task is missing."))?;
        let params = self.merged_params(|| schema_of(&task))?;
        let options = self.merged_options()?;
        Ok(NewBatch { task, name: self.name.take(), params, options })
    }

    fn merged_params(&mut self, schema: impl FnOnce() -> Value) -> Result<Option<Json>, ApiError> {
        if self.param_fields.is_empty() && self.grid.is_empty() {
            return Ok(self.params.take());
        }
        let given = match self.params.take() {
            None => Vec::new(),
            Some(params) => {
                params.members().ok_or_else(|| ApiError::invalid("params: expected a JSON object."))?
            }
        };
        let schema = schema();
        let fields = std::mem::take(&mut self.param_fields).into_iter().map(|(name, text)| {
            let value = typed_value(&schema, &schema["properties"][&name], &text);
            (name, value)
        });
        let mut params = replaced(given, fields.collect());
        self.grid.lay_over(&mut params, &schema, |column| self.called(column));
        Ok(Some(Json::object(params)))
    }

    fn merged_options(&mut self) -> Result<Options, ApiError> {
        let options = self.options.take().unwrap_or_default();
        if self.option_fields.is_empty() {
            return Ok(options);
        }
        let refuse = |fault: serde_json::Error| ApiError::invalid(format!("options: {fault}."));
        let given = serde_json::to_string(&options).and_then(|text| Json::parse(&text)).map_err(refuse)?;
        let given = given.members().unwrap_or_default();
        let (mut fields, mut budget) = (BTreeMap::new(), BTreeMap::new());
        // Beside the options, since it only says how one of them is meant.
        if let Some(zone) = self.option_fields.remove("start_zone")
            && let Some(start) = self.option_fields.get_mut("start_at")
        {
            *start = instant(start, &zone)?;
        }
        for (name, text) in std::mem::take(&mut self.option_fields) {
            let value = option_value(&name, &text);
            match name.strip_prefix("budget.") {
                Some(member) => budget.insert(member.to_owned(), value),
                None => fields.insert(name, value),
            };
        }
        if !budget.is_empty() {
            let before = fields.remove("budget").or_else(|| {
                given.iter().find(|(name, _value)| name == "budget").map(|(_name, value)| value.clone())
            });
            let before = match before.filter(|budget| *budget != Json::default()) {
                None => Vec::new(),
                Some(budget) => budget
                    .members()
                    .ok_or_else(|| ApiError::invalid("options: expected an object for the budget."))?,
            };
            fields.insert("budget".to_owned(), Json::object(replaced(before, budget)));
        }
        serde_json::from_str(Json::object(replaced(given, fields)).as_str()).map_err(refuse)
    }
}

/// Members of an object, those that `fields` names replaced in their place, and the rest of `fields` at the end.
fn replaced(mut members: Vec<(String, Json)>, mut fields: BTreeMap<String, Json>) -> Vec<(String, Json)> {
    let mut used = BTreeSet::new();
    // A member that stands twice is replaced twice: whoever reads it takes the last.
    for (name, value) in &mut members {
        if let Some(field) = fields.get(name) {
            *value = field.clone();
            used.insert(name.clone());
        }
    }
    fields.retain(|name, _field| !used.contains(name));
    members.extend(fields);
    members
}

fn put(fields: &mut BTreeMap<String, String>, name: &str, given: Option<&str>) {
    match given {
        Some(text) => fields.insert(name.to_owned(), text.to_owned()),
        None => fields.remove(name),
    };
}

fn read_kind(text: &str) -> Result<FormKind, ApiError> {
    match text {
        "file" | "files" => Ok(FormKind::Files),
        "line" | "lines" => Ok(FormKind::Lines),
        "csv" | "record" | "records" => Ok(FormKind::Csv),
        "count" => Ok(FormKind::Count),
        other => Err(ApiError::invalid(format!("kind: expected files, lines, csv or count, not {other:?}."))),
    }
}

fn read_zips(given: Option<&str>) -> Result<ZipFiles, ApiError> {
    match given {
        None | Some("false" | "off") => Ok(ZipFiles::Kept),
        Some("true" | "on") => Ok(ZipFiles::Unpacked),
        Some(_) => Err(ApiError::invalid("unpack: expected true or false.")),
    }
}

fn read_count(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_form| ApiError::invalid("count: expected a whole number."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_page_are_read() {
        let mut fields = FormSettings::default();
        for (name, text) in [
            ("option.priority", "5"),
            ("option.open", "on"),
            ("option.concurrency", " "),
            ("option.timeout_seconds", "1.5"),
            ("option.start_at", "2026-01-31T09:41"),
            ("option.budget.failed_percent", "2"),
        ] {
            fields.set(name, text).unwrap();
        }
        let options = fields.merged_options().unwrap();
        assert_eq!((options.priority, options.open, options.concurrency), (5, true, None));
        assert_eq!(options.timeout_seconds, Some(1.5));
        assert_eq!(options.start_at.unwrap().to_string(), "2026-01-31T09:41:00.000Z");
        assert_eq!(options.budget.unwrap().failed_percent, Some(2.0));
        fields.set("option.budget", "2").unwrap();
        fields.set("option.budget.failed_in_a_row", "2").unwrap();
        assert!(fields.merged_options().is_err());
        fields.set("option.priority", "high").unwrap();
        assert!(fields.merged_options().is_err());
        assert!(fields.set("colour", "red").is_err());
    }

    #[test]
    fn numbers_keep_their_digits() {
        let mut settings = FormSettings::default();
        for (name, text) in [
            ("task", "demo"),
            ("params", r#"{"a":1.10,"rate":1,"b":[2.50]}"#),
            ("param.rate", "0.1000000000000000055511151231257827"),
            ("param.more", "12345678901234567890123"),
            ("options", r#"{"then":{"task":"demo","params":{"a":1.10},"items":[12345678901234567890123]}}"#),
            ("option.priority", "5"),
        ] {
            settings.set(name, text).unwrap();
        }
        let schema =
            serde_json::json!({"properties": {"rate": {"type": "number"}, "more": {"type": "number"}}});
        let new = settings.new_batch(|_task| schema).unwrap();
        assert_eq!(
            new.params.unwrap().as_str(),
            r#"{"a":1.10,"rate":0.1000000000000000055511151231257827,"b":[2.50],"more":12345678901234567890123}"#
        );
        assert_eq!(
            new.options.then.unwrap().as_str(),
            r#"{"task":"demo","params":{"a":1.10},"items":[12345678901234567890123]}"#
        );
        assert_eq!(new.options.priority, 5);
    }

    #[test]
    fn settings_are_bounded() {
        let mut fields = FormSettings::default();
        for at in 0..FIELDS_MAX {
            fields.set(&format!("param.{at}"), "1").unwrap();
        }
        assert_eq!(fields.set("name", "one more").unwrap_err().code, ErrorCode::TooLarge);
        let mut fields = FormSettings::default();
        fields.set("params", &" ".repeat(FIELDS_BYTES_MAX - 100)).unwrap();
        assert_eq!(fields.set("name", &"x".repeat(101)).unwrap_err().code, ErrorCode::TooLarge);
    }
}
