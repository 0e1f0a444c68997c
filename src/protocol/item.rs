//! Items, their attempts, files and families of failures as everybody sees them.
//!
//! Every row carries the `rev` at which it was written.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::ids::{FamilyId, NodeId, Rev, Seq};
use super::item_order::{ItemCursor, ItemSort};
use super::json::Json;
use super::limits::WINDOW_VALUE_BYTES_MAX;
use super::state::{AttemptOutcome, ItemState};
use super::time::Timestamp;

/// A file that an item left, or took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "File"))]
pub struct FileRow {
    /// Name as given, may contain `/`; a label, never a path.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Media type by content; a hint.
    #[serde(rename = "type")]
    pub media_type: String,
}

/// Progress inside an item; only indicative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ItemProgress {
    /// Part done, 0 to 1.
    pub fraction: f64,
    /// What is being done.
    pub note: Option<String>,
}

impl ItemProgress {
    /// Progress in thousandths: finer is not seen, and would be told for nothing.
    #[must_use]
    pub fn new(fraction: f64, note: Option<String>) -> Self {
        Self { fraction: (fraction * 1_000.0).round() / 1_000.0, note }
    }
}

/// One item in a list or window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "Item"))]
pub struct ItemRow {
    /// Position, from 1.
    pub seq: Seq,
    /// Where it stands.
    pub state: ItemState,
    /// Attempts of this generation that count.
    pub attempts: u32,
    /// What it works on. A file is an object with `name`, `bytes`, `type`.
    pub input: Json,
    /// Progress inside the item while it runs.
    pub progress: Option<ItemProgress>,
    /// What the task returned.
    pub result: Option<Json>,
    /// Why it failed.
    pub error: Option<String>,
    /// Which family of failures it is in.
    pub family: Option<FamilyId>,
    /// How long the last attempt took.
    pub ms: Option<u64>,
    /// Which node ran it.
    pub node: Option<NodeId>,
    /// What it left.
    pub files: Vec<FileRow>,
    /// Revision of the batch at which this row was written.
    pub rev: Rev,
}

impl ItemRow {
    /// The row as a live window tells it: of an input, result or error that is long, the start and a mark.
    pub fn shorten(&mut self) {
        if let Some(start) = cut(self.input.as_str()) {
            self.input = Json::string(&start);
        }
        if let Some(start) = self.result.as_ref().and_then(|result| cut(result.as_str())) {
            self.result = Some(Json::string(&start));
        }
        if let Some(start) = self.error.as_deref().and_then(cut) {
            self.error = Some(start);
        }
    }
}

/// The start of `text` and a mark, if it is longer than a window tells.
fn cut(text: &str) -> Option<String> {
    if text.len() <= WINDOW_VALUE_BYTES_MAX {
        return None;
    }
    Some(format!("{}…", &text[..text.floor_char_boundary(WINDOW_VALUE_BYTES_MAX)]))
}

/// One attempt in an item's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "Attempt"))]
pub struct AttemptRow {
    /// From 1, within its generation.
    pub attempt: u32,
    /// From 1; each retry of an ended item starts a new one.
    pub generation: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// When it started; none where it was quick and had nothing to say.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// Which node ran it.
    pub node: Option<NodeId>,
}

/// One item with all there is to know of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ItemDetail {
    /// The row; its members stand beside `history` and `log` on the wire.
    #[serde(flatten)]
    pub row: ItemRow,
    /// Every attempt, oldest first.
    pub history: Vec<AttemptRow>,
    /// When the attempt that runs now was taken up; none where none runs, or its node has not told yet.
    pub started_at: Option<Timestamp>,
    /// The log of its last attempt: its tail, bounded.
    pub log: String,
}

impl<'de> Deserialize<'de> for ItemDetail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (row, history, started_at, log) = parts(deserializer)?;
        Ok(Self { row, history, started_at, log })
    }
}

/// What an item's own row has beside the members of a list's.
type Parts<L> = (ItemRow, Vec<AttemptRow>, Option<Timestamp>, L);

