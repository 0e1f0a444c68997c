//! Topics: what a page can listen to, as text and as a value.
//!
//! `parse(print(x)) == x`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::ids::{BatchId, ParseError, Seq};

/// Something to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The batches the person may see: newest ones and all unfinished.
    Batches,
    /// One batch.
    Batch(BatchId),
    /// One batch, without what its submitter said of it: for whoever may see how far it is, and nothing else.
    Progress(BatchId),
    /// The items in a window, both ends included.
    Items {
        /// Of which batch.
        batch: BatchId,
        /// First item, at least 1.
        from: Seq,
        /// Last item, not below `from`; may lie beyond the end of the batch.
        to: Seq,
    },
    /// The strip's cells.
    Strip(BatchId),
    /// Failures by cause.
    Families(BatchId),
    /// Finished per time bucket.
    Pulse(BatchId),
    /// One item with progress and log.
    Item {
        /// Of which batch.
        batch: BatchId,
        /// Which item.
        seq: Seq,
    },
    /// Nodes and their slots.
    Nodes,
}

impl Topic {
    /// The batch that the topic belongs to, if it belongs to one.
    #[must_use]
    pub fn batch(self) -> Option<BatchId> {
        match self {
            Self::Batches | Self::Nodes => None,
            Self::Batch(batch)
            | Self::Progress(batch)
            | Self::Strip(batch)
            | Self::Families(batch)
            | Self::Pulse(batch) => Some(batch),
            Self::Items { batch, .. } | Self::Item { batch, .. } => Some(batch),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batches => f.write_str("batches"),
            Self::Batch(batch) => write!(f, "batch/{batch}"),
            Self::Progress(batch) => write!(f, "batch/{batch}/progress"),
            Self::Items { batch, from, to } => write!(f, "batch/{batch}/items/{from}-{to}"),
            Self::Strip(batch) => write!(f, "batch/{batch}/strip"),
            Self::Families(batch) => write!(f, "batch/{batch}/families"),
            Self::Pulse(batch) => write!(f, "batch/{batch}/pulse"),
            Self::Item { batch, seq } => write!(f, "item/{batch}/{seq}"),
            Self::Nodes => f.write_str("nodes"),
        }
    }
}

/// A position as the wire writes it: digits only, no sign, no leading zero, at least 1.
fn parse_seq(text: &str) -> Option<Seq> {
    let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl FromStr for Topic {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = ParseError { expected: "a topic, like batches or batch/{id}" };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["batches"] => Ok(Self::Batches),
            ["nodes"] => Ok(Self::Nodes),
            ["batch", batch] => Ok(Self::Batch(batch.parse()?)),
            ["batch", batch, "progress"] => Ok(Self::Progress(batch.parse()?)),
            ["batch", batch, "strip"] => Ok(Self::Strip(batch.parse()?)),
            ["batch", batch, "families"] => Ok(Self::Families(batch.parse()?)),
            ["batch", batch, "pulse"] => Ok(Self::Pulse(batch.parse()?)),
            ["batch", batch, "items", window] => {
                let (from, to) = window.split_once('-').ok_or(refused)?;
                let (from, to) = (parse_seq(from).ok_or(refused)?, parse_seq(to).ok_or(refused)?);
                if to < from {
                    return Err(refused);
                }
                Ok(Self::Items { batch: batch.parse()?, from, to })
            }
            ["item", batch, seq] => {
                Ok(Self::Item { batch: batch.parse()?, seq: parse_seq(seq).ok_or(refused)? })
            }
            _ => Err(refused),
        }
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_print_what_they_parse() {
        let id = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        for text in [
            "batches".to_owned(),
            "nodes".to_owned(),
            format!("batch/{id}"),
            format!("batch/{id}/progress"),
            format!("batch/{id}/strip"),
            format!("batch/{id}/families"),
            format!("batch/{id}/pulse"),
            format!("batch/{id}/items/1-500"),
            format!("item/{id}/41"),
        ] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "batch",
            "batch/",
            "nodes/",
            &format!("batch/{id}/items/5-4"),
            &format!("batch/{id}/items/0-4"),
            &format!("batch/{id}/items/+1-4"),
            &format!("item/{id}/-1"),
            &format!("item/{id}/99999999999999999999"),
        ] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
