//! JSON carried as text: parameters, inputs and results pass through unread.
//!
//! A value is written exactly as it came: reading one into a `serde_json::Value` rounds long numbers, so whoever
//! shows or exports values reads [`Json::members`] and [`Json::display_text`] instead. The text inside is always one
//! valid JSON value.

use std::borrow::Cow;
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

    /// An object of these members, each value as it is written.
    #[must_use]
    pub fn object(members: impl IntoIterator<Item = (String, Self)>) -> Self {
        let members =
            members.into_iter().map(|(name, value)| format!("{}:{}", Self::string(&name).0, value.0));
        Self(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, parsed: numbers as 64 bits hold them. `null` where it is nested deeper than the parser goes, or holds a
    /// number that 64 bits cannot.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }

    /// The members of an object in their order, each value as it was written; none for any other value.
    #[must_use]
    pub fn members(&self) -> Option<Vec<(String, Self)>> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, Json)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        if !self.0.starts_with('{') {
            return None;
        }
        serde_json::Deserializer::from_str(&with_pairs_only(&self.0)).deserialize_map(Members).ok()
    }

    /// True where a text inside holds half of a surrogate pair (`"\ud83d"`): JSON's grammar allows it, but it is no
    /// character, and most readers refuse it. See RFC 8259, section 8.2.
    #[must_use]
    pub fn has_unpaired_surrogate(&self) -> bool {
        !unpaired_surrogates(&self.0).is_empty()
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

    /// The content of a JSON string, or the text of any other value: what a person reads in a cell. Half of a surrogate
    /// pair shows as U+FFFD.
    #[must_use]
    pub fn display_text(&self) -> String {
        match serde_json::from_str::<String>(&with_pairs_only(&self.0)) {
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

/// Bytes of an escape like `\u00e9`.
const ESCAPE_BYTES: usize = 6;

/// Where the JSON `text` holds an escape for half of a surrogate pair whose other half does not stand beside it.
fn unpaired_surrogates(text: &str) -> Vec<usize> {
    let unit = |at: usize| {
        let digits = text.get(at..at + ESCAPE_BYTES)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut found, mut at) = (Vec::new(), 0);
    // A backslash stands inside strings only, and always with what it escapes.
    while let Some(next) = text[at..].find('\\').map(|next| at + next) {
        at = match (unit(next), unit(next + ESCAPE_BYTES)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => next + 2 * ESCAPE_BYTES,
            (Some(0xd800..=0xdfff), _) => {
                found.push(next);
                next + ESCAPE_BYTES
            }
            // The escaped character is one byte: a letter, a slash or a quote.
            (Some(_) | None, _) => next + 2,
        };
    }
    found
}

/// The JSON `text` with U+FFFD for each half of a surrogate pair that stands alone.
fn with_pairs_only(text: &str) -> Cow<'_, str> {
    let places = unpaired_surrogates(text);
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut paired = text.to_owned();
    for at in places {
        paired.replace_range(at..at + ESCAPE_BYTES, "\\ufffd");
    }
    Cow::Owned(paired)
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
    fn members_keep_their_bytes() {
        let json =
            Json::parse(r#"{"id": 36893488147419103231, "n":[1.10,1e999], "t":"\ud83d\ude00", "id":null}"#);
        let members = json.unwrap().members().unwrap();
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, json)| (&**name, json.as_str())).collect();
        assert_eq!(
            members,
            [
                ("id", "36893488147419103231"),
                ("n", "[1.10,1e999]"),
                ("t", r#""\ud83d\ude00""#),
                ("id", "null")
            ]
        );
        let json = Json::object([
            ("a\"".to_owned(), Json::parse("1.10").unwrap()),
            ("b".to_owned(), Json::default()),
        ]);
        assert_eq!(json.as_str(), r#"{"a\"":1.10,"b":null}"#);
        for text in ["[1]", "\"{}\"", "1"] {
            assert_eq!(Json::parse(text).unwrap().members(), None, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_noticed_and_shown() {
        for (text, shown) in [
            (r#""\ud800""#, Some("\u{fffd}")),
            (r#""a\udcf6b""#, Some("a\u{fffd}b")),
            (r#""\ud83d\ud83d\ude00""#, Some("\u{fffd}\u{1f600}")),
            (r#""\ude00\ud83d""#, Some("\u{fffd}\u{fffd}")),
            (r#""\ud83dx\ude00""#, Some("\u{fffd}x\u{fffd}")),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud800""#, None),
            (r#""\\\ud800""#, Some("\\\u{fffd}")),
            (r#""é\u00e9\n""#, None),
        ] {
            let json = Json::parse(text).unwrap();
            assert_eq!(json.has_unpaired_surrogate(), shown.is_some(), "{text}");
            assert_eq!(
                json.display_text(),
                shown.map_or_else(|| json.to_value().as_str().unwrap().to_owned(), str::to_owned)
            );
        }
        let json = Json::parse(r#"{"\ud800":"\udfff"}"#).unwrap();
        let [(name, value)] = json.members().unwrap().try_into().unwrap();
        assert_eq!((name.as_str(), value.display_text().as_str()), ("\u{fffd}", "\u{fffd}"));
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
