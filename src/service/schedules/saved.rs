//! The batch that a schedule saves: read as a submit reads it, when it is saved and whenever it is made.

use std::fs::File;

use crate::engine::{CheckedBatch, ScheduledItems};
use crate::formats::item_kind::check_numbers;
use crate::formats::item_sink::ItemSink;
use crate::formats::json_body::{JsonItems, read_create};
use crate::protocol::limits::SCHEDULE_BATCH_BYTES_MAX;
use crate::protocol::{ApiError, ErrorCode, Json};
use crate::service::{Caller, Service};
use crate::store::SavedBatch;

/// Whose items a saved batch has.
pub enum SavedItems<'a> {
    /// Its own: they are in its body.
    Own,
    /// Those of another batch, which are kept: so many, with these columns.
    Kept {
        /// How many.
        count: u64,
        /// Their columns.
        columns: &'a [String],
    },
}

impl<'a> SavedItems<'a> {
    /// Of a batch that is saved.
    pub fn of(saved: &'a SavedBatch) -> Self {
        match saved.from_batch {
            Some(_kept) => Self::Kept { count: saved.items, columns: &saved.columns },
            None => Self::Own,
        }
    }
}

/// A saved batch, checked.
pub struct ReadBatch {
    /// All but its items.
    pub checked: CheckedBatch,
    /// Over what.
    pub items: ScheduledItems,
}

impl Service {
    /// Reads the body of a saved batch of `owner`. Without a name of its own it takes `name`.
    ///
    /// # Errors
    /// Everything that is said of a submit; `invalid` for options that have no meaning here.
    pub(super) async fn read_saved(
        &self,
        owner: &Caller,
        name: Option<&str>,
        body: &Json,
        items: SavedItems<'_>,
    ) -> Result<ReadBatch, ApiError> {
        if body.as_str().len() > SCHEDULE_BATCH_BYTES_MAX {
            let detail = format!("batch: more than {SCHEDULE_BATCH_BYTES_MAX} bytes.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let mut request = read_create(body.as_str().as_bytes())?;
        let options = &request.new.options;
        let refused = [
            (options.open, "open: a scheduled batch is whole from the start"),
            (options.start_at.is_some(), "start_at: the schedule says when"),
            (options.parent.is_some(), "parent: a scheduled batch comes from its schedule and from no other"),
        ];
        if let Some((_given, reason)) = refused.iter().find(|(given, _reason)| *given) {
            return Err(ApiError::invalid(format!("batch: options.{reason}.")));
        }
        request.new.name = request.new.name.or_else(|| name.map(str::to_owned));
        self.may_run(owner, &request.new)?;
        self.room_for_webhook(owner, &request.new).await?;
        let engine = &self.parts().engine;
        let checked = engine.check(request.new, owner.name.clone())?;
        let items = match (items, request.items) {
            (SavedItems::Own, JsonItems::Count(count)) => {
                check_numbers(checked.input())?;
                ScheduledItems::Count(count)
            }
            (SavedItems::Own, JsonItems::List(list)) => {
                let mut sink = ItemList(Vec::new());
                list.read_into(checked.input(), &mut sink).await?;
                ScheduledItems::List(sink.0)
            }
            (SavedItems::Kept { count, columns }, JsonItems::List(list)) if list.is_empty() => {
                ScheduledItems::Kept { count, columns: columns.to_vec() }
            }
            (SavedItems::Own, JsonItems::Folder(_)) => {
                return Err(ApiError::invalid(
                    "batch: items: a schedule holds its items, and files of a folder are read when a batch is made.",
                ));
            }
            (SavedItems::Kept { .. }, JsonItems::Count(_) | JsonItems::List(_) | JsonItems::Folder(_)) => {
                return Err(ApiError::invalid(
                    "batch: items: this schedule keeps the items of another batch; make a new one for others.",
                ));
            }
        };
        engine.check_items(&items)?;
        Ok(ReadBatch { checked, items })
    }
}

/// Items in memory: what holds them is bounded.
struct ItemList(Vec<Json>);

/// Of JSON, which brings neither columns nor files.
impl ItemSink for ItemList {
    type File = ();

    fn set_columns(&mut self, _columns: &[String]) -> Result<(), ApiError> {
        Err(ApiError::internal())
    }

    async fn push(&mut self, item: &Json) -> Result<(), ApiError> {
        self.0.push(item.clone());
        Ok(())
    }

    async fn push_uploads(&mut self, _ids: Vec<String>) -> Result<(), ApiError> {
        Err(ApiError::invalid(
            "batch: items: an upload is used up by one batch; submit it, and make the schedule from that batch.",
        ))
    }

    fn scratch_file(&self) -> Result<File, ApiError> {
        Err(ApiError::internal())
    }

    async fn begin_file(&mut self) -> Result<(), ApiError> {
        Err(ApiError::internal())
    }

    async fn write_file(&mut self, _file: &mut (), _chunk: &[u8]) -> Result<(), ApiError> {
        Err(ApiError::internal())
    }

    async fn push_file(&mut self, _file: (), _name: &str) -> Result<(), ApiError> {
        Err(ApiError::internal())
    }
}
