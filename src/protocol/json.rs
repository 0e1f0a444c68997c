//! JSON carried as text: parameters, inputs and results pass through unread.
//!
//! Owns the promise that a value is written exactly as it came. Called by every wire type that holds
//! somebody else's data. Invariant: the text inside is always one valid JSON value. Deliberately does not
//! know what the value means.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

/// One JSON value, kept as its text: cheap to carry, never re-ordered, never re-rounded.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Parses `text` as one JSON value and keeps its text.
    ///
    /// # Errors
    /// The parser's message, with line and column, if `text` is not one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value as it prints.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }

    /// A JSON string holding `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string())
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, parsed.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }

    /// The content of a JSON string, or the text of any other value: what a person reads in a cell.
    #[must_use]
    pub fn display_text(&self) -> String {
        match serde_json::from_str::<String>(&self.0) {
            Ok(text) => text,
            Err(_not_a_string) => self.0.clone(),
        }
    }
}

impl Default for Json {
    /// `null`.
    fn default() -> Self {
        Self("null".to_owned())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_it_came() {
        let text = r#"{"b":1.10,"a":[1,2]}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        assert!(Json::parse("{} x").is_err());
        assert_eq!(Json::string("a\"b").display_text(), "a\"b");
    }
}
