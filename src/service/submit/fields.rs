//! Fields of a form into settings of a batch.
//!
//! Owns the reading of `task`, `name`, `params`, `options`, and of what a plain HTML form posts instead: `param.NAME`,
//! `option.NAME`, `kind`, `delimiter`, `count`. Called by the form reader. Invariant: an empty field is a missing one.
//! Deliberately leaves the judgement of values to the task's schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::request::parse_query_json;
use crate::protocol::{ApiError, ErrorCode, Json, NewBatch, Object, Options};
use crate::tasks::Registry;

/// Settings of one form; more are refused as `too_large`.
const FIELDS_MAX: usize = 200;
/// Bytes of all settings of one form, names included; more are refused as `too_large`.
pub(super) const FIELDS_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a name that a refusal repeats.
const NAME_CHARS_TOLD: usize = 100;

/// What a form says its items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

/// The fields so far.
#[derive(Debug)]
pub(super) struct Fields {
    task: Option<String>,
    name: Option<String>,
    params: Option<Json>,
    options: Option<Options>,
    /// `param.NAME`, the last value of each.
    param_fields: BTreeMap<String, String>,
    /// `option.NAME`, the last value of each.
    option_fields: BTreeMap<String, String>,
    /// How many came, one that came twice counted twice, and their bytes.
    count_so_far: usize,
    bytes_so_far: usize,
    pub(super) kind: Kind,
    pub(super) delimiter: Option<u8>,
    pub(super) count: Option<u64>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            task: None,
            name: None,
            params: None,
            options: None,
            param_fields: BTreeMap::new(),
            option_fields: BTreeMap::new(),
            count_so_far: 0,
            bytes_so_far: 0,
            kind: Kind::Any,
            delimiter: None,
            count: None,
        }
    }
}

impl Fields {
    /// Takes one field.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), ApiError> {
        self.count_so_far += 1;
        self.bytes_so_far += name.len() + text.len();
        if self.count_so_far > FIELDS_MAX {
            let detail = format!("The form has more than {FIELDS_MAX} settings.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        if self.bytes_so_far > FIELDS_BYTES_MAX {
            let detail = format!("The settings of the form have more than {FIELDS_BYTES_MAX} bytes in all.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let given = Some(text.trim()).filter(|text| !text.is_empty());
        if let Some(param) = name.strip_prefix("param.") {
            put(&mut self.param_fields, param, given);
            return Ok(());
        }
        if let Some(option) = name.strip_prefix("option.") {
            put(&mut self.option_fields, option, given);
            return Ok(());
        }
        match name {
            "task" => self.task = given.map(str::to_owned),
            "name" => self.name = given.map(str::to_owned),
            "params" => self.params = parse_query_json("params", given)?,
            "options" => self.options = parse_query_json("options", given)?.map(|Object(options)| options),
            "kind" => self.kind = given.map_or(Ok(Kind::Any), read_kind)?,
            // A tab would be trimmed away.
            "delimiter" => self.delimiter = read_delimiter(text)?,
            "count" => self.count = given.map(read_count).transpose()?,
            unknown => {
                let unknown: String = unknown.chars().take(NAME_CHARS_TOLD).collect();
                return Err(ApiError::invalid(format!(
                    "There is no field {unknown:?}: expected task, name, params, options, then parts named file."
                )));
            }
        }
        Ok(())
    }

    /// The settings, with typed parameters.
    pub(super) fn new_batch(&mut self, tasks: &Registry) -> Result<NewBatch, ApiError> {
        let task = self.task.clone().ok_or_else(|| ApiError::invalid("The field task is missing."))?;
        let schema = tasks.info(&task).map(|info| info.params.to_value()).unwrap_or_default();
        let params = self.merged_params(&schema)?;
        let options = self.merged_options()?;
        Ok(NewBatch { task, name: self.name.take(), params, options })
    }

    fn merged_params(&mut self, schema: &Value) -> Result<Option<Json>, ApiError> {
        if self.param_fields.is_empty() {
            return Ok(self.params.take());
        }
        let mut object = match self.params.take().map(|params| params.to_value()) {
            None => Map::new(),
            Some(Value::Object(object)) => object,
            Some(_other) => return Err(ApiError::invalid("params: expected a JSON object.")),
        };
        for (name, text) in std::mem::take(&mut self.param_fields) {
            let value = typed(schema, &schema["properties"][&name], &text);
            object.insert(name, value);
        }
        Ok(Some(Json::from_value(&Value::Object(object))))
    }

    fn merged_options(&mut self) -> Result<Options, ApiError> {
        let options = self.options.take().unwrap_or_default();
        if self.option_fields.is_empty() {
            return Ok(options);
        }
        let refuse = |fault: serde_json::Error| ApiError::invalid(format!("options: {fault}."));
        let mut object = serde_json::to_value(&options).map_err(refuse)?;
        for (name, text) in std::mem::take(&mut self.option_fields) {
            let value = option_value(&name, &text);
            match name.strip_prefix("budget.") {
                Some(member) => {
                    if object["budget"].is_null() {
                        object["budget"] = Value::Object(Map::new());
                    }
                    object["budget"][member] = value;
                }
                None => object[name.as_str()] = value,
            }
        }
        serde_json::from_value(object).map_err(refuse)
    }
}

fn put(fields: &mut BTreeMap<String, String>, name: &str, given: Option<&str>) {
    match given {
        Some(text) => fields.insert(name.to_owned(), text.to_owned()),
        None => fields.remove(name),
    };
}

fn read_kind(text: &str) -> Result<Kind, ApiError> {
    match text {
        "file" | "files" => Ok(Kind::Files),
        "line" | "lines" => Ok(Kind::Lines),
        "csv" | "record" | "records" => Ok(Kind::Csv),
        "count" => Ok(Kind::Count),
        other => Err(ApiError::invalid(format!("kind: expected files, lines, csv or count, not {other:?}."))),
    }
}

fn read_count(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_form| ApiError::invalid("count: expected a whole number."))
}

/// Reads a delimiter: one ASCII character that is no quote and ends no line; empty = none named.
///
/// # Errors
/// `invalid` with what was expected.
pub fn read_delimiter(text: &str) -> Result<Option<u8>, ApiError> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(Some(*byte)),
        b"\\t" | b"tab" => Ok(Some(b'\t')),
        _ => Err(ApiError::invalid("delimiter: expected one ASCII character that is no quote or line end.")),
    }
}

