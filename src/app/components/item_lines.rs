//! The lines of the item table: its head, and one item each.

use leptos::ev::MouseEvent;
use leptos::prelude::*;

use crate::app::clock;
use crate::client::words;
use crate::protocol::{BatchId, ItemRow, ItemState, Seq, Timestamp};

/// The head of the table, as [`item_heads`] makes it.
///
/// [`item_heads`]: crate::app::markup::item_heads
pub fn head_line(heads: String) -> impl IntoView {
    view! { <div class="line line-head" role="row" inner_html=heads></div> }
}

/// What a line tells of its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOrder {
    /// It stands by its position.
    Position,
    /// It stands by how long it took.
    Took,
    /// It stands by when it ended, which is told in place of how long it took.
    Ended(Timestamp),
}

/// The address of an item's page.
pub fn item_address(batch: BatchId, seq: Seq) -> String {
    format!("/batches/{batch}/items/{seq}")
}

/// The items that somebody has chosen.
#[derive(Clone, Copy)]
pub struct Chosen {
    /// Their numbers, in order.
    pub seqs: RwSignal<Vec<Seq>>,
    /// The one that was chosen last: with Shift, all from there are.
    last: StoredValue<Seq>,
}

/// Items that can be chosen at most: as many as one retry may name.
pub const CHOSEN_MAX: usize = 10_000;

impl Chosen {
    /// None yet.
    #[must_use]
    pub fn none() -> Self {
        Self { seqs: RwSignal::new(Vec::new()), last: StoredValue::new(0) }
    }

    /// True while any is chosen; tracks.
    #[must_use]
    pub fn any(self) -> bool {
        self.seqs.with(|seqs| !seqs.is_empty())
    }

    fn click(self, seq: Seq, event: &MouseEvent) {
        let on = event_target_checked(event);
        let from = if event.shift_key() { self.last.get_value() } else { 0 };
        let range = if from == 0 { seq..=seq } else { from.min(seq)..=from.max(seq) };
        self.seqs.update(|seqs| {
            for seq in range.take(CHOSEN_MAX) {
                match seqs.binary_search(&seq) {
                    Ok(at) if !on => drop(seqs.remove(at)),
                    Err(at) if on && seqs.len() < CHOSEN_MAX => seqs.insert(at, seq),
                    Ok(_) | Err(_) => {}
                }
            }
        });
        self.last.set_value(seq);
    }
}

/// The box that chooses an item.
fn check_box(chosen: Chosen, seq: Seq) -> AnyView {
    let checked = move || chosen.seqs.with(|seqs| seqs.binary_search(&seq).is_ok());
    view! {
        <input type="checkbox" class="line-check only-alive" aria-label=format!("Choose item {seq}") prop:checked=checked on:click=move |event| chosen.click(seq, &event) />
    }
    .into_any()
}

/// One item, and the address of its page, if it has one; its row may still be on its way. With `chosen`, it can be chosen,
/// and while any is, the row stays as it is.
pub fn item_line(
    href: Option<String>,
    seq: Seq,
    row: impl Fn() -> Option<ItemRow> + Send + Sync + 'static,
    chosen: Option<Chosen>,
    order: LineOrder,
) -> AnyView {
    let row = Memo::new(move |before: Option<&Option<ItemRow>>| match before.and_then(Option::clone) {
        Some(held) if chosen.is_some_and(Chosen::any) => Some(held),
        _ => row(),
    });
    let check = chosen.map(|chosen| check_box(chosen, seq));
    let cell = move |read: fn(&ItemRow) -> String| {
        move || row.with(|row| row.as_ref().map(read).unwrap_or_default())
    };
    let state = Memo::new(move |_| row.with(|row| row.as_ref().map(|row| row.state)));
    let clock = clock::use_clock();
    let (ended, title) = match order {
        LineOrder::Position | LineOrder::Took => (None, None),
        LineOrder::Ended(at) => (Some(at), Some(words::absolute(at))),
    };
    let time = move || match ended {
        Some(at) => clock.get().map_or_else(|| words::absolute(at), |now| words::relative(at, now)),
        None => row.with(|row| row.as_ref().and_then(|row| row.ms).map(words::duration).unwrap_or_default()),
    };
    view! {
        <div class="line" role="row" aria-rowindex=(order == LineOrder::Position).then_some(seq)>
            <span class="line-seq" role="cell">
                {check}
                {match href {
                    Some(href) => view! { <a href=href>{words::thousands(seq)}</a> }.into_any(),
                    None => words::thousands(seq).into_any(),
                }}
            </span>
            <span class="line-input" role="cell">{cell(|row| words::input(&row.input))}</span>
            <span class=move || format!("line-state badge-{}", state.get().map_or("none", ItemState::as_str)) role="cell">
                {move || state.get().map(ItemState::as_str)} " " {cell(percent)}
            </span>
            <span class="line-attempts" role="cell">{cell(attempts)}</span>
            <span class="line-time" role="cell" title=title>{time}</span>
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
