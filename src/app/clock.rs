//! What time it is in the browser.
//!
//! None until the page is alive, so that hydration sees what the server sent.

use std::time::Duration;

use leptos::prelude::*;
use leptos::wasm_bindgen::JsValue;
use leptos::web_sys::js_sys;

use crate::protocol::Timestamp;

/// One tick: a second is what people read.
const TICK: Duration = Duration::from_secs(1);

/// The time by this browser's clock; none on the server and before the first tick.
#[derive(Clone, Copy)]
pub struct PageClock(pub ReadSignal<Option<Timestamp>>);

/// Starts the clock for everything below.
pub fn provide_clock() {
    let (now, set_now) = signal(None);
    provide_context(PageClock(now));
    Effect::new(move |_| {
        set_now.set(Some(browser_now()));
        if let Ok(handle) = set_interval_with_handle(move || set_now.set(Some(browser_now())), TICK) {
            on_cleanup(move || handle.clear());
        }
    });
}

/// The time now; none on the server and before the first tick. Tracks.
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
