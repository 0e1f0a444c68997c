//! What one column must hold: its declaration, read once per batch, and the verdict on one cell.
//!
//! A declaration that is taken can judge every text.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::value::{self, CellValue, ColumnKind, Ordered};

/// Characters of a pattern; a longer one is refused.
const PATTERN_CHARS_MAX: usize = 1_000;
/// Bytes that a compiled pattern may take; a larger one is refused.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a cell that a sentence repeats; the rest is cut off and marked.
const SHOWN_CHARS_MAX: usize = 40;
/// Values of `one_of` that a sentence repeats.
const SHOWN_VALUES_MAX: usize = 10;

/// A column as declared: the name of a type, or an object of rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct DeclaredColumn(Rules);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    #[serde(rename = "type", default)]
    kind: ColumnKind,
    #[serde(default = "yes")]
    required: bool,
    min: Option<Value>,
    max: Option<Value>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    pattern: Option<String>,
    one_of: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

impl TryFrom<Value> for DeclaredColumn {
    type Error = String;

    fn try_from(declared: Value) -> Result<Self, String> {
        let rules = match declared {
            Value::String(kind) => serde_json::json!({ "type": kind }),
            other => other,
        };
        serde_json::from_value(rules).map(Self).map_err(|fault| fault.to_string())
    }
}

impl JsonSchema for DeclaredColumn {
    fn schema_name() -> Cow<'static, str> {
        "Column".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<&str> = ColumnKind::ALL.iter().map(|(name, _)| *name).collect();
        json_schema!({
            "type": ["string", "object"],
            "title": "Column",
            "description": "The name of a type, or an object: type (text if left out) and rules.",
            "additionalProperties": false,
            "properties": {
                "type": { "type": "string", "enum": kinds, "default": "text", "description":
                    "text: anything. integer: [+-]?[0-9]+ within 64 bits. number: [+-]?[0-9]+(.[0-9]+)?([eE][+-]?[0-9]+)? \
                     within a double. boolean: true, false, yes, no, 1 or 0, in capitals or not. date: YYYY-MM-DD, a day \
                     of the calendar from 0001-01-01 to 9999-12-31. datetime: RFC 3339 with T and zone, no leap second. \
                     email: as web forms take it. url: http or https with a host. Nothing is trimmed." },
                "required": { "type": "boolean", "default": true, "description":
                    "false: the value may be missing. Missing is: no such column, an empty text, or null." },
                "min": { "type": ["number", "string"], "description":
                    "Smallest value, itself allowed: a number for integer and number, a text for date and datetime." },
                "max": { "type": ["number", "string"], "description":
                    "Largest value, itself allowed: a number for integer and number, a text for date and datetime." },
                "min_length": { "type": "integer", "minimum": 0, "description":
                    "Fewest characters (Unicode code points) of the text as it came, for every type." },
                "max_length": { "type": "integer", "minimum": 0, "description":
                    "Most characters (Unicode code points) of the text as it came, for every type." },
                "pattern": { "type": "string", "maxLength": PATTERN_CHARS_MAX, "description":
                    "A regular expression (syntax of Rust's regex, no look-around) that the whole text as it came must match." },
                "one_of": { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 1000,
                    "description": "The texts that are allowed, compared exactly." }
            }
        })
    }
}

