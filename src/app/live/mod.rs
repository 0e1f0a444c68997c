//! Topics as signals, over the one live connection of a tab.
//!
//! ```text
//! live_client  the connection, as pages see it      observers  who reads which topic
//! topics       what pages hold                      feed       the signals of one topic, and the fold behind them
//! queue        events on their way to the tab's driver, `browser::live_tab`
//! ```
//!
//! ```text
//! provide_live_client()                    once, in the root component (starts in the browser, in an Effect)
//! use_live() -> LiveClient                 anywhere below
//!   .state() -> Signal<ConnectionState>    for the chip       .retry_now()   its button "now"
//!   .away() -> Signal<Option<Timestamp>>   since when there is no contact, for the banner
//! use_batch(initial: Batch) -> LiveOne<Batch>       use_progress(initial: Batch) -> LiveOne<Batch>   for share links
//! use_item(batch, initial: ItemDetail) -> LiveOne<ItemLive>
//!   .row: Signal<R>  .gone: Signal<bool> (deleted, or no longer visible)
//! use_batches(initial: Vec<Batch>) -> LiveRows<Batch>         all of the topic, newest first
//! use_listed_batches(initial: Vec<Batch>, belongs) -> LiveRows<Batch>   exactly these in this order, kept true;
//!                                                             `unseen` counts newer ones that belong (the chip "2 new")
//! use_window(batch, window: Signal<(Seq, Seq)>, initial: ItemPage) -> LiveRows<ItemRow>   follows the signal
//! use_families(batch, initial: FamilyPage) -> LiveRows<Family>
//! use_nodes(initial: Vec<Node>) -> LiveRows<Node>
//! use_strip(batch, initial: Strip) -> LiveRows<StripCell>
//! use_pulse(batch, initial: (Rev, Vec<PulseBucket>)) -> LiveRows<PulseBucket>
//!   .order: Signal<Vec<R::Key>>  keys in order: for <For each=move || rows.order.get() key=|k| k.clone() ..>
//!   .row(&key) -> Option<Signal<R>>        one row; changes when that row does, and only then
//!   .list() -> Vec<R>                      all rows in order; tracks every change (canvas, sums)
//!   .unseen: Signal<usize>                 rows of the topic that are not listed and belong   .unseen_rows() -> Vec<R>
//! ```
//! `LiveOne` and `LiveRows` are `Copy`. All of it can be called while the server renders: the signals then hold the
//! initial values and nothing else happens. Cleanup is by the owner of the caller.

mod feed;
mod live_client;
pub mod observers;
pub mod queue;
mod topics;

use leptos::prelude::{Effect, provide_context};

pub use self::live_client::{LiveClient, use_live};
pub use self::topics::{
    LiveOne, LiveRows, use_batch, use_batches, use_families, use_item, use_listed_batches, use_nodes,
    use_progress, use_pulse, use_strip, use_window,
};
use super::browser;
pub use crate::client::connection::ConnectionState;
pub use crate::client::live_row::LiveRow;

/// Puts a live client into the context of the root component, and opens its connection once that stands in a browser.
pub fn provide_live_client() {
    let client = LiveClient::detached();
    provide_context(client.clone());
    Effect::new(move |_| browser::live_tab::start(&client));
}
