//! A live client without a transport: what is shown is folded from frames, whoever carries them.
//!
//! ```text
//! fold, live_row     newest wins, per key      backoff, transport_choice   when and how to try again
//! words              numbers, times and states as people read them
//! ```
//!
//! Used by the pages, by `milepost watch`, by the tests and by the benches. Pure: no clock, no socket, no browser.

pub mod backoff;
pub mod fold;
pub mod live_row;
pub mod transport_choice;
pub mod words;
