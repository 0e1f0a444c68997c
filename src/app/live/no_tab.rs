//! The tab's place while the server renders: nothing happens.
//!
//! Owns nothing. Called by the connection in place of the browser's tab. Invariant: signals keep their initial
//! values. Deliberately does not connect.

use super::subscriptions::LiveClient;

/// Would open the connection.
pub(super) fn start(_client: &LiveClient) {}

/// Would tell the server what is wanted.
pub(super) fn wanted_changed() {}

/// Would try at once.
pub(super) fn retry_now() {}

/// Would read the page anew.
pub(super) fn reload() {}
