//! Letters without their case, on the server.

/// `text` in lower case.
#[must_use]
pub fn lower_case(text: &str) -> String {
    text.to_lowercase()
}
