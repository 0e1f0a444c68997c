//! Parts of pages as HTML text: what is long, nested or drawn anew often, for `inner_html`.
//!
//! ```text
//! escape   the one way text gets in      tree    a JSON value, folded      log    lines with numbers and colours
//! course   waits and attempts as bars    files   files with previews      item_heads   heads that sort
//! item_filters   what items are looked for by
//! ```
//!
//! The browser takes such a part as it comes from the server and looks at nothing inside, so its texts may be of any
//! length. Whatever is not written here goes through [`escape`]; no part holds a script, a style or a form.

mod course;
mod escape;
mod files;
mod item_filters;
mod item_heads;
mod log;
mod tree;

pub use course::{course, span_bar};
pub use files::{FilesOf, input_file, is_picture};
pub use item_filters::item_filters;
pub use item_heads::{item_heads, sorting_heads};
pub use log::{LogLines, lines};
pub use tree::{as_text, value};
