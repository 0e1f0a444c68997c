//! Multipart forms: settings first, then files, lines or a CSV.
//!
//! ```text
//! multipart_bounds -> parts -> reader -> an item sink
//!                              settings, typed_value   what the fields before the items stand for
//! ```

pub mod multipart_bounds;
mod parts;
mod reader;
mod settings;
mod typed_value;

pub use parts::FormBody;
pub use reader::FormReader;
