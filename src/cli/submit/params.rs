//! Parameters and options as they are written on a command line, `K=V`, by what is expected there.

use serde_json::{Map, Value};

use crate::cli::CliError;
use crate::formats::form::typed_value::kinds;
use crate::protocol::TaskInfo;

/// Parts `K=V` at the first `=`.
///
/// # Errors
/// What was expected.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected K=V, like width=640".to_owned()),
    }
}

/// The parameters of a task, each of the type that its schema says.
///
/// # Errors
/// For a name that the task does not have, a value of another type, a name given twice, and one that is missing.
pub(super) fn of_task(task: &TaskInfo, given: &[(String, String)]) -> Result<Value, CliError> {
    let schema: Value = serde_json::from_str(task.params.as_str()).unwrap_or_default();
    let no_properties = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&no_properties);
    let closed = schema["additionalProperties"] == Value::Bool(false);
    let mut params = Map::new();
    for (key, text) in given {
        let property = properties.get(key);
        if property.is_none() && (closed || !properties.is_empty()) {
            let known: Vec<_> = properties.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(CliError::Argument(format!(
                "--param: {key:?} is no parameter of {}; it has: {known}",
                task.name
            )));
        }
        let value = typed(&schema, property, text).map_err(|expected| {
            CliError::Argument(format!("--param {key}: expected {expected}, found {text:?}"))
        })?;
        if params.insert(key.clone(), value).is_some() {
            return Err(CliError::Argument(format!("--param {key} is given twice")));
        }
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !params.contains_key(key) {
            return Err(CliError::Argument(format!("--param {key}=… is missing: {} needs it", task.name)));
        }
    }
    Ok(Value::Object(params))
}

/// The options of a batch. Names and bounds are the server's to check.
///
/// # Errors
/// For a name given twice, and one that this command sets itself.
pub(super) fn options(given: &[(String, String)]) -> Result<Map<String, Value>, CliError> {
    let mut options = Map::new();
    for (key, text) in given {
        if key == "open" {
            return Err(CliError::Argument(
                "--option open: a batch of this command is open while it is filled".to_owned(),
            ));
        }
        // Numbers, booleans and objects as they stand; anything else is text.
        let value = serde_json::from_str(text).unwrap_or_else(|_text| Value::String(text.clone()));
        if options.insert(key.clone(), value).is_some() {
            return Err(CliError::Argument(format!("--option {key} is given twice")));
        }
    }
    Ok(options)
}

/// `text` as one of the types of a property; in words what was expected, where it is none.
fn typed(root: &Value, property: Option<&Value>, text: &str) -> Result<Value, String> {
    let types = property.map(|property| kinds(root, property)).unwrap_or_default();
    let parsed = serde_json::from_str::<Value>(text).ok();
    let is = |name: &str| match (&parsed, name) {
        (Some(Value::Number(number)), "integer") => number.is_i64() || number.is_u64(),
        (Some(Value::Number(_)), "number")
        | (Some(Value::Bool(_)), "boolean")
        | (Some(Value::Object(_)), "object")
        | (Some(Value::Array(_)), "array")
        | (Some(Value::Null), "null") => true,
        _ => false,
    };
    // Text goes as it stands, also `12`, where text is wanted; what is wanted besides is tried first.
    match parsed.clone().filter(|_| types.iter().any(|name| is(name))) {
        Some(value) => Ok(value),
        None if types.iter().any(|name| name == "string") => Ok(Value::String(text.to_owned())),
        None if types.is_empty() => Ok(parsed.unwrap_or_else(|| Value::String(text.to_owned()))),
        None => Err(types.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::{InputKind, Json};

    fn task() -> TaskInfo {
        let schema = json!({"type": "object", "required": ["width"], "additionalProperties": false, "properties": {
            "width": {"type": "integer"}, "title": {"type": "string"}, "sharp": {"type": "boolean"},
            "fit": {"anyOf": [{"$ref": "#/$defs/Fit"}, {"type": "null"}]}, "columns": {"type": "object"},
        }, "$defs": {"Fit": {"type": "string", "enum": ["cover"]}}});
        TaskInfo {
            name: "image".to_owned(),
            title: String::new(),
            description: String::new(),
            input: InputKind::File,
            params: Json::parse(&schema.to_string()).unwrap(),
        }
    }

    fn given(pairs: &[&str]) -> Result<Value, String> {
        let pairs: Vec<_> = pairs.iter().map(|pair| key_value(pair).unwrap()).collect();
        of_task(&task(), &pairs).map_err(|error| error.to_string())
    }

    #[test]
    fn values_have_the_type_of_their_parameter() {
        let params = given(&["width=640", "title=12", "sharp=true", "fit=cover", "columns={\"a\":1}"]);
        let expected =
            json!({"width": 640, "title": "12", "sharp": true, "fit": "cover", "columns": {"a": 1}});
        assert_eq!(params, Ok(expected));
        assert_eq!(given(&["width=1", "title=a=b"]), Ok(json!({"width": 1, "title": "a=b"})));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, words) in [
            (&["width=wide"][..], "--param width: expected integer, found \"wide\""),
            (&["width=1.5"], "expected integer"),
            (&["width=1", "sharp=yes"], "--param sharp: expected boolean"),
            (&["width=1", "wdth=2"], "\"wdth\" is no parameter of image; it has: width, title, sharp"),
            (&["title=x"], "--param width=… is missing"),
            (&["width=1", "width=2"], "given twice"),
        ] {
            let error = given(pairs).unwrap_err();
            assert!(error.contains(words), "{pairs:?}: {error}");
        }
        assert!(key_value("width").is_err() && key_value("=1").is_err());
    }

    #[test]
    fn options_are_json_where_they_are() {
        let pairs = [("concurrency", "4"), ("private", "true"), ("start_at", "2026-07-01T00:00:00Z")];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let expected = json!({"concurrency": 4, "private": true, "start_at": "2026-07-01T00:00:00Z"});
        assert_eq!(Value::Object(options(&pairs).unwrap()), expected);
        assert!(options(&[("open".to_owned(), "true".to_owned())]).is_err());
    }
}
