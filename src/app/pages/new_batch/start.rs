//! When a batch is to start: by the clock of whoever asks, said back in words before it is submitted.
//!
//! The zone is posted with the time. Without scripts it is UTC until somebody names another; with them it is the browser's.

use leptos::prelude::*;

use crate::app::clock;
use crate::client::words;
use crate::protocol::Timestamp;

/// The zone where no browser says another.
const ZONE_DEFAULT: &str = "UTC";
/// A field has minutes: what is left of one counts as a whole.
const ROUND_UP_MS: i64 = 59_999;
/// Within so long a time of day says which day is meant.
const DAY_MS: i64 = 24 * 3_600_000;

/// The two fields, and what they mean.
pub fn start() -> impl IntoView {
    let (start, zone) = (RwSignal::new(String::new()), RwSignal::new(ZONE_DEFAULT.to_owned()));
    let own = StoredValue::new(None);
    let now = clock::use_clock();
    Effect::new(move |_| {
        if let Some(name) = clock::browser_zone() {
            own.set_value(Some(name.clone()));
            zone.set(name);
        }
    });
    let meant = move || {
        let (start, zone) = (start.get(), zone.get());
        let is_own = own.with_value(|own| own.as_deref() == Some(zone.as_str()));
        let at = if is_own { clock::of_browser_zone(&start) } else { None };
        said(&start, &zone, at, now.get())
    };
    view! {
        <div class="field">
            <label for="option.start_at">"Start at"</label>
            <input type="datetime-local" id="option.start_at" name="option.start_at" aria-describedby="start-meant"
                on:input=move |event| start.set(event_target_value(&event)) />
            <span class="hint" id="start-meant" role="status">{meant}</span>
        </div>
        <div class="field">
            <label for="option.start_zone">"Time zone of the start"</label>
            <input id="option.start_zone" name="option.start_zone" value=ZONE_DEFAULT prop:value=move || zone.get()
                autocomplete="off" spellcheck="false" maxlength="64" on:input=move |event| zone.set(event_target_value(&event)) />
            <span class="hint">"like Europe/Berlin"</span>
        </div>
    }
}

/// What a start means: `starts in 1 h, 14:30 your time`; `at` is the instant, where the zone is that of the browser.
fn said(start: &str, zone: &str, at: Option<Timestamp>, now: Option<Timestamp>) -> String {
    let Some((day, time)) = start.split_once('T') else { return String::new() };
    let (Some(at), Some(now)) = (at, now) else {
        return format!("starts {day} {time} in {}", words::shown(zone));
    };
    let left_ms = at.0 - now.0;
    if left_ms <= 0 {
        return "That has passed: it starts at once.".into();
    }
    let span = words::relative(Timestamp(at.0 + ROUND_UP_MS), now);
    let day = if left_ms < DAY_MS { String::new() } else { format!("{day} ") };
    format!("starts {span}, {day}{time} your time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_said_back() {
        let (now, hour) = (Timestamp(1_000_000), 3_600_000);
        let at = |ms: i64| Some(Timestamp(now.0 + ms));
        for (start, at, words) in [
            ("", None, ""),
            ("2026-01-31T14:30", at(hour), "starts in 1 h, 14:30 your time"),
            ("2026-01-31T14:30", at(hour - 30_000), "starts in 1 h, 14:30 your time"),
            ("2026-01-31T14:30", at(-1), "That has passed: it starts at once."),
            ("2026-02-02T14:30", at(48 * hour), "starts in 2 d, 2026-02-02 14:30 your time"),
            ("2026-01-31T14:30", None, "starts 2026-01-31 14:30 in UTC"),
        ] {
            assert_eq!(said(start, "UTC", at, Some(now)), words);
        }
    }
}
