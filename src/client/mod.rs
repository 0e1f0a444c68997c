//! A live client without a transport: everything but the socket, the timer and the drawing.
//!
//! ```text
//! decoder          frames of either codec, read           fold, live_row     the newest row per key
//! subscriptions    what to ask for, from which revision   reconnect          when to try again
//! connection       the connection of a tab as a state machine, with transport_choice; event_queue feeds it
//! chart, course    ends over time, as the paths of a drawing and in words     spark    the same in a few bars, for a row
//! words            numbers, times and states as people read them
//! ```
//!
//! Used by the pages, by `milepost watch`, by the tests and by the benches. No clock, no socket, no browser: whoever uses
//! it brings the time and the randomness.

pub mod chart;
pub mod connection;
pub mod course;
pub mod decoder;
pub mod event_queue;
pub mod fold;
pub mod live_row;
pub mod reconnect;
pub mod spark;
pub mod subscriptions;
pub mod transport_choice;
pub mod words;
