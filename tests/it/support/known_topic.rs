//! A topic as a test client shows it: folded by the project's own client, checked against the frames themselves.
//!
//! The check is independent on purpose: it reads the JSON of every frame as `docs/protocol.md` describes it, and holds to it
//! both the server (no revision goes back, counts sum up) and the fold (what a frame says is what is shown).

use std::collections::{BTreeMap, HashMap};

use milepost::client::decoder::{Incoming, read_json};
use milepost::client::fold::{Delta, Listing, TopicView};
use milepost::client::live_row::LiveRow;
use milepost::protocol::{Batch, Family, ItemLive, ItemRow, Node, PulseBucket, Rev, StripCell, Topic};
use serde_json::{Value, json};

use super::assert_sums;

/// A topic as a client knows it. Keys are the JSON of the row's key.
#[derive(Clone, Debug, Default)]
pub struct KnownTopic {
    pub rev: u64,
    pub rows: BTreeMap<String, Value>,
    pub snapshots: u32,
    pub updates: u32,
    /// None before the first frame.
    view: Option<AnyView>,
}

/// The topic of a frame that carries rows.
pub fn topic_of(frame: &Value) -> Option<&str> {
    ["snapshot", "update"].iter().find_map(|kind| frame[*kind]["topic"].as_str())
}

/// The key of a row, as JSON.
fn key_of(row: &Value) -> String {
    ["id", "seq", "cell", "bucket"]
        .iter()
        .find_map(|name| row.get(*name))
        .expect("a row has a key")
        .to_string()
}

impl KnownTopic {
    /// Takes a snapshot or an update of the topic, as it came and as it was read.
    pub fn receive(&mut self, text: &str, frame: &Value) {
        let whole = frame.get("snapshot");
        let body = whole.unwrap_or(&frame["update"]);
        let rev = body["rev"].as_u64().unwrap();
        assert!(rev >= self.rev, "rev went back from {}: {body}", self.rev);
        self.rev = rev;
        *(if whole.is_some() { &mut self.snapshots } else { &mut self.updates }) += 1;
        let told: HashMap<String, &Value> =
            body["rows"].as_array().unwrap().iter().map(|row| (key_of(row), row)).collect();
        for (key, row) in &told {
            if row.get("total").is_some() {
                assert_sums(row);
            }
            // Of a row that a snapshot shows again, too.
            if let Some(held) = self.rows.get(key) {
                assert!(row["rev"].as_u64() >= held["rev"].as_u64(), "{row} came after {held}");
            }
        }
        let Ok(Incoming::Rows { topic, delta }) = read_json(text) else { panic!("no rows in {text}") };
        let view = self.view.get_or_insert_with(|| AnyView::of(topic));
        for (key, rev) in view.apply(delta) {
            match (rev, told.get(&key)) {
                (Some(rev), Some(row)) => {
                    assert_eq!(row["rev"], rev, "{row} is shown");
                    self.rows.insert(key, (*row).clone());
                }
                (None, None) => drop(self.rows.remove(&key)),
                (rev, row) => panic!("{key} is shown at {rev:?}, told {row:?}"),
            }
        }
        // What came is shown, and what has gone is not.
        for (key, row) in &told {
            assert_eq!(self.rows.get(key).map(|shown| &shown["rev"]), Some(&row["rev"]), "{row}");
        }
        for gone in body["gone"].as_array().into_iter().flatten() {
            assert!(!self.rows.contains_key(&gone.to_string()), "{gone} has gone");
        }
        assert!(whole.is_none() || self.rows.len() == told.len(), "a snapshot is all there is: {text}");
    }
}

/// What is shown of a topic of any kind.
#[derive(Clone, Debug)]
enum AnyView {
    Batches(TopicView<Batch>),
    Items(TopicView<ItemRow>),
    Item(TopicView<ItemLive>),
    Families(TopicView<Family>),
    Cells(TopicView<StripCell>),
    Pulse(TopicView<PulseBucket>),
    Nodes(TopicView<Node>),
}

fn empty<R: LiveRow>() -> TopicView<R> {
    TopicView::new(0, Vec::new(), Listing::Whole)
}

impl AnyView {
    fn of(topic: Topic) -> Self {
        match topic {
            Topic::Batches | Topic::Batch(_) | Topic::Progress(_) => Self::Batches(empty()),
            Topic::Items { .. } => Self::Items(empty()),
            Topic::Item { .. } => Self::Item(empty()),
            Topic::Families(_) => Self::Families(empty()),
            Topic::Strip(_) => Self::Cells(empty()),
            Topic::Nodes => Self::Nodes(empty()),
            Topic::Pulse(_) => Self::Pulse(empty()),
        }
    }

    /// Folds; keys of rows that differ now, as JSON, with the revision that is shown, or none where a row has left.
    fn apply(&mut self, delta: Delta) -> Vec<(String, Option<Rev>)> {
        match self {
            Self::Batches(view) => fold(view, delta, |id| json!(id)),
            Self::Items(view) => fold(view, delta, |seq| json!(seq)),
            Self::Item(view) => fold(view, delta, |seq| json!(seq)),
            Self::Families(view) => fold(view, delta, |id| json!(id)),
            Self::Cells(view) => fold(view, delta, |cell| json!(cell)),
            Self::Pulse(view) => fold(view, delta, |bucket| json!(bucket)),
            Self::Nodes(view) => fold(view, delta, |id| json!(id)),
        }
    }
}

fn fold<R: LiveRow>(
    view: &mut TopicView<R>,
    delta: Delta,
    name: impl Fn(&R::Key) -> Value,
) -> Vec<(String, Option<Rev>)> {
    let changes = view.apply(delta);
    assert!(!changes.torn, "JSON tells whole rows");
    let keys = changes.touched.iter().chain(&changes.removed);
    keys.map(|key| (name(key).to_string(), view.row(key).map(R::rev))).collect()
}
