//! The browser's address bar and its history: clicks on links, Back and Forward, and what pages ask to be shown.
//!
//! What the program does not know, another site, a new tab or a download is left to the browser.

use leptos::ev;
use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos::server_fn::redirect::set_redirect_hook;
use leptos::wasm_bindgen::JsCast as _;
use leptos::wasm_bindgen::JsValue;
use leptos::web_sys::{Element, HtmlAnchorElement};

use crate::app::address::Address;
use crate::app::address::has_program;

/// The button of a mouse that follows links.
const MAIN_BUTTON: i16 = 0;

/// Links with this attribute change something in the page, and leave where it is scrolled to.
const STAYS: &str = "data-stay";

/// What stands in the address bar.
pub fn here() -> Address {
    Address::parse(&full_path(&location().href().unwrap_or_default()).unwrap_or_default())
}

/// Follows links and history as long as the document lives, and what acts redirect to: calls `show` for each address.
pub fn listen(show: impl Fn(Address) + Copy + Send + Sync + 'static) {
    let _for_good = window_event_listener(ev::click, move |event| follow(&event, show));
    let _for_good = window_event_listener(ev::popstate, move |_| show(here()));
    // After a frame: who has acted hears of that before the page is another.
    let redirect = move |to: &str| {
        let to = to.to_owned();
        request_animation_frame(move || go(&to, show));
    };
    // Taken once for a document; the first one stays.
    let _set = set_redirect_hook(redirect);
}

/// Puts `to` into the address bar and calls `show`. What the program does not know is read from the server.
pub fn go(to: &str, show: impl Fn(Address)) {
    visit(to, Scroll::ToTop, show);
}

/// What a page does with the place where one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scroll {
    /// It begins at its top.
    ToTop,
    /// It stays: the same page, with something else in it.
    Stay,
}

fn visit(to: &str, scroll: Scroll, show: impl Fn(Address)) {
    let known = full_path(to).filter(|path| has_program(&Address::parse(path).path));
    let Some(path) = known else {
        // A browser that refuses an address stays where it is.
        let _stays = location().set_href(to);
        return;
    };
    let is_here = full_path(&location().href().unwrap_or_default()).as_deref() == Some(path.as_str());
    if !is_here
        && window()
            .history()
            .and_then(|history| history.push_state_with_url(&JsValue::NULL, "", Some(&path)))
            .is_err()
    {
        let _stays = location().set_href(to);
        return;
    }
    if scroll == Scroll::ToTop {
        window().scroll_to_with_x_and_y(0.0, 0.0);
    }
    show(Address::parse(&path));
}

/// Path and query of `address`, where that is of this site.
fn full_path(address: &str) -> Option<String> {
    let origin = location().origin().ok()?;
    let url = leptos::web_sys::Url::new_with_base(address, &origin).ok()?;
    (url.origin() == origin).then(|| url.pathname() + &url.search())
}

/// Goes on to where a click leads, unless that is the browser's.
fn follow(event: &MouseEvent, show: impl Fn(Address)) {
    let modified = event.meta_key() || event.alt_key() || event.ctrl_key() || event.shift_key();
    if event.default_prevented() || event.button() != MAIN_BUTTON || modified {
        return;
    }
    let clicked = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    let link = clicked.and_then(|element| element.closest("a[href]").ok().flatten());
    let Some(link) = link.and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok()) else { return };
    let is_external = link.rel().split_ascii_whitespace().any(|word| word == "external");
    // A place in a page is gone to by the browser, which moves the focus with it.
    if is_external || link.has_attribute("download") || !link.target().is_empty() || !link.hash().is_empty() {
        return;
    }
    let Some(path) = full_path(&link.href()) else { return };
    if has_program(&Address::parse(&path).path) {
        event.prevent_default();
        let scroll = if link.has_attribute(STAYS) { Scroll::Stay } else { Scroll::ToTop };
        visit(&path, scroll, show);
    }
}
