//! What time it is: by the server's clock in its HTML, by the browser's once the page is alive.
//!
//! The document says when it was made (`data-now`), and the browser begins with that: hydration draws the same relative
//! times as the server did, and nothing moves when the first tick comes.

use std::time::Duration;

use leptos::prelude::*;
use leptos::wasm_bindgen::JsValue;
use leptos::web_sys::js_sys;

use crate::protocol::Timestamp;

/// One tick: a second is what people read.
const TICK: Duration = Duration::from_secs(1);

/// When the server makes this page; it provides it in context.
#[derive(Clone, Copy, Debug)]
pub struct RenderedAt(pub Timestamp);

/// The attribute of the document that says so, in milliseconds since 1970.
pub const RENDERED_AT: &str = "data-now";

/// The time: when the page was made, then by this browser's clock.
#[derive(Clone, Copy)]
pub struct PageClock(pub ReadSignal<Option<Timestamp>>);

/// When the server made this page.
#[must_use]
pub fn rendered_at() -> Option<Timestamp> {
    if !cfg!(target_arch = "wasm32") {
        return use_context::<RenderedAt>().map(|RenderedAt(at)| at);
    }
    document().document_element()?.get_attribute(RENDERED_AT)?.parse().ok().map(Timestamp)
}

/// Starts the clock for everything below.
pub fn provide_clock() {
    let (now, set_now) = signal(rendered_at());
    provide_context(PageClock(now));
    Effect::new(move |_| {
        set_now.set(Some(browser_now()));
        if let Ok(handle) = set_interval_with_handle(move || set_now.set(Some(browser_now())), TICK) {
            on_cleanup(move || handle.clear());
        }
    });
}

/// The time now; none where no page has said when it was made. Tracks.
#[must_use]
pub fn now() -> Option<Timestamp> {
    use_context::<PageClock>().and_then(|clock| clock.0.get())
}

/// The signal behind [`now`].
#[must_use]
pub fn use_clock() -> Signal<Option<Timestamp>> {
    use_context::<PageClock>().map_or_else(|| Signal::stored(None), |clock| clock.0.into())
}

/// Whole milliseconds; in the browser only.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far below 2^53")]
fn browser_now() -> Timestamp {
    Timestamp(js_sys::Date::now() as i64)
}

/// A time in the zone and language of this browser; in the browser only.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
pub fn in_browser_zone(at: Timestamp) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.0 as f64));
    String::from(date.to_locale_string("default", &JsValue::UNDEFINED))
}

/// The name of this browser's time zone; none where it does not say. In the browser only.
pub fn browser_zone() -> Option<String> {
    let intl = js_sys::Intl::DateTimeFormat::new(&js_sys::Array::new(), &js_sys::Object::new());
    js_sys::Reflect::get(&intl.resolved_options(), &JsValue::from_str("timeZone")).ok()?.as_string()
}

/// What a field of a local time holds (`2026-01-31T09:41`), as an instant of this browser's zone; none where it holds none. In the
/// browser only.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far below 2^53")]
pub fn of_browser_zone(local: &str) -> Option<Timestamp> {
    let ms = js_sys::Date::new(&JsValue::from_str(local)).get_time();
    (!ms.is_nan()).then_some(Timestamp(ms as i64))
}
