//! By what items are listed, and where a page of such a list goes on.
//!
//! `parse(print(x)) == x`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{ParseError, Seq};
use super::json::Json;

/// What items are listed by, where not by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemSort {
    /// How long the last attempt took, longest first.
    Took,
    /// When they ended, newest first.
    Ended,
}

impl ItemSort {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Took, Self::Ended];

    /// As addresses have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Took => "took",
            Self::Ended => "ended",
        }
    }

    /// The one that addresses call so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }
}

/// Where a page of items goes on: after an item, and where they are sorted, after what that item was sorted by. So it
/// stands where it stood, whatever becomes of the item.
///
/// On the wire a number where there is only the item, else a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemCursor {
    /// What the item was sorted by: milliseconds that it took, or milliseconds since 1970 when it ended.
    pub by: Option<u64>,
    /// The item.
    pub seq: Seq,
}

impl From<Seq> for ItemCursor {
    fn from(seq: Seq) -> Self {
        Self { by: None, seq }
    }
}

impl fmt::Display for ItemCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            Some(by) => write!(f, "{by}-{}", self.seq),
            None => write!(f, "{}", self.seq),
        }
    }
}

impl FromStr for ItemCursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u64>()
                .ok()
                .filter(|_| digits)
                .ok_or(ParseError { expected: "the cursor of a page of items" })
        };
        match text.split_once('-') {
            Some((by, seq)) => Ok(Self { by: Some(number(by)?), seq: number(seq)? }),
            None => Ok(Self::from(number(text)?)),
        }
    }
}

impl Serialize for ItemCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.by {
            Some(_) => serializer.collect_str(self),
            None => serializer.serialize_u64(self.seq),
        }
    }
}

impl<'de> Deserialize<'de> for ItemCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Json::deserialize(deserializer)?;
        text.as_str().trim_matches('"').parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_print_what_they_parse() {
        for (text, json) in [("41", "41"), ("812-41", "\"812-41\""), ("0-1", "\"0-1\"")] {
            let cursor: ItemCursor = text.parse().unwrap();
            assert_eq!(cursor.to_string(), text);
            assert_eq!(serde_json::to_string(&cursor).unwrap(), json);
            assert_eq!(serde_json::from_str::<ItemCursor>(json).unwrap(), cursor);
        }
        for bad in ["", "-", "4-", "-4", "+4", "4-+1", "1-2-3", "x", "99999999999999999999"] {
            assert!(bad.parse::<ItemCursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sorts_are_called_as_addresses_call_them() {
        for sort in ItemSort::ALL {
            assert_eq!(ItemSort::parse(sort.as_str()), Some(sort));
            assert_eq!(serde_json::to_string(&sort).unwrap(), format!("\"{}\"", sort.as_str()));
        }
        assert_eq!(ItemSort::parse("seq"), None);
    }
}
