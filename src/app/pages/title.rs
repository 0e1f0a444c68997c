//! What the tab says, and the refresh of pages whose scripts do not run.
//!
//! Owns the title's form, the tab's icon and the self-refresh. Called by every page. Invariant: the refresh is inside `noscript`,
//! and is there only while something shown is unfinished. Deliberately knows no batch but its percent.

use leptos::prelude::*;
use leptos_meta::Title;

/// Without scripts a page with running work refreshes itself at this pace.
const REFRESH: &str = r#"<meta http-equiv="refresh" content="5">"#;

/// The icon as it is without progress.
const ICON: &str = "/favicon.svg";

/// The tab's title; it may change.
pub fn titled(text: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    let text = move || format!("{} · milepost", text());
    view! { <Title text=text /> }
}

/// Lets a page without scripts refresh itself, where `running`.
pub fn refreshes(running: bool) -> Option<impl IntoView> {
    running.then(|| view! { <noscript inner_html=REFRESH></noscript> })
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
