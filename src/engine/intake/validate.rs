//! Whether a batch can be what is asked: task, parameters, options, name.
//!
//! Owns the checks before anything is written. Called by intake and acts. Invariant: what passes here can be stored
//! and run. Deliberately looks at no item and writes nothing.

use super::follow_up;
use crate::engine::{EngineError, Inner};
use crate::protocol::{BatchId, InputKind, Json, NewBatch, Options, limits};
use crate::store::{CreateBatch, Source};

/// Attempts per item at most.
const ATTEMPTS_MAX: u32 = 100;
/// Time limit of one attempt at most: thirty days.
const TIMEOUT_SECONDS_MAX: f64 = 2_592_000.0;
/// Longest delay between attempts at most: a week.
const RETRY_MS_MAX: u64 = 604_800_000;

/// [`EngineError::Invalid`] without a line.
pub fn invalid(detail: impl Into<String>) -> EngineError {
    EngineError::Invalid { detail: detail.into(), line: None }
}

/// Checks all but the items.
pub fn batch(
    inner: &Inner,
    new: NewBatch,
    owner: String,
    columns: Vec<String>,
    source: Source,
    generated: u64,
) -> Result<CreateBatch, EngineError> {
    let Some(info) = inner.tasks.info(&new.task) else {
        return Err(EngineError::UnknownTask(new.task));
    };
    let given = new.params.unwrap_or_else(|| Json::from_value(&serde_json::json!({})));
    let params = match inner.tasks.prepare(&new.task, &given) {
        None => return Err(EngineError::UnknownTask(new.task)),
        Some(Err(faults)) => return Err(invalid(faults.join("; "))),
        Some(Ok((params, _prepared))) => params,
    };
    options(&new.options)?;
    if let Some(body) = &new.options.then {
        follow_up::check(inner, body)?;
    }
    if columns.len() > limits::COLUMNS_MAX {
        let most = limits::COLUMNS_MAX;
        return Err(EngineError::TooLarge(format!("{} columns came; {most} are allowed", columns.len())));
    }
    if source == Source::Generated && info.input != InputKind::Line {
        let unfit = format!("the task {:?} takes {}, not numbers", info.name, plural(info.input));
        return Err(invalid(unfit));
    }
    Ok(CreateBatch {
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
        intake_node: (source == Source::Blocks).then(|| inner.node()),
    })
}

/// What the items of a task are, for a sentence.
pub fn plural(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "files",
        InputKind::Line => "lines",
        InputKind::Record => "records",
    }
}

/// Checks a title.
pub fn name(given: String) -> Result<String, EngineError> {
    if given.chars().count() > limits::NAME_CHARS_MAX {
        return Err(invalid(format!("name: at most {} characters are allowed", limits::NAME_CHARS_MAX)));
    }
    if given.chars().any(char::is_control) {
        return Err(invalid("name: one line of text is expected"));
    }
    Ok(given)
}

/// Checks a concurrency.
pub fn concurrency(given: Option<u32>) -> Result<(), EngineError> {
    expect(given.is_none_or(|slots| slots >= 1), "concurrency: at least 1 is expected")
}

fn expect(holds: bool, otherwise: &str) -> Result<(), EngineError> {
    if holds { Ok(()) } else { Err(invalid(format!("options.{otherwise}"))) }
}

fn options(given: &Options) -> Result<(), EngineError> {
    let above_zero = |value: f64| value.is_finite() && value > 0.0;
    concurrency(given.concurrency)?;
    expect(
        given.attempts_max.is_none_or(|most| (1..=ATTEMPTS_MAX).contains(&most)),
        "attempts_max: 1 to 100 is expected",
    )?;
    expect(
        given.timeout_seconds.is_none_or(|limit| above_zero(limit) && limit <= TIMEOUT_SECONDS_MAX),
        "timeout_seconds: a number above 0, at most 2592000, is expected",
    )?;
    expect(given.rate_per_s.is_none_or(above_zero), "rate_per_s: a number above 0 is expected")?;
    expect(given.try_first.is_none_or(|items| items >= 1), "try_first: at least 1 is expected")?;
    for delay in [given.retry_base_ms, given.retry_max_ms] {
        expect(
            delay.is_none_or(|ms| ms <= RETRY_MS_MAX),
            "retry_base_ms, retry_max_ms: at most a week is expected",
        )?;
    }
    if let Some(budget) = given.budget {
        let percent = budget.failed_percent.is_none_or(|most| above_zero(most) && most <= 100.0);
        expect(percent, "budget.failed_percent: above 0, at most 100, is expected")?;
        let row = budget.failed_in_a_row.is_none_or(|most| most >= 1);
        expect(row, "budget.failed_in_a_row: at least 1 is expected")?;
    }
    // Kept for later: what would not be carried out is refused, so that nobody waits for it.
    expect(given.webhook.is_none(), "webhook: not supported yet; watch the batch instead")?;
    Ok(())
}
