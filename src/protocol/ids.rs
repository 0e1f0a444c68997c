//! Names of things on the wire: newtypes, parsed once at the door, printed one way.
//!
//! `parse(print(x)) == x`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Position of an item in its batch, counted from 1.
pub type Seq = u64;

/// Revision of a batch or topic: grows with every committed change, over restarts too.
pub type Rev = u64;

/// A batch, by its UUID (version 7, so ids sort by creation). Text form: lower-case, hyphenated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(u128);

/// A schedule, by its UUID (version 7). Text form: lower-case, hyphenated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleId(u128);

/// An act over many, by its UUID (version 7). Text form: lower-case, hyphenated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BulkActId(u128);

/// What ids that are UUIDs have in common: 128 bits inside, 36 characters outside.
macro_rules! uuid_id {
    ($name:ident, $expected:literal) => {
        impl $name {
            /// Wraps the 128 bits of a UUID.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits of the UUID.
            #[must_use]
            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let b = self.0;
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    b >> 96,
                    (b >> 80) & 0xffff,
                    (b >> 64) & 0xffff,
                    (b >> 48) & 0xffff,
                    b & 0xffff_ffff_ffff
                )
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            /// Accepts exactly the text that [`fmt::Display`] prints.
            fn from_str(text: &str) -> Result<Self, ParseError> {
                uuid_bits(text).map(Self).ok_or(ParseError { expected: $expected })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

uuid_id!(BatchId, "a batch id (36 characters, lower-case hexadecimal)");
uuid_id!(ScheduleId, "a schedule id (36 characters, lower-case hexadecimal)");
uuid_id!(BulkActId, "an act's id (36 characters, lower-case hexadecimal)");

/// The bits of a UUID in its text form.
fn uuid_bits(text: &str) -> Option<u128> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    if text.len() != 36 {
        return None;
    }
    let mut bits = 0u128;
    for (at, byte) in text.bytes().enumerate() {
        let nibble = match byte {
            b'-' if HYPHENS.contains(&at) => continue,
            _ if HYPHENS.contains(&at) => return None,
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bits = (bits << 4) | u128::from(nibble);
    }
    Some(bits)
}

/// What a text was expected to be, where it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// A short noun phrase for the expected form, fit for a message.
    pub expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ParseError {}

/// A process that serves or works, by a fresh random name each start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Failures with one cause: a short hash of task, kind of error and normalised message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FamilyId(pub String);

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_id_prints_what_it_parses() {
        let text = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        assert_eq!(text.parse::<BatchId>().unwrap().to_string(), text);
        for bad in ["", "0198", &text.to_uppercase(), &text.replace('-', "x"), &format!("{text}0")] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }
}
