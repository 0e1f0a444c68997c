//! Letters without their case, by the browser: the tables of Rust's own would be 10 kB of the program.

/// `text` in lower case.
#[must_use]
pub fn lower_case(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}
