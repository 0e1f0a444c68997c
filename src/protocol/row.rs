//! Rows of the live connection: one kind for each topic, and their keys.
//!
//! A row is the whole truth about its key as of its `rev`.

use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::ids::Rev;
use super::item::{Family, ItemLive, ItemRow, StripCell};
use super::pulse::PulseBucket;
use super::task::Node;
use super::topic::Topic;

/// Key of a row in its topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// `seq`, `cell`.
    Number(u64),
    /// `id`.
    Text(String),
}

/// A row of any topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// Of `batches` and `batch/{id}`.
    Batch(Box<Batch>),
    /// Of `batch/{id}/items/{from}-{to}`.
    Item(Box<ItemRow>),
    /// Of `item/{id}/{seq}`.
    ItemLive(Box<ItemLive>),
    /// Of `batch/{id}/families`.
    Family(Family),
    /// Of `batch/{id}/strip`.
    Cell(StripCell),
    /// Of `batch/{id}/pulse`.
    Pulse(PulseBucket),
    /// Of `nodes`.
    Node(Box<Node>),
}

impl Row {
    /// Its key in the topic.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Batch(row) => Key::Text(row.id.to_string()),
            Self::Item(row) => Key::Number(row.seq),
            Self::ItemLive(item) => Key::Number(item.row.seq),
            Self::Family(row) => Key::Text(row.id.0.clone()),
            Self::Cell(row) => Key::Number(u64::from(row.cell)),
            Self::Pulse(row) => Key::Number(u64::from(row.bucket)),
            Self::Node(row) => Key::Text(row.id.0.clone()),
        }
    }

    /// Revision at which it was written.
    #[must_use]
    pub fn rev(&self) -> Rev {
        match self {
            Self::Batch(row) => row.rev,
            Self::Item(row) => row.rev,
            Self::ItemLive(item) => item.row.rev,
            Self::Family(row) => row.rev,
            Self::Cell(row) => row.rev,
            Self::Pulse(row) => row.rev,
            Self::Node(row) => row.rev,
        }
    }

    /// Its JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("rows hold only text, numbers and valid JSON")
    }

    /// Reads a row of `topic`.
    ///
    /// # Errors
    /// If `text` is not such a row.
    pub(super) fn from_json(topic: Topic, text: &str) -> Result<Self, serde_json::Error> {
        match topic {
            Topic::Batches | Topic::Batch(_) | Topic::Progress(_) => {
                serde_json::from_str(text).map(Self::Batch)
            }
            Topic::Items { .. } => serde_json::from_str(text).map(Self::Item),
            Topic::Item { .. } => serde_json::from_str(text).map(Self::ItemLive),
            Topic::Families(_) => serde_json::from_str(text).map(Self::Family),
            Topic::Strip(_) => serde_json::from_str(text).map(Self::Cell),
            Topic::Nodes => serde_json::from_str(text).map(Self::Node),
            Topic::Pulse(_) => serde_json::from_str(text).map(Self::Pulse),
        }
    }
}
