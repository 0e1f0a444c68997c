//! Bytes into items, knowing neither people nor tables.
//!
//! ```text
//! lines, text, ndjson, csv   bytes -> items, as they come       stream      a whole stream, by how it is written
//! json_body                  a JSON body -> what to run, items  form        a form -> what to run, items and files
//! encoding                   other encodings -> UTF-8
//! item_kind                  which items a task takes           item_sink   where items and files go
//! file_sources               a zip, or a folder of the server -> files
//! body                       a body on its way: its bytes, its hash, and why it did not come whole
//! ```
//!
//! # Memory
//!
//! A stream, and a part of a form that holds items, hold one chunk as the connection hands it over, the item that has
//! begun ([`ITEM_BYTES_MAX`](crate::protocol::limits::ITEM_BYTES_MAX)) and the items of that chunk. A file takes one
//! chunk. The settings of a form are held whole, at most 1 MiB of them. A JSON body is held whole, up to the limit of the
//! server on such bodies (`limits.json_body_bytes_max`); its items are read in place, one at a time, so that it takes
//! little more than its text.

pub mod body;
pub mod csv;
pub mod encoding;
pub mod file_sources;
pub mod form;
pub mod item_kind;
pub mod item_sink;
pub mod json_body;
pub mod lines;
mod ndjson;
pub mod stream;
mod text;
