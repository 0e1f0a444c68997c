//! The log: who did what to what, from where. For admins.
//!
//! Read once; who is asked for stands in the address.

use leptos::prelude::*;

use crate::app::actions::load_audit;
use crate::app::components::{When, panel_or};
use crate::app::pages::refused_page;
use crate::app::pages::titled;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{AuditEntry, AuditPage, AuditQuery};

/// Entries of one page.
const ENTRIES: u32 = 100;

/// The page.
#[component]
pub fn AuditLogPage() -> impl IntoView {
    let url = use_address();
    let asked = move || {
        url.with(|url| {
            let text = |key: &str| url.asked(key);
            AuditQuery {
                who: text("who"),
                object: text("object"),
                act: text("act"),
                cursor: text("cursor"),
                limit: Some(ENTRIES),
            }
        })
    };
    let log = Resource::new(asked, load_audit);
    titled(|| "Log".into());
    view! {
        <section class="page">
            <header class="head">
                <h1>"Log"</h1>
                <a class="button" href="/api/v1/audit/export" rel="external" download>"Export"</a>
            </header>
            <form class="acts" method="get" action="/audit">
                <label for="who">"Who"</label>
                <input id="who" name="who" value=move || url.with(|url| url.asked("who")) />
                <button class="button button-quiet">"Show"</button>
            </form>
            {panel_or(log, show, move |error| refused_page(error, move || log.refetch()))}
        </section>
    }
}

fn show(page: AuditPage) -> AnyView {
    let none =
        page.entries.is_empty().then(|| view! { <p class="panel panel-empty">"Nothing was done yet."</p> });
    let rows: Vec<_> = page.entries.into_iter().map(row).collect();
    let more = page
        .next
        .map(|cursor| view! { <a class="button" href=format!("/audit?cursor={cursor}")>"Older"</a> });
    view! { {none} <ol class="deliveries">{rows}</ol> {more} }.into_any()
}

fn row(entry: AuditEntry) -> impl IntoView {
    let from = if entry.address.is_empty() {
        String::new()
    } else {
        format!(" from {}", words::shown(&entry.address))
    };
    view! {
        <li class="delivery">
            <When at=Signal::stored(entry.at) />
            <strong>{words::shown(&entry.who)}</strong>
            <code>{words::shown(&entry.act)}</code>
            <span class="delivery-url">{words::shown(&entry.object)} " " {words::shown(&entry.detail)}</span>
            <span class="hint">{words::shown(&entry.via)} {from}</span>
        </li>
    }
}
