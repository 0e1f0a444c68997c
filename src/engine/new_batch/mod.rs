//! A new batch, checked once before anything is written: task, parameters, options, name, and what is to follow it.
//!
//! Used by submits and by follow-ups alike. What passes here can be stored and run; its task is prepared in passing.

mod follow_up_body;
mod options;

use std::sync::Arc;

pub use self::follow_up_body::blocks;
pub use self::options::{concurrency, name};
use super::EngineError;
use crate::protocol::{BatchId, InputKind, Json, NewBatch, default_name, limits};
use crate::store::{BatchKey, CreateBatch, Naming, Source};
use crate::tasks::{Prepared, Registry};

/// [`EngineError::Invalid`] without a line.
pub fn invalid(detail: impl Into<String>) -> EngineError {
    EngineError::Invalid { detail: detail.into(), line: None }
}

/// What the items of a task are, for a sentence.
pub fn plural(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "files",
        InputKind::Line => "lines",
        InputKind::Record => "records",
    }
}

/// Checks new batches.
pub struct Validator {
    tasks: Arc<Registry>,
    /// Items of one batch at most.
    items_max: u64,
    /// After so long an upload that says how much is to come is sealed where nothing does; 0 for never.
    upload_idle_seconds: u32,
}

/// A batch that can be stored, all but its items checked, and its task, prepared once for its whole way.
pub struct CheckedBatch {
    pub(super) new: CreateBatch,
    pub(super) prepared: Arc<dyn Prepared>,
}

/// Over what a schedule makes its batches.
#[derive(Clone, Debug)]
pub enum ScheduledItems {
    /// The numbers from 1.
    Count(u64),
    /// These, each checked.
    List(Vec<Json>),
    /// Those that the store keeps for it.
    Kept {
        /// How many.
        count: u64,
        /// Their columns, where they came as CSV.
        columns: Vec<String>,
    },
}

impl ScheduledItems {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Count(count) | Self::Kept { count, .. } => *count,
            Self::List(items) => items.len() as u64,
        }
    }
}

impl CheckedBatch {
    /// Where only its owner and admins are to see it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.new.options.private
    }

    /// Name of its task.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.new.task
    }

    /// Its title.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.new.name
    }

    /// What its items are.
    #[must_use]
    pub fn input(&self) -> InputKind {
        self.new.input
    }

    /// True where items may still come after those of its first request.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.new.options.open
    }

    /// Called after the file that its items are read from, where nobody has named it.
    #[must_use]
    pub fn with_source_file(mut self, file: &str) -> Self {
        if self.new.naming == Naming::ByInput
            && let Some(name) = default_name::after_source(file)
        {
            (self.new.name, self.new.naming) = (name, Naming::Given);
        }
        self
    }

    /// With the batch it comes from.
    #[must_use]
    pub fn with_parent(mut self, parent: Option<BatchKey>) -> Self {
        self.new.parent = parent;
        self
    }

    /// With the columns of its items, which a CSV names first.
    pub(super) fn with_columns(mut self, columns: Vec<String>) -> Result<Self, EngineError> {
        columns_within_limit(&columns)?;
        self.new.columns = columns;
        Ok(self)
    }

    /// With the numbers 1 to `count` for items.
    pub(super) fn with_numbers(mut self, count: u64) -> Result<Self, EngineError> {
        if self.new.input != InputKind::Line {
            let (task, kind) = (&self.new.task, plural(self.new.input));
            return Err(invalid(format!("the task {task:?} takes {kind}, not numbers")));
        }
        if self.new.options.open {
            return Err(invalid("options.open: a batch of numbers is whole from the start"));
        }
        if count == 0 {
            return Err(EngineError::NoItems);
        }
        if self.new.naming == Naming::ByInput {
            (self.new.name, self.new.naming) = (default_name::after_numbers(count), Naming::Given);
        }
        (self.new.source, self.new.generated) = (Source::Generated, count);
        Ok(self)
    }
}

impl Validator {
    /// By the tasks of this node.
    pub fn new(tasks: Arc<Registry>, items_max: u64, upload_idle_seconds: u32) -> Self {
        Self { tasks, items_max, upload_idle_seconds }
    }

    /// Checks that a batch may have so many items.
    pub fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        let most = self.items_max;
        if items > most {
            return Err(EngineError::TooLarge(format!("a batch may have {most} items")));
        }
        Ok(())
    }

    /// Checks all but the items: the task, its parameters, the options with what is to follow, and the name.
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `TooLarge`; `NoItems` for what is to follow.
    pub fn check(&self, new: NewBatch, owner: String) -> Result<CheckedBatch, EngineError> {
        let checked = self.check_alone(new, owner)?;
        if let Some(then) = &checked.new.options.then {
            self.check_then(then)?;
        }
        Ok(checked)
    }

    /// As [`Validator::check`], without what is to follow it.
    fn check_alone(&self, new: NewBatch, owner: String) -> Result<CheckedBatch, EngineError> {
        let given = new.params.unwrap_or_default();
        if given.as_str().len() > limits::PARAMS_BYTES_MAX {
            let most = limits::PARAMS_BYTES_MAX;
            return Err(EngineError::TooLarge(format!("params: more than {most} bytes.")));
        }
        if given.depth() > limits::JSON_DEPTH_MAX {
            return Err(invalid(format!("params: nested deeper than {} levels.", limits::JSON_DEPTH_MAX)));
        }
        let (Some(info), Some(prepared)) =
            (self.tasks.info(&new.task), self.tasks.prepare(&new.task, &given))
        else {
            return Err(EngineError::UnknownTask(new.task));
        };
        let (params, prepared) =
            prepared.map_err(|faults| invalid(format!("params: {}.", faults.join("; "))))?;
        if let Some(reason) = prepared.idle() {
            return Err(invalid(format!("params: {reason}.")));
        }
        let (name, naming) = match new.name {
            Some(given) => (name(&given)?, Naming::Given),
            None => (info.title.clone(), Naming::ByInput),
        };
        options::options(&new.options)?;
        let mut options = new.options;
        if options.expected.is_some() && self.upload_idle_seconds > 0 {
            options.idle_seconds.get_or_insert(u64::from(self.upload_idle_seconds));
        }
        let new = CreateBatch {
            id: BatchId::from_u128(uuid::Uuid::now_v7().as_u128()),
            name,
            naming,
            input: info.input,
            task: new.task,
            source: Source::Blocks,
            generated: 0,
            params,
            options,
            owner,
            parent: None,
            columns: Vec::new(),
            intake_node: None,
        };
        Ok(CheckedBatch { new, prepared })
    }
}

/// Refuses more columns than a batch may have.
pub fn columns_within_limit(columns: &[String]) -> Result<(), EngineError> {
    let most = limits::COLUMNS_MAX;
    if columns.len() <= most {
        return Ok(());
    }
    Err(EngineError::TooLarge(format!("{} columns came; {most} are allowed", columns.len())))
}
