//! The items of a batch: by position, or by filter.
//!
//! Owns the filter row and what a line looks like. Called by the page. Invariant: filter and position are in the
//! URL, so that both work without scripts. Deliberately counts nothing: the batch does.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;

use super::{Scene, items_filtered, items_window};
use crate::app::components::item_badge;
use crate::client::words;
use crate::protocol::{BatchId, FamilyId, ItemQuery, ItemRow, ItemState, Seq};

/// No batch is so long; positions in addresses are held to it, so that a window after one is a number, too.
const SEQ_ASKED_MAX: Seq = 1 << 53;

/// What the URL asks for: a position, or a filter.
#[derive(Clone, Debug, PartialEq)]
enum ItemsRequest {
    From(Seq),
    Filter(ItemQuery),
}

fn asked(query: &ParamsMap) -> ItemsRequest {
    let text = |key: &str| query.get(key).filter(|text| !text.is_empty());
    // An address may name any number: what is beyond every batch is its end.
    let number =
        |key: &str| text(key).and_then(|text| text.parse::<Seq>().ok()).map(|seq| seq.min(SEQ_ASKED_MAX));
    let filter = ItemQuery {
        state: text("state").and_then(|state| ItemState::parse(&state)),
        family: text("family").map(FamilyId),
        q: text("q"),
        after: number("after"),
        limit: None,
    };
    if filter.state.is_some() || filter.family.is_some() || filter.q.is_some() {
        ItemsRequest::Filter(filter)
    } else {
        ItemsRequest::From(number("from").unwrap_or(1).max(1))
    }
}

/// The panel.
pub fn items_panel(scene: Scene) -> AnyView {
    let url = use_query_map();
    let asked = Memo::new(move |_| url.with(asked));
    let position = move || match asked.get() {
        ItemsRequest::From(from) => items_window::window_panel(scene, from),
        ItemsRequest::Filter(query) => items_filtered::filtered_panel(scene, query),
    };
    view! {
        {move || filter_row(scene, &asked.get())}
        {position}
    }
    .into_any()
}

fn filter_row(scene: Scene, asked: &ItemsRequest) -> AnyView {
    let (state, q, family) = match asked {
        ItemsRequest::Filter(query) => (query.state, query.q.clone(), query.family.clone()),
        ItemsRequest::From(_) => (None, None, None),
    };
    let options: Vec<_> = ItemState::ALL
        .into_iter()
        .map(|one| {
            let chosen = state == Some(one);
            view! { <option value=one.as_str() selected=chosen>{one.as_str()}</option> }
        })
        .collect();
    let here = format!("/batches/{}", scene.id);
    let in_family = family.map(|family| {
        view! {
            <input type="hidden" name="family" value=family.to_string() />
            <span class="hint">"of one family"</span>
        }
    });
    let filtered = matches!(asked, ItemsRequest::Filter(_));
    let all = filtered.then(|| view! { <a class="button button-quiet" href=here.clone()>"Show all"</a> });
    let go = (!filtered).then(|| {
        view! {
            <form class="search" method="get" action=here.clone()>
                <input class="go" type="number" name="from" min="1" aria-label="Go to item number" placeholder="# go to" />
                <button class="button">"Go"</button>
            </form>
        }
    });
    view! {
        <div class="filters">
            <form class="search" method="get" action=here.clone() role="search">
                <select name="state" aria-label="State">
                    <option value="">"Any state"</option>
                    {options}
                </select>
                <input type="search" name="q" aria-label="Search in inputs and errors" placeholder="in input or error" value=q.unwrap_or_default() />
                {in_family}
                <button class="button">"Find"</button>
            </form>
            {all}
            {go}
        </div>
    }
    .into_any()
}

/// The head of the table.
pub fn head_line() -> impl IntoView {
    view! {
        <div class="line line-head" role="row">
            <span role="columnheader">"#"</span>
            <span role="columnheader">"input"</span>
            <span role="columnheader">"state"</span>
            <span role="columnheader">"attempts"</span>
            <span role="columnheader">"time"</span>
            <span role="columnheader">"result"</span>
        </div>
    }
}

/// One item; its row may still be on its way.
pub fn item_line(id: BatchId, seq: Seq, row: Memo<Option<ItemRow>>) -> AnyView {
    let href = format!("/batches/{id}/items/{seq}");
    let cell = move |read: fn(&ItemRow) -> String| {
        move || row.with(|row| row.as_ref().map(read).unwrap_or_default())
    };
    let state = Memo::new(move |_| row.with(|row| row.as_ref().map(|row| row.state)));
    view! {
        <div class="line" role="row" aria-rowindex=seq>
            <a class="line-seq" role="cell" href=href>{words::thousands(seq)}</a>
            <span class="line-input" role="cell">{cell(|row| words::input(&row.input))}</span>
            <span class="line-state" role="cell">
                {move || state.get().map(item_badge)} " "
                <span class="count">{cell(percent)}</span>
            </span>
            <span class="line-attempts" role="cell">{cell(attempts)}</span>
            <span class="line-time" role="cell">{cell(|row| row.ms.map(words::duration).unwrap_or_default())}</span>
            <span class="line-result" role="cell" class:line-error=move || state.get() == Some(ItemState::Failed)>{cell(outcome)}</span>
        </div>
    }
    .into_any()
}

fn attempts(row: &ItemRow) -> String {
    if row.attempts == 0 { String::new() } else { row.attempts.to_string() }
}

fn percent(row: &ItemRow) -> String {
    match &row.progress {
        Some(progress) if row.state == ItemState::Running => {
            format!("{:.0} %", (progress.fraction * 100.0).floor())
        }
        _ => String::new(),
    }
}

fn outcome(row: &ItemRow) -> String {
    match (&row.error, &row.result) {
        (Some(error), _) => words::shortened(error),
        (None, Some(result)) => words::result(result),
        (None, None) => row.files.first().map(|file| words::shortened(&file.name)).unwrap_or_default(),
    }
}
