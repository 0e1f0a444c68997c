//! The fields of a grid: what each column of a CSV must hold, one field for each of its rules.
//!
//! `param./PARAMETER/COLUMN/RULE`, the column percent-encoded as in an address and called as in the file. The parameter is an
//! object from the columns, as records name them, to their rules. A type that is empty takes the column out of it; a rule that
//! the grid does not have stays.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::typed_value::typed_value;
use crate::protocol::limits::COLUMNS_MAX;
use crate::protocol::{ApiError, ErrorCode, Json};

/// The rule that takes a column out where it is empty.
const KIND: &str = "type";
/// Fields of a grid at most; more are refused as `too_large`.
const GRID_FIELDS_MAX: usize = 4 * COLUMNS_MAX;

/// Rules by column, as the file calls it.
type ColumnRules = BTreeMap<String, BTreeMap<String, String>>;

/// The fields so far.
#[derive(Clone, Debug, Default)]
pub(super) struct GridFields {
    /// By parameter.
    params: BTreeMap<String, ColumnRules>,
    fields_so_far: usize,
}

impl GridFields {
    /// Adds `param.PATH`, the last value of each; false where the path is no field of a grid.
    ///
    /// # Errors
    /// `invalid` for a path that cannot be read; `too_large` over the bound.
    pub(super) fn set(&mut self, path: &str, text: &str) -> Result<bool, ApiError> {
        let Some(path) = path.strip_prefix('/') else { return Ok(false) };
        self.fields_so_far += 1;
        if self.fields_so_far > GRID_FIELDS_MAX {
            let detail = format!("The form has more than {GRID_FIELDS_MAX} fields for its columns.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let parts: Vec<&str> = path.split('/').collect();
        let refused = || ApiError::invalid("param./: expected PARAMETER/COLUMN/RULE.");
        let &[param, column, rule] = parts.as_slice() else { return Err(refused()) };
        let column = percent_decode_str(column).decode_utf8().map_err(|_bytes| refused())?.into_owned();
        self.put(param, &column, rule, text.trim());
        Ok(true)
    }

    /// Sets one rule.
    pub(super) fn put(&mut self, param: &str, column: &str, rule: &str, text: &str) {
        let columns = self.params.entry(param.to_owned()).or_default();
        columns.entry(column.to_owned()).or_default().insert(rule.to_owned(), text.to_owned());
    }

    /// The rule of a column, as it was posted.
    pub(super) fn rule(&self, param: &str, column: &str, rule: &str) -> Option<&str> {
        self.params.get(param)?.get(column)?.get(rule).map(String::as_str)
    }

    /// True where the form has no grid.
    pub(super) fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Lays the rules over `given`, the members of the parameters. `called` says what columns are called in the records: none
    /// for one that is left out.
    pub(super) fn lay_over(
        &self,
        given: &mut Vec<(String, Json)>,
        schema: &Value,
        called: impl Fn(&str) -> Option<String>,
    ) {
        for (param, columns) in &self.params {
            let at = given.iter().rposition(|(name, _value)| name == param);
            let before = at.and_then(|at| given[at].1.members()).unwrap_or_default();
            let rules = &schema["properties"][param]["additionalProperties"]["properties"];
            let laid = Json::object(with_rules(before, columns, schema, rules, &called));
            match at {
                Some(at) => given[at].1 = laid,
                None => given.push((param.clone(), laid)),
            }
        }
    }
}

fn with_rules(
    mut members: Vec<(String, Json)>,
    columns: &ColumnRules,
    schema: &Value,
    rules: &Value,
    called: impl Fn(&str) -> Option<String>,
) -> Vec<(String, Json)> {
    for (from, fields) in columns {
        let name = called(from);
        let before = members.iter().rposition(|(other, _value)| Some(other) == name.as_ref());
        let before = before.map(|at| members.remove(at).1);
        let (Some(name), false) = (name, fields.get(KIND).is_some_and(String::is_empty)) else { continue };
        let mut column = before.and_then(|column| column.members()).unwrap_or_default();
        for (rule, text) in fields.iter().filter(|(_rule, text)| !text.is_empty()) {
            column.retain(|(other, _value)| other != rule);
            column.push((rule.clone(), typed_value(schema, &rules[rule], text)));
        }
        members.push((name, Json::object(column)));
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(fields: &[(&str, &str)], given: &str, called: impl Fn(&str) -> Option<String>) -> String {
        let schema = serde_json::json!({"properties": {"columns": {"additionalProperties": {"properties": {
            "type": {"type": "string"}, "required": {"type": "boolean"}}}}}});
        let mut grid = GridFields::default();
        for (path, text) in fields {
            assert!(grid.set(path, text).unwrap(), "{path}");
        }
        let mut members = Json::parse(given).unwrap().members().unwrap();
        grid.lay_over(&mut members, &schema, called);
        Json::object(members).as_str().to_owned()
    }

    fn same(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn a_grid_becomes_rules_of_columns() {
        let fields = [
            ("/columns/age/type", "integer"),
            ("/columns/age/required", "false"),
            ("/columns/Full%20name%2F%22x%22/type", "text"),
            ("/columns/Full%20name%2F%22x%22/required", "false"),
            ("/columns/Full%20name%2F%22x%22/required", "true"),
            ("/columns/city/type", ""),
        ];
        assert_eq!(
            laid(&fields, r#"{"strict":true,"columns":{"city":"text"}}"#, same),
            r#"{"strict":true,"columns":{"Full name/\"x\"":{"required":true,"type":"text"},"age":{"required":false,"type":"integer"}}}"#
        );
    }

    #[test]
    fn rules_that_the_grid_does_not_have_stay() {
        let given = r#"{"columns":{"age":{"type":"text","min":1.50},"id":"integer"}}"#;
        assert_eq!(
            laid(&[("/columns/age/type", "number")], given, same),
            r#"{"columns":{"id":"integer","age":{"min":1.50,"type":"number"}}}"#
        );
    }

    #[test]
    fn columns_are_called_as_the_records_call_them() {
        let called = |name: &str| (name != "junk").then(|| format!("my {name}"));
        let fields = [("/columns/age/type", "integer"), ("/columns/junk/type", "text")];
        assert_eq!(laid(&fields, "{}", called), r#"{"columns":{"my age":{"type":"integer"}}}"#);
    }

    #[test]
    fn paths_of_another_form_are_refused() {
        let mut grid = GridFields::default();
        assert!(!grid.set("width", "1").unwrap());
        for path in ["/", "/columns", "/columns/a", "/columns/a/type/x", "/columns/%FF/type"] {
            assert!(grid.set(path, "x").is_err(), "{path}");
        }
        for at in grid.fields_so_far..GRID_FIELDS_MAX {
            grid.set(&format!("/columns/{at}/type"), "text").unwrap();
        }
        assert_eq!(grid.set("/columns/more/type", "text").unwrap_err().code, ErrorCode::TooLarge);
    }
}
