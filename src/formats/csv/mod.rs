//! CSV: one record an item.
//!
//! ```text
//! options    how it is to be read        delimiter -> reader (records) -> header (items), led by decoder
//! preview    the first rows, for a page  formula   cells that a spreadsheet would run
//! ```

pub mod decoder;
pub mod delimiter;
pub mod formula;
mod header;
pub mod options;
pub mod preview;
pub mod reader;
#[cfg(test)]
mod tests;
