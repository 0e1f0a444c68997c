//! Multipart forms: settings first, then files, lines or a CSV.
//!
//! ```text
//! multipart_bounds -> parts -> reader -> an item sink
//!                              file_name               what a file is called
//!                              local_time              a time of day in somebody's zone
//!                              settings, typed_value   what the fields before the items stand for
//!                              held_parts              items that come before the settings
//!                              settings, typed_value, grid_fields   what the other fields stand for
//! csv_form                                              the first rows of a CSV, before they are items
//! ```

mod csv_form;
mod file_name;
mod local_time;
mod grid_fields;
mod held_parts;
pub mod multipart_bounds;
mod parts;
mod reader;
mod settings;
pub mod typed_value;

pub use csv_form::{CsvForm, read_csv_form};
pub use parts::{FieldOrder, FormBody};
pub use reader::FormReader;
