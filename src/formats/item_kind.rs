//! Which items a task takes, and how others are refused.

use crate::protocol::limits::JSON_DEPTH_MAX;
use crate::protocol::{ApiError, InputKind, Json};

/// The refusal of items that are no files, where the task takes files.
pub(super) fn takes_files() -> ApiError {
    ApiError::invalid(
        "This task takes files: send multipart/form-data with parts named file, or JSON with uploads that are whole, \
         {\"upload\":\"ID\"}.",
    )
}

/// Refuses numbers in place of items, where the task takes other items.
///
/// # Errors
/// `invalid` with how its items are sent.
pub fn check_numbers(input: InputKind) -> Result<(), ApiError> {
    match input {
        InputKind::Line => Ok(()),
        InputKind::File => Err(takes_files()),
        InputKind::Record => Err(ApiError::invalid("This task takes records: numbers are none.")),
    }
}

/// Refuses a value that cannot be an item of the task.
pub(super) fn check_value(input: InputKind, value: &Json) -> Result<(), ApiError> {
    if input == InputKind::Record && !value.as_str().starts_with('{') {
        return Err(ApiError::invalid("Expected a JSON object: the items of this task are records."));
    }
    if value.depth() > JSON_DEPTH_MAX {
        return Err(ApiError::invalid(format!("Nested deeper than {JSON_DEPTH_MAX} levels.")));
    }
    if value.has_unpaired_surrogate() {
        return Err(ApiError::invalid("Holds half of a surrogate pair, which is no character."));
    }
    Ok(())
}
