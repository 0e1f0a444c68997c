//! The lines of the item table: its head, and one item each.

use leptos::prelude::*;

use super::badge::item_badge;
use crate::client::words;
use crate::protocol::{BatchId, ItemRow, ItemState, Seq};

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

/// The address of an item's page.
pub fn item_address(batch: BatchId, seq: Seq) -> String {
    format!("/batches/{batch}/items/{seq}")
}

/// One item, and the address of its page, if it has one; its row may still be on its way.
pub fn item_line(href: Option<String>, seq: Seq, row: Memo<Option<ItemRow>>) -> AnyView {
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
        (None, None) => {
            row.files.first().map(|file| words::shortened(&words::name(&file.name))).unwrap_or_default()
        }
    }
}
