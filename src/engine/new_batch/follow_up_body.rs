//! A batch that is to follow another: the form of `options.then`, read, checked, and made into rows.
//!
//! It is a body of `POST /batches` in JSON, with `on`. What passes here at the submit is what is made when its time has
//! come, or the batch before it shows the reason why not.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Validator, invalid, plural};
use crate::engine::EngineError;
use crate::protocol::json::object_or_none;
use crate::protocol::{InputKind, Json, NewBatch, Object, Options, ThenOn, limits};
use crate::store::{BatchRecord, CreateBatch, Naming, NewBlock};

/// Bytes of a follow-up at most, with all that follows it in turn: it is part of its batch's row, which is read and
/// written with every commit.
const THEN_BYTES_MAX: usize = 64 * 1024;
/// How many batches may follow one another.
const THEN_DEPTH_MAX: usize = 8;
/// Lines of a block.
const BLOCK_LINES: usize = 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowUpMembers {
    task: String,
    name: Option<String>,
    params: Option<Json>,
    #[serde(default, deserialize_with = "object_or_none")]
    options: Option<Options>,
    items: Option<Box<RawValue>>,
    /// Read by the store when the batch before it ends.
    #[serde(default, rename = "on")]
    _on: ThenOn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountMember {
    count: u64,
}

/// Over what it is to run.
enum FollowUpItems {
    Count(u64),
    List(Vec<Json>),
}

impl Validator {
    /// Checks a follow-up, and all that is to follow it.
    pub(super) fn check_then(&self, then: &Json) -> Result<(), EngineError> {
        if then.as_str().len() > THEN_BYTES_MAX {
            let detail =
                format!("options.then: more than {THEN_BYTES_MAX} bytes; submit that batch at the end");
            return Err(EngineError::TooLarge(detail));
        }
        let (mut next, mut depth) = (then.clone(), 1);
        loop {
            if depth > THEN_DEPTH_MAX {
                return Err(invalid(format!(
                    "options.then: more than {THEN_DEPTH_MAX} batches follow one another"
                )));
            }
            // What follows in turn is taken out and looked at next, so that depth costs no stack.
            let mut body = read(&next)?;
            let after = body.options.as_mut().and_then(|options| options.then.take());
            self.rows(body, String::new()).map_err(|error| at_then(error, depth))?;
            let Some(after) = after else { return Ok(()) };
            (next, depth) = (after, depth + 1);
        }
    }

    /// What is to be made after `parent`, with its items.
    pub fn follow_up(
        &self,
        parent: &BatchRecord,
        then: &Json,
    ) -> Result<(CreateBatch, Vec<NewBlock>), EngineError> {
        let mut body = read(then)?;
        let then = body.options.as_mut().and_then(|options| options.then.take());
        let named = body.name.is_some();
        let (mut new, blocks) = self.rows(body, parent.owner.clone())?;
        new.options.then = then;
        if !named {
            (new.name, new.naming) = (name_after(parent, &new), Naming::Given);
        }
        Ok((new, blocks))
    }

    /// Checks a body as a submit would, without what is to follow it, and makes its rows.
    fn rows(
        &self,
        body: FollowUpMembers,
        owner: String,
    ) -> Result<(CreateBatch, Vec<NewBlock>), EngineError> {
        let options = body.options.unwrap_or_default();
        if options.open {
            return Err(invalid("options.open: a follow-up is whole from the start"));
        }
        if options.parent.is_some() {
            return Err(invalid("options.parent: a follow-up comes after its batch and from no other"));
        }
        let items = items(body.items.as_deref())?;
        let new = NewBatch { task: body.task, name: body.name, params: body.params, options };
        let checked = self.check_alone(new, owner)?;
        let (count, checked) = match &items {
            FollowUpItems::Count(count) => (*count, checked.with_numbers(*count)?),
            FollowUpItems::List(items) if items.is_empty() => return Err(EngineError::NoItems),
            FollowUpItems::List(items) => (items.len() as u64, checked),
        };
        self.within_limit(count)?;
        let new = checked.new;
        let blocks = match items {
            FollowUpItems::Count(_) => Vec::new(),
            FollowUpItems::List(items) => blocks(&new, &items)?,
        };
        Ok((new, blocks))
    }
}

/// The title of a batch without one of its own. That of a private one is not told to those who may not see it.
fn name_after(parent: &BatchRecord, new: &CreateBatch) -> String {
    let name = if parent.options.private && !new.options.private {
        format!("After #{}", parent.key)
    } else {
        format!("After #{}: {}", parent.key, parent.name)
    };
    name.chars().take(limits::NAME_CHARS_MAX).collect()
}

fn read(then: &Json) -> Result<FollowUpMembers, EngineError> {
    let Object(body): Object<FollowUpMembers> = serde_json::from_str(then.as_str())
        .map_err(|fault| invalid(format!("options.then is not as expected: {fault}")))?;
    Ok(body)
}

/// The same fault, said of the follow-up.
fn at_then(error: EngineError, depth: usize) -> EngineError {
    let place = vec!["then"; depth].join(".options.");
    match error {
        EngineError::Invalid { detail, line } => {
            EngineError::Invalid { detail: format!("options.{place}: {detail}"), line }
        }
        EngineError::TooLarge(detail) => EngineError::TooLarge(format!("options.{place}: {detail}")),
        error @ (EngineError::Store(_)
        | EngineError::UnknownTask(_)
        | EngineError::NoItems
        | EngineError::Unready(_)) => error,
    }
}

fn items(items: Option<&RawValue>) -> Result<FollowUpItems, EngineError> {
    let shape = |fault| invalid(format!("items: expected a list, or {{\"count\":N}}: {fault}"));
    let Some(items) = items else { return Ok(FollowUpItems::List(Vec::new())) };
    if items.get().starts_with('{') {
        let CountMember { count } = serde_json::from_str(items.get()).map_err(shape)?;
        return Ok(FollowUpItems::Count(count));
    }
    Ok(FollowUpItems::List(serde_json::from_str(items.get()).map_err(shape)?))
}

/// Items in blocks, each one line.
pub fn blocks(new: &CreateBatch, items: &[Json]) -> Result<Vec<NewBlock>, EngineError> {
    if new.input == InputKind::File {
        return Err(invalid(format!("the task {:?} takes files, which JSON cannot bring", new.task)));
    }
    for (at, item) in items.iter().enumerate() {
        let number = at + 1;
        if new.input == InputKind::Record && !item.as_str().starts_with('{') {
            let kind = plural(new.input);
            return Err(invalid(format!(
                "item {number}: the task {:?} takes {kind}: an object is expected",
                new.task
            )));
        }
        if item.depth() > limits::JSON_DEPTH_MAX {
            let most = limits::JSON_DEPTH_MAX;
            return Err(invalid(format!("item {number} is nested deeper than {most} levels")));
        }
    }
    let block = |items: &[Json]| {
        let mut ndjson = String::new();
        for item in items {
            // Line ends can only stand between tokens, where a blank is as good.
            ndjson.push_str(&item.as_str().replace(['\n', '\r'], " "));
            ndjson.push('\n');
        }
        NewBlock { count: u32::try_from(items.len()).unwrap_or(u32::MAX), ndjson: ndjson.into_bytes() }
    };
    Ok(items.chunks(BLOCK_LINES).map(block).collect())
}
