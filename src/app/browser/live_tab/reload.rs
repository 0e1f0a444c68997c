//! Reloading the page itself: once where the server is newer, and as the last of all transports.
//!
//! At most one reload for each build of a server, ever, and none where that cannot be remembered: never a loop. None
//! while somebody fills in a form.

use gloo_net::http::Request;
use leptos::prelude::{document, window};
use leptos::task::spawn_local;
use web_sys::Storage;

use crate::client::transport_choice::Transport;

/// Key of the builds that this tab has been reloaded for.
const RELOADED_FOR: &str = "milepost-reloaded-for";
/// Builds that are remembered; a tab that has seen so many is not reloaded by itself any more.
const BUILDS_MAX: usize = 16;
/// Key of the transport of the page before this one.
const TRANSPORT: &str = "milepost-transport";

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

/// The build of this page, as its server named it.
pub(super) fn page_build() -> String {
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

/// Reloads the page, because somebody asked for it.
pub(super) fn reload() {
    if window().location().reload().is_err() {
        leptos::logging::warn!("the page could not be reloaded");
    }
}

/// What is to be done about the page now that a server of some build has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageAge {
    /// It belongs to the server, or is being reloaded.
    Current,
    /// It is older, and stays: somebody should be told.
    Older,
}

/// A server of `build` has answered: a page of another one is reloaded once, by itself where nobody is typing.
pub(super) fn compare(build: &str) -> PageAge {
    if build.is_empty() || build == page_build() {
        return PageAge::Current;
    }
    let known = read(RELOADED_FOR);
    let before: Vec<&str> = known.split(' ').filter(|known| !known.is_empty()).collect();
    let may = !before.contains(&build) && before.len() < BUILDS_MAX && !is_filled_in();
    if may && write(RELOADED_FOR, &format!("{known} {build}")) {
        reload();
        PageAge::Current
    } else {
        PageAge::Older
    }
}

/// The transport of the page before this one, where that had to reload itself.
pub(super) fn transport_before() -> Transport {
    Transport::parse(&read(TRANSPORT)).unwrap_or_default()
}

/// Another transport works again.
pub(super) fn forget_transport() {
    if let Some(storage) = storage() {
        // Not remembered is as good.
        let _gone = storage.remove_item(TRANSPORT);
    }
}

/// Reloads the page where it can be had and nobody types.
pub(super) fn reload_as_transport() {
    if is_filled_in() {
        return;
    }
    let Ok(address) = window().location().href() else { return };
    spawn_local(async move {
        // A page that cannot be had must not take the place of this one.
        let is_there = Request::get(&address).send().await.is_ok_and(|answer| answer.ok());
        if is_there && write(TRANSPORT, Transport::Page.name()) {
            reload();
        }
    });
}
