//! Milepost runs a task over many items and shows, live, how far it has come.
//!
//! The rooms in reading order; each knows only rooms above it (`app` reaches `service` from server functions alone).

/// How long to wait before the next try.
pub mod backoff;

/// What crosses the wire.
pub mod protocol;

/// Places where tests let things go wrong.
#[cfg(feature = "ssr")]
pub mod fault;

/// Tables and queries: the tape.
#[cfg(feature = "ssr")]
pub mod store;

/// What work is.
#[cfg(feature = "ssr")]
pub mod tasks;

/// Who hears what.
#[cfg(feature = "ssr")]
pub mod hub;

/// Makes work happen.
#[cfg(feature = "ssr")]
pub mod engine;

/// Bytes into items and back.
#[cfg(feature = "ssr")]
pub mod formats;

/// The one door to every use case.
#[cfg(feature = "ssr")]
pub mod service;

/// A live client without a transport.
pub mod client;

/// What people see.
pub mod app;

/// Settings, handed down as plain values.
#[cfg(feature = "ssr")]
pub mod config;

/// HTTP.
#[cfg(feature = "ssr")]
pub mod server;

/// Commands.
#[cfg(feature = "ssr")]
pub mod cli;

/// A Postgres of the tests' own.
#[cfg(all(test, feature = "ssr"))]
#[path = "../tests/cluster/mod.rs"]
mod cluster;

/// An S3 server of the tests' own.
#[cfg(all(test, feature = "ssr"))]
#[path = "../tests/s3/mod.rs"]
mod s3;

/// Where the browser comes in: brings the server's HTML to life.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        app::panicked(&panic.to_string());
    }));
    leptos::mount::hydrate_body(app::App);
}
