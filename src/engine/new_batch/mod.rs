//! A new batch, checked once before anything is written: task, parameters, options, name, and what is to follow it.
//!
//! Used by submits and by follow-ups alike. What passes here can be stored and run; its task is prepared in passing.

mod follow_up;
mod options;

use std::sync::Arc;

pub use self::options::{concurrency, name};
use super::EngineError;
use super::liveness::Liveness;
use crate::protocol::{BatchId, InputKind, Json, NewBatch, limits};
use crate::store::{CreateBatch, Source};
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
    liveness: Arc<Liveness>,
}

/// A batch that can be stored, and its task, prepared.
pub struct CheckedBatch {
    pub new: CreateBatch,
    pub prepared: Arc<dyn Prepared>,
}

impl Validator {
    /// By the tasks of this node.
    pub fn new(tasks: Arc<Registry>, items_max: u64, liveness: Arc<Liveness>) -> Self {
        Self { tasks, items_max, liveness }
    }

    /// Checks that a batch may have so many items.
    pub fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        let most = self.items_max;
        if items > most {
            return Err(EngineError::TooLarge(format!("a batch may have {most} items")));
        }
        Ok(())
    }

    /// Checks all but the items.
    pub fn batch(
        &self,
        new: NewBatch,
        owner: String,
        columns: Vec<String>,
        source: Source,
        generated: u64,
    ) -> Result<CheckedBatch, EngineError> {
        if let Some(then) = &new.options.then {
            self.check_then(then)?;
        }
        self.alone(new, owner, columns, source, generated)
    }

    /// As [`Validator::batch`], without what is to follow it.
    fn alone(
        &self,
        new: NewBatch,
        owner: String,
        columns: Vec<String>,
        source: Source,
        generated: u64,
    ) -> Result<CheckedBatch, EngineError> {
        let Some(info) = self.tasks.info(&new.task) else {
            return Err(EngineError::UnknownTask(new.task));
        };
        let given = new.params.unwrap_or_else(|| Json::from_value(&serde_json::json!({})));
        let (params, prepared) = match self.tasks.prepare(&new.task, &given) {
            None => return Err(EngineError::UnknownTask(new.task)),
            Some(Err(faults)) => return Err(invalid(faults.join("; "))),
            Some(Ok(prepared)) => prepared,
        };
        options::options(&new.options)?;
        if columns.len() > limits::COLUMNS_MAX {
            let most = limits::COLUMNS_MAX;
            return Err(EngineError::TooLarge(format!("{} columns came; {most} are allowed", columns.len())));
        }
        if source == Source::Generated && info.input != InputKind::Line {
            let unfit = format!("the task {:?} takes {}, not numbers", info.name, plural(info.input));
            return Err(invalid(unfit));
        }
        let new = CreateBatch {
            id: BatchId::from_u128(uuid::Uuid::now_v7().as_u128()),
            name: match new.name.map(|given| given.trim().to_owned()).filter(|given| !given.is_empty()) {
                Some(given) => name(given)?,
                None => info.title.clone(),
            },
            input: info.input,
            task: new.task,
            source,
            generated,
            params,
            options: new.options,
            owner,
            columns,
            intake_node: (source == Source::Blocks).then(|| self.liveness.node()),
        };
        Ok(CheckedBatch { new, prepared })
    }
}
