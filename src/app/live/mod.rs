//! The live client: one connection per tab, topics as signals.
//!
//! Owns the connection of a tab, its subscriptions and what is merged from frames. Called by pages and components.
//! Invariant: the newest row per key is what is shown; equal on both sides of hydration. Deliberately knows no page.
//!
//! ```text
//! LiveClient::provide() -> LiveClient      once, in the root component (starts in the browser, in an Effect)
//! use_live() -> LiveClient                 anywhere below
//!   .state() -> Signal<ConnectionState>    for the chip       .retry_now()   its button "now"
//!   .away() -> Signal<Option<Timestamp>>   since when there is no contact, for the banner
//! use_batch(initial: Batch) -> LiveOne<Batch>
//! use_item(batch, initial: ItemDetail) -> LiveOne<ItemLive>
//!   .row: Signal<R>  .gone: Signal<bool> (deleted, or no longer visible)
//! use_batches(initial: Vec<Batch>) -> LiveRows<Batch>         all of the topic, newest first
//! use_listed_batches(initial: Vec<Batch>, belongs) -> LiveRows<Batch>   exactly these in this order, kept true;
//!                                                             `unseen` counts newer ones that belong (the chip "2 new")
//! use_window(batch, window: Signal<(Seq, Seq)>, initial: ItemPage) -> LiveRows<ItemRow>   follows the signal
//! use_families(batch, initial: FamilyPage) -> LiveRows<Family>
//! use_nodes(initial: Vec<Node>) -> LiveRows<Node>
//! use_strip(batch, initial: (Rev, Vec<StripCell>)) -> LiveRows<StripCell>
//!   .order: Signal<Vec<R::Key>>  keys in order: for <For each=move || rows.order.get() key=|k| k.clone() ..>
//!   .row(&key) -> Option<Signal<R>>        one row; changes when that row does, and only then
//!   .list() -> Vec<R>                      all rows in order; tracks every change (canvas, sums)
//!   .unseen: Signal<usize>                 rows of the topic that are not listed and belong   .unseen_rows() -> Vec<R>
//! ```
//! `LiveOne` and `LiveRows` are `Copy`. All of it can be called while the server renders: the signals then hold the
//! initial values and nothing else happens. Cleanup is by the owner of the caller.

pub mod subscriptions;
pub mod topics;

#[cfg(not(all(feature = "hydrate", not(feature = "ssr"))))]
#[path = "no_tab.rs"]
mod tab;
#[cfg(all(feature = "hydrate", not(feature = "ssr")))]
mod tab;

pub use self::subscriptions::{ConnectionState, LiveClient, use_live};
pub use crate::client::live_row::LiveRow;
pub use topics::{
    LiveOne, LiveRows, use_batch, use_batches, use_families, use_item, use_listed_batches, use_nodes,
    use_strip, use_window,
};
