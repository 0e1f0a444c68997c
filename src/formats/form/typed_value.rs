//! Texts of form fields into JSON: the value that a text stands for, by the schema of its parameter.
//!
//! A number keeps the digits that were typed, as one in a JSON body does: nothing is read as a float and written anew
//! where the text is JSON already.

use serde_json::Value;

use crate::protocol::Json;

/// What `text` stands for as the parameter whose schema is `property`, inside the schema `root`; a string where it fits
/// no other kind, so that the schema's own sentence is the answer.
pub(super) fn typed_value(root: &Value, property: &Value, text: &str) -> Json {
    let kinds = kinds(root, property);
    let has = |kind: &str| kinds.iter().any(|found| found == kind);
    let number = if has("number") {
        number_value(text)
    } else if has("integer") {
        whole_number_value(text)
    } else {
        None
    };
    let boolean = if has("boolean") { boolean_value(text) } else { None };
    let nested = || if has("object") || has("array") { Json::parse(text).ok() } else { None };
    boolean.or(number).or_else(nested).unwrap_or_else(|| Json::string(text))
}

/// What `text` stands for as the option `name`; a string where it is no JSON, which the reader of options then refuses.
pub(super) fn option_value(name: &str, text: &str) -> Json {
    match name {
        "webhook" | "parent" => Json::string(text),
        // What a browser's date field posts has neither seconds nor a zone: it is taken as UTC.
        "start_at" if text.len() == "2026-01-31T09:41".len() => Json::string(&format!("{text}:00Z")),
        "start_at" => Json::string(text),
        "open" | "private" => boolean_value(text).unwrap_or_else(|| Json::string(text)),
        _ => Json::parse(text).unwrap_or_else(|_no_json| Json::string(text)),
    }
}

fn boolean_value(text: &str) -> Option<Json> {
    match text {
        "true" | "on" | "yes" | "1" => Some(Json::from_value(&Value::Bool(true))),
        "false" | "off" | "no" | "0" => Some(Json::from_value(&Value::Bool(false))),
        _ => None,
    }
}

fn number_value(text: &str) -> Option<Json> {
    whole_number_value(text).or_else(|| json_number(text)).or_else(|| {
        // What people also write and JSON does not know: `.5`, `1.`, `+0.5`.
        let number = text.parse().ok().and_then(serde_json::Number::from_f64)?;
        Some(Json::from_value(&Value::Number(number)))
    })
}

fn whole_number_value(text: &str) -> Option<Json> {
    // Also what JSON does not know: `+5`, `007`.
    if let Ok(number) = text.parse::<i64>() {
        return Some(Json::from_value(&number.into()));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Json::number(number));
    }
    // Longer than 64 bits: every digit is kept.
    json_number(text).filter(|number| !number.as_str().contains(['.', 'e', 'E']))
}

/// The number, as it was typed.
fn json_number(text: &str) -> Option<Json> {
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    Json::parse(text).ok()
}

/// The types that the schema `property`, inside the schema `root`, allows; none where it says nothing of them.
pub fn kinds(root: &Value, property: &Value) -> Vec<String> {
    let mut kinds = Vec::new();
    collect_kinds(root, property, &mut kinds, 0);
    kinds
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
        let value = |name: &str, text: &str| {
            typed_value(&schema, &schema["properties"][name], text).as_str().to_owned()
        };
        assert_eq!(value("width", "320"), "320");
        assert_eq!(value("width", "wide"), r#""wide""#);
        assert_eq!(value("rate", "0.5"), "0.5");
        assert_eq!(value("rate", "2"), "2");
        assert_eq!(value("spin", "on"), "true");
        for digits in
            ["0.1000000000000000055511151231257827", "12345678901234567890123", "-1.50e+300", "1e999"]
        {
            assert_eq!(value("rate", digits), digits);
        }
        assert_eq!(value("width", "12345678901234567890123"), "12345678901234567890123");
        assert_eq!(
            (value("rate", ".5"), value("rate", "+5"), value("width", "007")),
            ("0.5".into(), "5".into(), "7".into())
        );
        assert_eq!(value("width", "1.5"), r#""1.5""#);
        for no_number in ["inf", "NaN", "-", "1 2", "0x10"] {
            assert_eq!(value("rate", no_number), Json::string(no_number).as_str());
        }
        assert_eq!(value("fit", "12"), r#""12""#);
        assert_eq!(value("size", "12"), "12");
        assert_eq!(value("columns", r#"{"a":1.10}"#), r#"{"a":1.10}"#);
        assert_eq!(value("unknown", "1"), r#""1""#);
    }
}