/// The row stands flat among its neighbours, and keeps its texts as they came: so it is read from the whole text.
fn parts<'de, D: Deserializer<'de>, L: DeserializeOwned>(deserializer: D) -> Result<Parts<L>, D::Error> {
    #[derive(Deserialize)]
    struct Rest<L> {
        history: Vec<AttemptRow>,
        started_at: Option<Timestamp>,
        log: L,
    }
    let text = Json::deserialize(deserializer)?;
    let row = serde_json::from_str(text.as_str()).map_err(D::Error::custom)?;
    let Rest { history, started_at, log } = serde_json::from_str(text.as_str()).map_err(D::Error::custom)?;
    Ok((row, history, started_at, log))
}

/// A part of a log, by offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LogPart {
    /// Offset of the first byte of `text` in the whole log.
    pub from: u64,
    /// The text.
    pub text: String,
}

impl LogPart {
    /// Offset after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.from + self.text.len() as u64
    }

    /// The part at and after `offset`, never cutting a character; all of it where it begins later.
    #[must_use]
    pub fn since(&self, offset: u64) -> Self {
        let skip = usize::try_from(offset.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let skip = self.text.floor_char_boundary(skip.min(self.text.len()));
        Self { from: self.from + skip as u64, text: self.text[skip..].to_owned() }
    }

    /// True where `newer` is this log further on: what both hold is the same.
    #[must_use]
    pub fn goes_on_as(&self, newer: &Self) -> bool {
        let known = self.since(newer.from);
        newer.from >= self.from && newer.end() >= self.end() && newer.text.starts_with(&known.text)
    }

    /// Takes `part`: what stands from its offset on is replaced by it. One that begins after the end of this, or before
    /// its start, replaces all.
    pub fn go_on(&mut self, part: &Self) {
        let keep = part.from.checked_sub(self.from).and_then(|keep| usize::try_from(keep).ok());
        match keep.filter(|keep| self.text.is_char_boundary(*keep)) {
            Some(keep) => {
                self.text.truncate(keep);
                self.text.push_str(&part.text);
            }
            None => self.clone_from(part),
        }
    }
}

/// One item as the live connection tells it: as [`ItemDetail`], but of its log only what came since, by offset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemLive {
    /// The item.
    #[serde(flatten)]
    pub row: ItemRow,
    /// Its attempts, earliest first.
    pub history: Vec<AttemptRow>,
    /// As in [`ItemDetail`].
    pub started_at: Option<Timestamp>,
    /// What came of the log since the last row; in a snapshot, all that is kept.
    pub log: LogPart,
}

impl<'de> Deserialize<'de> for ItemLive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (row, history, started_at, log) = parts(deserializer)?;
        Ok(Self { row, history, started_at, log })
    }
}

/// Items of one batch, in order of `seq`, or of what was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ItemPage {
    /// The rows.
    pub items: Vec<ItemRow>,
    /// When each of the items ended, in their order, where they are sorted by that; elsewhere there is no such member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ssr", schemars(with = "Vec<Timestamp>"))]
    pub ended_at: Vec<String>,
    /// The message of the family that was asked for; elsewhere, and of one that there is not, there is no such member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_message: Option<String>,
    /// `after` of the next page, none at the end.
    pub next: Option<ItemCursor>,
    /// How far a search has looked, on `q` and filters; elsewhere there is no such member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<Seq>,
    /// Revision of the batch that these rows show.
    pub rev: Rev,
}

/// Which items to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ItemQuery {
    /// Only this state.
    pub state: Option<ItemState>,
    /// Only failures of this family.
    pub family: Option<FamilyId>,
    /// Only items whose input or error contains this text; looks at a bounded stretch per request.
    pub q: Option<String>,
    /// Only items that have ended, in this order; not together with `q`.
    pub sort: Option<ItemSort>,
    /// Only items after this one.
    pub after: Option<ItemCursor>,
    /// How many, 100; clamped to 500.
    pub limit: Option<u32>,
}

/// Failures with one cause, counted: the items whose outcome is failed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Family {
    /// Its name for programs.
    pub id: FamilyId,
    /// The message of its first failure.
    pub message: String,
    /// How many items are failed now for this cause.
    pub count: u64,
    /// When it was first seen.
    pub first_at: Timestamp,
    /// When it was last seen.
    pub last_at: Timestamp,
    /// Some of its items.
    pub samples: Vec<Seq>,
    /// Revision of the batch at which this row was written.
    pub rev: Rev,
}

