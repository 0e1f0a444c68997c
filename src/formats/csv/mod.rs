//! CSV: one record an item.
//!
//! ```text
//! delimiter -> reader (records) -> decoder (items)      preview   the first rows, for a page
//! ```

pub mod decoder;
pub mod delimiter;
pub mod preview;
pub mod reader;
#[cfg(test)]
mod tests;
