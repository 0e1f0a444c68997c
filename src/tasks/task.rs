//! The trait of a task, and what goes in and comes out.
//!
//! Parameters are checked once per batch, never per item.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::context::TaskContext;
use crate::protocol::{BatchId, InputKind, Json, Seq};

/// How long code of this process that was told to stop may take to do so.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// One item as a task sees it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Of which batch.
    pub batch: BatchId,
    /// Position in the batch, from 1.
    pub seq: Seq,
    /// 1 until somebody's retry takes it, then that of the retry: each has a greater one.
    pub generation: u32,
    /// From 1, within the generation.
    pub attempt: u32,
    /// What to work on.
    pub input: ItemInput,
}

/// What to work on.
#[derive(Clone, Debug)]
pub enum ItemInput {
    /// A line (JSON string), a number of a generated batch, or a record (JSON object).
    Value(Json),
    /// A file.
    File {
        /// Name as given: a label, never a path.
        name: String,
        /// Where its content is: read only.
        path: PathBuf,
        /// Size.
        bytes: u64,
        /// Media type by content, a hint.
        media_type: String,
    },
}

/// Whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It may: the fault can pass.
    Yes,
    /// It cannot: the input itself is at fault.
    No,
    /// It may, and the attempt counts as lost: the process that ran the item went away with it in hand.
    Crashed,
}

/// Why an item failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// A stable word for the kind of fault, part of the family: `decode`, `io`, `planned` …
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// Whether another attempt may help.
    pub again: Again,
}

impl TaskError {
    /// The input itself is at fault: no other attempt.
    pub fn input(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), again: Again::No }
    }

    /// A fault that may pass.
    pub fn passing(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), again: Again::Yes }
    }

    /// The process that ran the item went away with it in hand: another attempt, until that has happened too often.
    pub fn crashed(message: impl Into<String>) -> Self {
        Self { kind: "lost", message: message.into(), again: Again::Crashed }
    }

    /// The item is no longer wanted; what is recorded is why, not this.
    pub fn cancelled() -> Self {
        Self::passing("cancelled", "The item is no longer wanted.")
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TaskError {}

/// Code that processes an item.
///
/// `run` is cancel-safe by contract: it may be dropped at any await (time limit, cancel), and blocking parts
/// ask [`TaskContext::cancelled`] from time to time.
pub trait Task: Send + Sync + 'static {
    /// Typed parameters: their JSON Schema makes the form, the API check and the help.
    type Params: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// Name for programs: `[a-z0-9-]`.
    const NAME: &'static str;
    /// Name for people.
    const TITLE: &'static str;
    /// One sentence.
    const DESCRIPTION: &'static str;
    /// What one item is.
    const INPUT: InputKind;
    /// Time limit of one attempt where the batch says nothing, in seconds.
    const TIMEOUT_SECONDS: u32 = 300;

    /// Checks what a schema cannot say (fields that need each other).
    ///
    /// # Errors
    /// A sentence that names the parameter and what was expected.
    fn check(_params: &Self::Params) -> Result<(), String> {
        Ok(())
    }

    /// Why a batch with these parameters would do nothing; none where it does something. Such a batch is refused before it
    /// begins, and the form says so.
    fn idle(_params: &Self::Params) -> Option<String> {
        None
    }

    /// The verdict on one item that needs no run: whether [`Task::run`] would fail it, and why. None where only a run can tell.
    ///
    /// # Errors
    /// What the item would fail with.
    fn foresee(_params: &Self::Params, _item: &Json) -> Option<Result<(), String>> {
        None
    }

    /// Types for the columns of a CSV, guessed from `rows`, each a text per column; none where the task declares no columns.
    /// In the order of the columns, as members of its parameter for one column.
    fn guess_columns(_rows: &[Vec<String>], _columns: usize) -> Option<Vec<GuessedColumn>> {
        None
    }

    /// Runs one item. The `Json` is the result of the item; `Json::default()` (null) = nothing to say.
    fn run(
        &self,
        params: Arc<Self::Params>,
        item: Item,
        context: TaskContext,
    ) -> impl Future<Output = Result<Json, TaskError>> + Send;
}

/// What a column of a CSV seems to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessedColumn {
    /// Name of its type, as parameters name it.
    pub kind: &'static str,
    /// Every row that was looked at has a value.
    pub required: bool,
}

/// A boxed run of one item.
pub type Run = Pin<Box<dyn Future<Output = Result<Json, TaskError>> + Send>>;

/// A task with its parameters read: ready to run the items of one batch.
pub trait Prepared: Send + Sync {
    /// Runs one item.
    fn run(&self, item: Item, context: TaskContext) -> Run;
    /// Time limit of one attempt where the batch says nothing, in seconds.
    fn timeout_seconds(&self) -> u32;
    /// As [`Task::idle`].
    fn idle(&self) -> Option<String> {
        None
    }
    /// As [`Task::foresee`].
    ///
    /// # Errors
    /// What the item would fail with.
    fn foresee(&self, _item: &Json) -> Option<Result<(), String>> {
        None
    }
    /// False once its task is declared otherwise: batches are to be prepared anew.
    fn is_current(&self) -> bool {
        true
    }
    /// How long a run that was told to stop may take to do so before it is dropped.
    fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }
}