/// The families of one batch, most failures first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FamilyPage {
    /// The families.
    pub families: Vec<Family>,
    /// Revision of the batch that these rows show.
    pub rev: Rev,
}

/// One cell of the strip: how the items of a stretch ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripCell {
    /// Position of the cell, from 0.
    pub cell: u32,
    /// First item of its stretch.
    pub first: Seq,
    /// Last item of its stretch.
    pub last: Seq,
    /// Items that ended well.
    pub succeeded: u64,
    /// Items that ended badly.
    pub failed: u64,
    /// Items ended by a cancel.
    pub cancelled: u64,
    /// Revision of the batch at which this row was written.
    pub rev: Rev,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_tell_the_start_of_what_is_long() {
        let long = Json::string(&"ä".repeat(WINDOW_VALUE_BYTES_MAX));
        let text = r#"{"seq":41,"state":"failed","attempts":3,"input":{"a":1},"progress":null,"result":null,
            "error":"no","family":null,"ms":null,"node":null,"files":[],"rev":7}"#;
        let mut row: ItemRow = serde_json::from_str(text).unwrap();
        let short = row.clone();
        row.shorten();
        assert_eq!(row, short);
        (row.input, row.result, row.error) = (long.clone(), Some(long.clone()), Some("e".repeat(9_999)));
        row.shorten();
        let told = row.input.display_text();
        assert!(told.len() < WINDOW_VALUE_BYTES_MAX + 4 && told.starts_with("\"ää") && told.ends_with('…'));
        assert_eq!(row.result.as_ref(), Some(&row.input));
        assert_eq!(row.error.as_ref().map(|error| error.chars().count()), Some(WINDOW_VALUE_BYTES_MAX + 1));
        let again: ItemRow = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
        assert_eq!(again, row);
    }

    #[test]
    fn logs_go_on_from_an_offset() {
        let part = |from, text: &str| LogPart { from, text: text.to_owned() };
        let log = part(0, "aé\nb");
        assert_eq!(log.since(0), log);
        assert_eq!(log.since(3), part(3, "\nb"));
        assert_eq!(log.since(2), part(1, "é\nb"), "no character is cut");
        assert_eq!(part(100, "aé\nb").since(7), part(100, "aé\nb"), "what was dropped cannot be given");
        assert_eq!(part(100, "aé\nb").since(900), part(105, ""));
        let mut shown = part(10, "one\n");
        shown.go_on(&part(14, "two\n"));
        assert_eq!(shown, part(10, "one\ntwo\n"));
        shown.go_on(&part(14, "2\n"));
        assert_eq!(shown, part(10, "one\n2\n"), "what came twice is there once");
        shown.go_on(&part(90, "later\n"));
        assert_eq!(shown, part(90, "later\n"), "over a gap nothing is joined");
        shown.go_on(&part(0, "new\n"));
        assert_eq!(shown, part(0, "new\n"), "another attempt begins anew");
    }

    #[test]
    fn a_log_is_known_by_what_both_hold() {
        let part = |from, text: &str| LogPart { from, text: text.to_owned() };
        let log = part(10, "one\ntwo\n");
        assert!(log.goes_on_as(&log) && log.goes_on_as(&part(10, "one\ntwo\nthree\n")));
        assert!(log.goes_on_as(&part(14, "two\nthree\n")), "the start may have been dropped");
        assert!(!log.goes_on_as(&part(10, "one\n2wo\nthree\n")), "another text");
        assert!(!log.goes_on_as(&part(0, "one\n")) && !log.goes_on_as(&part(10, "one\n")));
    }

    #[test]
    fn item_detail_round_trips() {
        let text = r#"{"seq":41,"state":"failed","attempts":3,"input":{"a":1},"progress":null,"result":null,
            "error":"no","family":"9f2c","ms":812,"node":"a","files":[],"rev":7,
            "history":[{"attempt":1,"generation":1,"outcome":"failed","started_at":null,"ended_at":null,
            "error":"no","node":"a"}],"log":"x"}"#;
        let detail: ItemDetail = serde_json::from_str(text).unwrap();
        assert_eq!(detail.row.input.as_str(), r#"{"a":1}"#);
        let again: ItemDetail = serde_json::from_str(&serde_json::to_string(&detail).unwrap()).unwrap();
        assert_eq!(again, detail);
    }
}
