//! The page of a share link: one batch, live, for whoever has the link.
//!
//! Nothing here acts on the batch, and nothing leads into the installation.

use leptos::prelude::*;

use super::title::{progress_icon, refreshes, titled};
use crate::app::actions::{load_shared, load_shared_families, load_shared_items, load_shared_strip};
use crate::app::components::{
    LineOrder, ProgressBar, When, batch_badge, head_line, item_line, live_trouble, panel, panel_or, strip_of,
};
use crate::app::live::{use_families, use_progress};
use crate::app::markup::item_heads;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{
    ApiError, Batch, BatchId, ErrorCode, FamilyPage, ItemPage, ItemState, Seq, SharedBatch,
};

/// The formats of results, with their names.
const FORMATS: [(&str, &str); 3] = [("csv", "CSV"), ("ndjson", "NDJSON"), ("zip", "Files as zip")];

/// The page.
#[component]
pub fn SharedPage() -> impl IntoView {
    let address = use_address();
    let secret = move || address.with(|address| address.part(1));
    let shared = Resource::new(secret, load_shared);
    view! {
        <section class="page">
            {panel_or(shared, move |shared| show(untrack(secret), shared), ended)}
        </section>
    }
}

/// In place of a batch: the link shows none.
fn ended(error: ApiError) -> AnyView {
    titled(|| "Shared batch".into());
    let (heading, sentence) = match error.code {
        ErrorCode::NotFound => (
            "This link shows nothing",
            "It has ended, was revoked, or its batch was deleted. Ask whoever sent it for a new one."
                .to_owned(),
        ),
        code => (code.title(), words::shown(&error.to_string())),
    };
    view! { <h1>{heading}</h1> <p role="alert">{sentence}</p> }.into_any()
}

fn show(secret: String, shared: SharedBatch) -> AnyView {
    let SharedBatch { batch: initial, payloads, expires_at } = shared;
    let (id, running) = (initial.id, !initial.state.is_finished());
    let (name, created_at) = (words::name(&initial.name), initial.created_at);
    let live = use_progress(initial);
    let batch = live.row;
    titled(move || batch.with(|batch| batch.name.clone()));
    progress_icon(move || {
        batch
            .with(|batch| words::per_mille(batch.ended(), batch.total).filter(|_| !batch.state.is_finished()))
    });
    let strip = Resource::new(
        {
            let secret = secret.clone();
            move || secret.clone()
        },
        load_shared_strip,
    );
    view! {
        {refreshes(running)}
        <Show when=move || live.gone.get()>
            <p class="flash" role="alert">"This link has ended, or its batch was deleted. What you see is its last state."</p>
        </Show>
        <header class="head batch-head">
            <div class="batch-title">
                <h1>{name}</h1>
                <p class="hint">
                    {batch_badge(batch)} " submitted " <When at=created_at /> " · this link ends " <When at=expires_at />
                </p>
            </div>
        </header>
        <div class="batch-bar">
            <span class="percent">{move || batch.with(|batch| words::percent(batch).unwrap_or_else(|| words::thousands(batch.ended())))}</span>
            <ProgressBar batch=batch />
        </div>
        <p class=move || format!("numbers {}", batch.with(words::digits))>{numbers(batch)}</p>
        <p class="outlook">{move || batch.with(outlook)}</p>
        {strip_of(id, batch, strip, None)}
        {if payloads {
            contents(id, secret)
        } else {
            view! { <p class="hint">"This link shows how far the batch is. What is in it is not shown."</p> }.into_any()
        }}
    }
    .into_any()
}

fn numbers(batch: Signal<Batch>) -> Vec<AnyView> {
    let shown = |state: ItemState| {
        let count = move || batch.with(|batch| words::thousands(batch.count(state)));
        let none = move || batch.with(|batch| batch.count(state) == 0);
        view! {
            <span class=format!("number number-{}", state.as_str()) class:number-none=none>
                <span class="badge-mark" aria-hidden="true">{words::item_mark(state)}</span>
                <span class="count">{count}</span> " " {state.as_str()}
            </span>
        }
        .into_any()
    };
    ItemState::ALL.into_iter().map(shown).collect()
}

fn outlook(batch: &Batch) -> String {
    let rate = batch.rate_per_s.filter(|_| !batch.state.is_finished()).map(words::rate);
    let outlook = words::outlook(batch);
    match rate {
        Some(rate) if !outlook.is_empty() => format!("{rate} · {outlook}"),
        Some(rate) => rate,
        None => outlook,
    }
}

/// What is in the batch, where the link shows it: failures by cause, items by pages, results to take along.
fn contents(id: BatchId, secret: String) -> AnyView {
    let address = use_address();
    let after = Memo::new(move |_| {
        address.with(|address| address.asked("after")).and_then(|text| text.parse::<Seq>().ok()).unwrap_or(0)
    });
    let (of_families, of_items) = (secret.clone(), secret.clone());
    let families = Resource::new(move || of_families.clone(), load_shared_families);
    let items = Resource::new(
        move || (of_items.clone(), after.get()),
        |(secret, after)| load_shared_items(secret, after),
    );
    let downloads: Vec<_> = FORMATS
        .into_iter()
        .map(|(format, name)| {
            let href = format!("/s/{}/results?format={format}", words::path_segment(&secret));
            view! { <a class="button" rel="external" href=href>{name}</a> }
        })
        .collect();
    view! {
        <section class="brief" aria-label="Failures">{panel(families, move |page| failures(id, page))}</section>
        <section>
            <header class="head"><h2>"Items"</h2> <div class="acts">{downloads}</div></header>
            {panel(items, lines)}
        </section>
    }
    .into_any()
}

fn failures(id: BatchId, page: FamilyPage) -> AnyView {
    let rows = use_families(id, page);
    let shown = move || rows.order.get();
    view! {
        {live_trouble(rows)}
        <ul class="families">
            <For each=shown key=Clone::clone let:id>
                {rows.row(&id).map(|family| view! {
                    <li class="family" class:family-gone=move || family.with(|family| family.count == 0)>
                        <span class="family-count">{move || family.with(|family| format!("{} ×", words::thousands(family.count)))}</span>
                        <p class="family-message">{move || family.with(|family| words::shown(&family.message))}</p>
                    </li>
                })}
            </For>
        </ul>
    }
    .into_any()
}

fn lines(page: ItemPage) -> AnyView {
    let here = use_address().with_untracked(|address| address.path.clone());
    let next = page.next.map(|after| {
        let href = format!("{here}?after={after}");
        view! { <a class="button" href=href>"Next"</a> }
    });
    let rows: Vec<_> = page
        .items
        .into_iter()
        .map(|row| item_line(None, row.seq, move || Some(row.clone()), None, LineOrder::Position))
        .collect();
    view! {
        <div class="lines" role="table" aria-label="Items">{head_line(item_heads())} {rows}</div>
        <nav class="pager" aria-label="Pages of items">{next}</nav>
    }
    .into_any()
}
