//! The connection chip: how true the numbers are.
//!
//! It never claims live without frames.

use leptos::prelude::*;

use crate::app::clock;
use crate::app::live::{ConnectionState, use_live};
use crate::client::words;

/// No contact for so long makes a banner.
const BANNER_AFTER_MS: u64 = 5_000;

fn words(state: ConnectionState) -> (&'static str, String) {
    match state {
        ConnectionState::Connecting => ("connecting", "connecting".into()),
        ConnectionState::Live { .. } => ("live", "live".into()),
        ConnectionState::Slow { .. } => ("slow", "slow".into()),
        ConnectionState::Reconnecting { seconds: 0 } => ("reconnecting", "reconnecting".into()),
        ConnectionState::Reconnecting { seconds } => ("reconnecting", format!("reconnecting in {seconds} s")),
        ConnectionState::Offline { since } => {
            let at = since.to_string();
            ("offline", format!("offline since {} UTC", at.get(11..16).unwrap_or_default()))
        }
        ConnectionState::SignedOut => ("offline", "signed out".into()),
        ConnectionState::NotAllowed => ("offline", "not allowed".into()),
    }
}

/// How old what is shown may be, while contact lasts.
fn age(state: ConnectionState) -> Option<String> {
    match state {
        ConnectionState::Live { age_ms } | ConnectionState::Slow { age_ms } => Some(if age_ms < 1_000 {
            format!("0.{} s", age_ms / 100)
        } else {
            format!("{} s", age_ms / 1_000)
        }),
        ConnectionState::Connecting
        | ConnectionState::Reconnecting { .. }
        | ConnectionState::Offline { .. }
        | ConnectionState::SignedOut
        | ConnectionState::NotAllowed => None,
    }
}

/// The chip, and the banner below it when contact is lost for longer.
#[component]
pub fn ConnectionChip() -> impl IntoView {
    let live = use_live();
    let (state, away, newer) = (live.state(), live.away(), live.newer());
    // The words change when the state does, the age beside them up to twice a second.
    let said = Memo::new(move |_| words(state.get()));
    let aged = Memo::new(move |_| age(state.get()));
    let renewing = live.clone();
    let waits = move || matches!(state.get(), ConnectionState::Reconnecting { seconds } if seconds > 0);
    let retry = move |_| live.retry_now();
    view! {
        <span class=move || format!("chip chip-{}", said.with(|(state, _)| *state))>
            <span class="chip-dot" aria-hidden="true"></span>
            <span class="chip-words">{move || said.with(|(_, words)| words.clone())}</span>
            {move || aged.get().map(|age| view! { <span class="chip-age">{age}</span> })}
            <Show when=waits>
                <button type="button" class="button-link" on:click={let retry = retry.clone(); move |event| retry(event)}>"now"</button>
            </Show>
        </span>
        <div class="banner-place" role="status">
            {move || banner(away.get())}
            <Show when=move || newer.get()>
                <p class="banner banner-newer">
                    "The server is newer than this page. "
                    <button type="button" class="button-link" on:click={let live = renewing.clone(); move |_| live.reload()}>"Reload"</button>
                </p>
            </Show>
        </div>
    }
}

fn banner(away: Option<crate::protocol::Timestamp>) -> Option<impl IntoView> {
    let since = away?;
    let gone = clock::now()?.ms_since(since);
    (gone >= BANNER_AFTER_MS).then(|| {
        view! {
            <p class="banner">
                "No contact for " {words::duration(gone)} ". The numbers here are as of then; work goes on."
            </p>
        }
    })
}
