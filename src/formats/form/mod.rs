//! Multipart forms: settings first, then files, lines or a CSV.
//!
//! ```text
//! multipart_bounds -> parts -> reader -> an item sink
//!                              file_name               what a file is called
//!                              local_time              a time of day in somebody's zone
//!                              settings, typed_value   what the fields before the items stand for
//! ```

mod file_name;
mod local_time;
pub mod multipart_bounds;
mod parts;
mod reader;
mod settings;
pub mod typed_value;

pub use parts::FormBody;
pub use reader::FormReader;
