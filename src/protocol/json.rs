//! JSON carried as text: parameters, inputs and results pass through unread.
//!
//! Owns the promise that a value is written exactly as it came. Called by every wire type that holds
//! somebody else's data. Invariant: the text inside is always one valid JSON value. Deliberately does not
//! know what the value means.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
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

    /// A whole number.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// A JSON string holding `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self(serde_json::to_string(text).expect("a string always prints"))
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

    /// How deep arrays and objects stand in each other; 0 for text, numbers and words.
    #[must_use]
    pub fn depth(&self) -> usize {
        let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
        for byte in self.0.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        deepest
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

/// A `T` that must stand as a JSON object: derived readers take a list of the members' values as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads a member that is an object or missing.
///
/// # Errors
/// If it is anything else, or no `T`.
pub fn object_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
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

    #[test]
    fn depth_counts_brackets_outside_of_text() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[1],"b":{}}"#, 2),
            (r#""[[\"[""#, 0),
            (r#"["\\",[]]"#, 2),
            (&deep, 300),
        ] {
            assert_eq!(Json::parse(text).unwrap().depth(), depth, "{text}");
        }
    }

    #[test]
    fn a_list_of_values_is_no_object() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            a: Option<Json>,
            #[serde(default, deserialize_with = "object_or_none")]
            inner: Option<Box<Pair>>,
        }
        let read = |text: &str| serde_json::from_str::<Object<Pair>>(text);
        let Object(pair) = read(r#"{"a":1.10,"inner":{"a":[2]}}"#).unwrap();
        assert_eq!(pair.a.unwrap().as_str(), "1.10");
        assert_eq!(pair.inner.unwrap().a.unwrap().as_str(), "[2]");
        assert_eq!(read("{}").unwrap(), Object(Pair { a: None, inner: None }));
        for bad in ["[]", "[1,{}]", r#"{"inner":[1]}"#, r#"{"b":1}"#, "null", "\"a\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
