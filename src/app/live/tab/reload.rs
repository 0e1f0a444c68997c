//! Reading the page itself anew: once where the server is newer, and as the last of all ways.
//!
//! Owns what this tab remembers over a reload. Called by what is heard and by the course. Invariant: at most one reload
//! for each build of a server, ever, and none where that cannot be remembered: never a loop; none while somebody fills
//! in a form. Deliberately knows no topic.

use gloo_net::http::Request;
use leptos::prelude::{document, window};
use leptos::task::spawn_local;
use web_sys::Storage;

use super::{Phase, now_ms, with_tab};
use crate::client::transport_choice::Way;

/// Between two readings of the page, where nothing else gets through.
pub const PAGE_MS: f64 = 5_000.0;
/// Builds that this tab has been renewed for.
const RENEWED: &str = "milepost-renewed";
/// Builds that are remembered; a tab that has seen so many is not renewed by itself any more.
const RENEWED_MAX: usize = 16;
/// The way of the page before this one.
const WAY: &str = "milepost-way";

fn storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

fn read(key: &str) -> String {
    storage().and_then(|storage| storage.get_item(key).ok().flatten()).unwrap_or_default()
}

/// False where it was not remembered.
fn write(key: &str, value: &str) -> bool {
    storage().is_some_and(|storage| storage.set_item(key, value).is_ok())
}

/// The build of this page, as its server said.
pub fn page_build() -> String {
    document().document_element().and_then(|root| root.get_attribute("data-build")).unwrap_or_default()
}

/// True where a reload would take away what somebody has typed or chosen.
fn is_filled_in() -> bool {
    let path = window().location().pathname().unwrap_or_default();
    let typing = document()
        .active_element()
        .is_some_and(|element| ["INPUT", "TEXTAREA", "SELECT"].contains(&element.tag_name().as_str()));
    path == "/new" || typing
}

/// Reads the page anew, because somebody asked for it.
pub(in crate::app::live) fn reload() {
    if window().location().reload().is_err() {
        leptos::logging::warn!("the page could not be read anew");
    }
}

/// A server of `build` has answered: a page of another one is renewed once, by itself where nobody is typing.
pub fn compare(build: &str) {
    if build.is_empty() || build == page_build() {
        return;
    }
    let known = read(RENEWED);
    let before: Vec<&str> = known.split(' ').filter(|known| !known.is_empty()).collect();
    let may = !before.contains(&build) && before.len() < RENEWED_MAX && !is_filled_in();
    if may && write(RENEWED, &format!("{known} {build}")) {
        reload();
    } else if let Some(client) = with_tab(|tab| tab.client.clone()) {
        client.set_newer();
    }
}

/// The way of the page before this one, where that had to read itself anew.
pub fn way_before() -> Way {
    Way::parse(&read(WAY)).unwrap_or_default()
}

/// Another way works again.
pub fn forget_way() {
    if let Some(storage) = storage() {
        // Not remembered is as good.
        let _gone = storage.remove_item(WAY);
    }
}

/// Reads the page anew where it can be had, something on it goes on, and nobody types; else waits.
pub fn page() {
    let unfinished = with_tab(|tab| {
        tab.phase = Phase::Waiting(now_ms() + PAGE_MS);
        tab.client.desk().unfinished()
    });
    if unfinished != Some(true) || is_filled_in() {
        return;
    }
    let Ok(address) = window().location().href() else { return };
    spawn_local(async move {
        // A page that cannot be had must not take the place of this one.
        if Request::get(&address).send().await.is_ok_and(|answer| answer.ok()) && write(WAY, Way::Page.name())
        {
            reload();
        }
    });
}