/// What a cell holds, as far as a check cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// Empty, or null.
    Missing,
    /// A text; numbers and truth values by their JSON text.
    Text(Cow<'a, str>),
    /// An array or object, as a message names it.
    Nested(&'static str),
}

/// The rules for one column, ready to judge.
#[derive(Clone, Debug)]
pub(super) struct Column {
    kind: ColumnKind,
    required: bool,
    min: Option<(Ordered, String)>,
    max: Option<(Ordered, String)>,
    length: (Option<u64>, Option<u64>),
    /// As declared, and anchored at both ends.
    pattern: Option<(String, Regex)>,
    one_of: Option<Vec<String>>,
}

impl TryFrom<DeclaredColumn> for Column {
    type Error = String;

    fn try_from(DeclaredColumn(rules): DeclaredColumn) -> Result<Self, String> {
        let bound = |name: &str, declared: Option<Value>| match declared {
            None => Ok(None),
            Some(declared) => {
                bound(rules.kind, &declared).map(Some).map_err(|expected| format!("{name}: {expected}"))
            }
        };
        let (min, max) = (bound("min", rules.min)?, bound("max", rules.max)?);
        if let (Some((min, _)), Some((max, _))) = (&min, &max)
            && min.against(*max) == Some(Ordering::Greater)
        {
            return Err("min: expected no more than max".to_owned());
        }
        let length = (rules.min_length, rules.max_length);
        if matches!(length, (Some(min), Some(max)) if min > max) {
            return Err("min_length: expected no more than max_length".to_owned());
        }
        if rules.one_of.as_ref().is_some_and(Vec::is_empty) {
            return Err("one_of: expected at least one value".to_owned());
        }
        let pattern = match rules.pattern {
            None => None,
            Some(pattern) => {
                let whole = compile(&pattern).map_err(|fault| format!("pattern: {fault}"))?;
                Some((pattern, whole))
            }
        };
        Ok(Self {
            kind: rules.kind,
            required: rules.required,
            min,
            max,
            length,
            pattern,
            one_of: rules.one_of,
        })
    }
}

/// A bound of a column of `kind`, and how a sentence shows it.
fn bound(kind: ColumnKind, declared: &Value) -> Result<(Ordered, String), String> {
    let text = match (kind, declared) {
        (ColumnKind::Integer | ColumnKind::Number, Value::Number(number)) => number.to_string(),
        (ColumnKind::Date | ColumnKind::Datetime, Value::String(text)) => text.clone(),
        (ColumnKind::Integer | ColumnKind::Number | ColumnKind::Date | ColumnKind::Datetime, _) => {
            return Err(format!("expected {}", kind.expected()));
        }
        (ColumnKind::Text | ColumnKind::Boolean | ColumnKind::Email | ColumnKind::Url, _) => {
            return Err("only integer, number, date and datetime have one".to_owned());
        }
    };
    match value::read(kind, &text) {
        Some(CellValue::Ordered(value)) => Ok((value, text)),
        Some(CellValue::Unordered) | None => Err(format!("expected {}", kind.expected())),
    }
}

/// Compiles a pattern that must match the whole text.
fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.chars().count() > PATTERN_CHARS_MAX {
        return Err(format!("expected at most {PATTERN_CHARS_MAX} characters"));
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|fault| match fault {
                regex::Error::CompiledTooBig(_) => "the expression is too large".to_owned(),
                other => format!("not a regular expression: {}", other.to_string().replace('\n', " ")),
            })
    };
    // Alone first: wrapped, an unbalanced bracket could close the wrapping.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

impl Column {
    /// False where every text passes, and a missing one too.
    pub(super) fn has_rules(&self) -> bool {
        self.kind != ColumnKind::Text
            || self.required
            || self.length != (None, None)
            || self.pattern.is_some()
            || self.one_of.is_some()
    }

    /// Appends to `faults` every reason why `cell` is not what the column must hold, in the order type, min, max,
    /// length, pattern, `one_of`. A value that is missing or of the wrong type has that one reason alone.
    pub(super) fn judge(&self, cell: &Cell<'_>, faults: &mut Vec<String>) {
        let text = match cell {
            Cell::Missing if self.required => return faults.push("a value is required".to_owned()),
            Cell::Missing => return,
            Cell::Nested(found) => {
                return faults.push(format!("expected {}, found {found}", self.kind.expected()));
            }
            Cell::Text(text) => text.as_ref(),
        };
        let Some(reading) = value::read(self.kind, text) else {
            return faults.push(format!("expected {}, found {}", self.kind.expected(), shown(text)));
        };
        if let CellValue::Ordered(value) = reading {
            self.judge_range(value, text, faults);
        }
        self.judge_text(text, faults);
    }

    fn judge_range(&self, value: Ordered, text: &str, faults: &mut Vec<String>) {
        if let Some((min, written)) = &self.min
            && value.against(*min) == Some(Ordering::Less)
        {
            faults.push(format!("expected at least {written}, found {}", shown(text)));
        }
        if let Some((max, written)) = &self.max
            && value.against(*max) == Some(Ordering::Greater)
        {
            faults.push(format!("expected at most {written}, found {}", shown(text)));
        }
    }

    fn judge_text(&self, text: &str, faults: &mut Vec<String>) {
        if let (min, max) = self.length
            && (min.is_some() || max.is_some())
        {
            let characters = text.chars().count() as u64;
            if let Some(min) = min.filter(|min| characters < *min) {
                faults.push(format!("expected at least {min} characters, found {characters}"));
            }
            if let Some(max) = max.filter(|max| characters > *max) {
                faults.push(format!("expected at most {max} characters, found {characters}"));
            }
        }
        if let Some((pattern, whole)) = &self.pattern
            && !whole.is_match(text)
        {
            faults.push(format!("expected a match of {pattern}, found {}", shown(text)));
        }
        if let Some(allowed) = &self.one_of
            && !allowed.iter().any(|value| value == text)
        {
            let mut listed: Vec<String> =
                allowed.iter().take(SHOWN_VALUES_MAX).map(|value| shown(value)).collect();
            if allowed.len() > SHOWN_VALUES_MAX {
                listed.push("…".to_owned());
            }
            faults.push(format!("expected one of {}, found {}", listed.join(", "), shown(text)));
        }
    }
}

/// A text in quotes, cut to what a sentence can carry.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut kept: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() {
        kept.push('…');
    }
    Value::from(kept).to_string()
}
