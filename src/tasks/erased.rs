//! A task without the type of its parameters, and how parameters are checked against a schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::task::{GuessedColumn, Prepared};
use crate::protocol::{Json, TaskInfo};

/// Parameters with defaults filled in and the task made ready with them; or one sentence per parameter at fault.
pub type Ready = Result<(Json, Arc<dyn Prepared>), Vec<String>>;

/// A task without its parameters' type.
pub(super) trait Erased: Send + Sync {
    fn info(&self) -> &Arc<TaskInfo>;
    fn prepare(&self, params: &Json) -> Ready;
    fn guess_columns(&self, _rows: &[Vec<String>], _columns: usize) -> Option<Vec<GuessedColumn>> {
        None
    }
}

/// The parameters with defaults filled in, where they fit the schema; else one sentence per parameter at fault.
pub(super) fn checked(
    params: &Json,
    schema: &Value,
    validator: &jsonschema::Validator,
) -> Result<Value, Vec<String>> {
    // A value that cannot be read must not pass for one that was not given.
    let mut value: Value = serde_json::from_str(params.as_str()).map_err(|fault| vec![fault.to_string()])?;
    if value.is_null() {
        value = Value::Object(serde_json::Map::new());
    }
    fill_defaults(&mut value, schema);
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .map(|fault| match fault.instance_path().to_string() {
            place if place.is_empty() => fault.to_string(),
            place => format!("{}: {fault}", place.trim_start_matches('/')),
        })
        .collect();
    if faults.is_empty() { Ok(value) } else { Err(faults) }
}

/// The text of `value`, which is `params` with defaults filled in: what was given stands as it was written, so that no
/// long number is rounded.
pub(super) fn as_written(params: &Json, value: &Value) -> Json {
    let given: BTreeMap<String, Json> = params.members().into_iter().flatten().collect();
    let members = value.as_object().into_iter().flatten().map(|(name, value)| {
        let value = given.get(name).cloned().unwrap_or_else(|| Json::from_value(value));
        (name.clone(), value)
    });
    Json::object(members)
}

/// Gives every missing top-level parameter the default that its schema names.
fn fill_defaults(value: &mut Value, schema: &Value) {
    let (Some(given), Some(declared)) = (value.as_object_mut(), schema["properties"].as_object()) else {
        return;
    };
    for (name, property) in declared {
        if let Some(default) = property.get("default") {
            given.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
}
