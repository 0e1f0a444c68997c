//! Instants on the wire: RFC 3339 in UTC with milliseconds, from whole milliseconds inside.
//!
//! Text and number convert without loss.

use std::fmt;
use std::str::FromStr;

use ::time::{
    OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::ids::ParseError;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The instant `ms` later (or earlier, if negative), saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    fn to_offset(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        f.write_str(&self.to_offset().format(&form).map_err(|_unprintable| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = ParseError { expected: "a time as RFC 3339, like 2026-01-31T09:41:00Z" };
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_form| refused)?.to_offset(UtcOffset::UTC);
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(|_range| refused)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_and_parse() {
        let at = Timestamp(1_769_852_460_123);
        assert_eq!(at.to_string(), "2026-01-31T09:41:00.123Z");
        assert_eq!("2026-01-31T10:41:00.123+01:00".parse(), Ok(at));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
