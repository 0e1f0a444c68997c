//! What the tab says, and the refresh of pages whose scripts do not run.
//!
//! The refresh is inside `noscript`, and is there only while something shown is unfinished and nobody is asked anything.

use leptos::prelude::*;
use leptos::text_prop::TextProp;
use leptos_meta::{Title, TitleProps};

use crate::app::plain_forms::{ASK, RefusedForm};
use crate::app::router::use_address;
use crate::client::words;

/// Without scripts a page with running work refreshes itself at this pace.
const REFRESH: &str = r#"<meta http-equiv="refresh" content="5">"#;

/// The icon as it is without progress.
const ICON: &str = "/favicon.svg";

/// What the tab says; it may change. Said while the page's owner lives; the next page says its own.
///
/// On the server `leptos_meta` puts it into the head as it is given, so it is escaped here. In the browser an effect
/// says it: `leptos_meta` would keep the text of a page that was replaced by one of the same shape, and would read it
/// again when its signals are gone.
pub fn titled(text: impl Fn() -> String + Send + Sync + 'static) {
    let text = move || format!("{} · milepost", words::shown(&text()));
    if cfg!(not(target_arch = "wasm32")) {
        let text = TextProp::from(move || words::escaped(&text()));
        // Being called puts it into the head; its view is nothing.
        let _nothing = Title(TitleProps { formatter: None, text: Some(text) });
    } else {
        Effect::new(move |_| document().set_title(&text()));
    }
}

/// Lets a page without scripts refresh itself, where `running`: but not while a question stands on it, or fields to be
/// filled in. Those of a page that refreshes itself are behind links with `ask` (`only-moving`).
pub fn refreshes(running: bool) -> Option<impl IntoView> {
    let holds = use_address().with_untracked(|address| {
        address.query.get(ASK).is_some() || address.query.get("tab") == Some("settings")
    });
    let refused = use_context::<RefusedForm>().is_some();
    (running && !holds && !refused)
        .then(|| view! { <noscript class="refreshes" inner_html=REFRESH></noscript> })
}

/// Lets the tab's icon carry how far the work is (in per mille); none shows the plain one. In the browser only.
pub fn progress_icon(per_mille: impl Fn() -> Option<u64> + Send + Sync + 'static) {
    let percent = Memo::new(move |_| per_mille().map(|part| part / 10));
    Effect::new(move |before: Option<bool>| {
        let percent = percent.get();
        // The plain one is there already.
        if percent.is_some() || before == Some(true) {
            show_icon(&percent.map_or_else(|| ICON.to_owned(), ring));
        }
        percent.is_some()
    });
    on_cleanup(|| {
        if cfg!(target_arch = "wasm32") {
            show_icon(ICON);
        }
    });
}

fn show_icon(address: &str) {
    if let Some(link) = document().get_element_by_id("favicon") {
        link.set_attribute("href", address).unwrap_or_default();
    }
}

/// A ring filled to `percent`, as an address of its own: nothing is loaded.
fn ring(percent: u64) -> String {
    let circle = |colour: &str, rest: &str| {
        format!(
            "%3Ccircle cx='16' cy='16' r='11' fill='none' stroke='%23{colour}' stroke-width='7'{rest}/%3E"
        )
    };
    let part = format!(" pathLength='100' stroke-dasharray='{percent} 100' transform='rotate(-90 16 16)'");
    let (whole, part) = (circle("b9bec6", ""), circle("1f8a54", &part));
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E{whole}{part}%3C/svg%3E"
    )
}
