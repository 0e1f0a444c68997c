//! A value as it came, from the file, the environment or the command line, and what it is taken for.
//!
//! As [`super::fields`], which names the settings.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::Config;

/// A value as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// From the environment or the command line, where everything is text.
    Untyped(String),
    Text(String),
    Whole(i64),
    List(Vec<String>),
    /// Keys with texts, in the order of the file.
    Map(Vec<(String, String)>),
    /// Of a type that no setting has.
    Other,
}

/// One setting.
pub(super) struct Field {
    pub table: &'static str,
    pub key: &'static str,
    /// A noun phrase.
    pub expected: &'static str,
    /// Puts the value in its place; none where it is not as expected.
    pub take: fn(&mut Config, &Raw) -> Option<()>,
}

/// A whole number within `range`.
pub(super) fn whole<T: TryFrom<i64>>(raw: &Raw, range: RangeInclusive<i64>) -> Option<T> {
    let value = match raw {
        Raw::Whole(value) => *value,
        Raw::Untyped(text) => text.trim().parse().ok()?,
        Raw::Text(_) | Raw::List(_) | Raw::Map(_) | Raw::Other => return None,
    };
    range.contains(&value).then(|| T::try_from(value).ok()).flatten()
}

/// A text that is not empty.
pub(super) fn text(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) | Raw::Untyped(text) if !text.is_empty() => Some(text),
        Raw::Text(_) | Raw::Untyped(_) | Raw::Whole(_) | Raw::List(_) | Raw::Map(_) | Raw::Other => None,
    }
}

/// A list; where everything is text, with commas between.
pub(super) fn list(raw: &Raw) -> Option<Vec<String>> {
    match raw {
        Raw::List(list) => Some(list.clone()),
        Raw::Untyped(text) => {
            let entries = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            Some(entries.map(str::to_owned).collect())
        }
        Raw::Text(_) | Raw::Whole(_) | Raw::Map(_) | Raw::Other => None,
    }
}

/// Keys with texts; where everything is text, `KEY=TEXT` with commas between.
pub(super) fn map(raw: &Raw) -> Option<Vec<(String, String)>> {
    match raw {
        Raw::Map(map) => Some(map.clone()),
        Raw::Untyped(_) => {
            let entry = |entry: &String| {
                let (key, text) = entry.split_once('=')?;
                Some((key.trim().to_owned(), text.trim().to_owned()))
            };
            list(raw)?.iter().map(entry).collect()
        }
        Raw::Text(_) | Raw::Whole(_) | Raw::List(_) | Raw::Other => None,
    }
}

/// IP addresses.
pub(super) fn addresses(raw: &Raw) -> Option<Vec<IpAddr>> {
    list(raw)?.iter().map(|text| text.parse().ok()).collect()
}