/// The value that `text` stands for by the schema of a parameter; text where it fits no other kind, so that the
/// schema's own sentence is the answer.
fn typed(root: &Value, property: &Value, text: &str) -> Value {
    let mut kinds = Vec::new();
    collect_kinds(root, property, &mut kinds, 0);
    let has = |kind: &str| kinds.iter().any(|found| found == kind);
    if has("boolean") {
        match text {
            "true" | "on" | "yes" | "1" => return Value::Bool(true),
            "false" | "off" | "no" | "0" => return Value::Bool(false),
            _ => {}
        }
    }
    if has("integer") || has("number") {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
        if let Ok(number) = text.parse::<u64>() {
            return number.into();
        }
        if let Some(number) =
            text.parse().ok().and_then(serde_json::Number::from_f64).filter(|_| has("number"))
        {
            return Value::Number(number);
        }
    }
    if (has("object") || has("array"))
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    Value::String(text.to_owned())
}

/// Depth to which references in a schema are followed.
const SCHEMA_DEPTH_MAX: usize = 4;

fn collect_kinds(root: &Value, property: &Value, kinds: &mut Vec<String>, depth: usize) {
    if depth > SCHEMA_DEPTH_MAX {
        return;
    }
    match &property["type"] {
        Value::String(kind) => kinds.push(kind.clone()),
        Value::Array(several) => kinds.extend(several.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    }
    if let Some(at) = property["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'))
        && let Some(target) = root.pointer(at)
    {
        collect_kinds(root, target, kinds, depth + 1);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for option in property[choice].as_array().into_iter().flatten() {
            collect_kinds(root, option, kinds, depth + 1);
        }
    }
}

/// The value of an option's field.
fn option_value(name: &str, text: &str) -> Value {
    match name {
        "webhook" => Value::String(text.to_owned()),
        // What a browser's date field posts has neither seconds nor a zone: it is taken as UTC.
        "start_at" if text.len() == "2026-01-31T09:41".len() => Value::String(format!("{text}:00Z")),
        "start_at" => Value::String(text.to_owned()),
        "open" | "private" => match text {
            "true" | "on" | "yes" | "1" => Value::Bool(true),
            "false" | "off" | "no" | "0" => Value::Bool(false),
            other => Value::String(other.to_owned()),
        },
        _ => serde_json::from_str(text).unwrap_or_else(|_no_json| Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_typed_by_the_schema() {
        let schema = serde_json::json!({
            "properties": {
                "width": {"type": ["integer", "null"]}, "rate": {"type": "number"}, "spin": {"type": "boolean"},
                "fit": {"$ref": "#/$defs/Fit"}, "columns": {"type": "object"},
                "size": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}]}
            },
            "$defs": {"Fit": {"type": "string", "enum": ["cover"]}, "Size": {"type": "integer"}}
        });
        let value = |name: &str, text: &str| typed(&schema, &schema["properties"][name], text).to_string();
        assert_eq!(value("width", "320"), "320");
        assert_eq!(value("width", "wide"), r#""wide""#);
        assert_eq!(value("rate", "0.5"), "0.5");
        assert_eq!(value("rate", "2"), "2");
        assert_eq!(value("spin", "on"), "true");
        assert_eq!(value("fit", "12"), r#""12""#);
        assert_eq!(value("size", "12"), "12");
        assert_eq!(value("columns", r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(value("unknown", "1"), r#""1""#);
    }

    #[test]
    fn options_of_a_page_are_read() {
        let mut fields = Fields::default();
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
        fields.set("option.priority", "high").unwrap();
        assert!(fields.merged_options().is_err());
        assert!(fields.set("colour", "red").is_err());
    }

    #[test]
    fn settings_are_bounded() {
        let mut fields = Fields::default();
        for at in 0..FIELDS_MAX {
            fields.set(&format!("param.{at}"), "1").unwrap();
        }
        assert_eq!(fields.set("name", "one more").unwrap_err().code, ErrorCode::TooLarge);
        let mut fields = Fields::default();
        fields.set("params", &" ".repeat(FIELDS_BYTES_MAX - 100)).unwrap();
        assert_eq!(fields.set("name", &"x".repeat(101)).unwrap_err().code, ErrorCode::TooLarge);
    }

    #[test]
    fn delimiters_are_one_character() {
        assert_eq!(read_delimiter("").unwrap(), None);
        assert_eq!(read_delimiter(";").unwrap(), Some(b';'));
        assert_eq!(read_delimiter("\t").unwrap(), Some(b'\t'));
        for bad in ["\"", "ab", "é", "\n"] {
            assert!(read_delimiter(bad).is_err(), "{bad:?}");
        }
    }
}
