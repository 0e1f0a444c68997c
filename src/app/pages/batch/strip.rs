//! The strip: the whole batch as at most 1,024 cells; a click goes to a cell's stretch.
//!
//! One path per look, whatever the number of cells: a page of a million items stays a few kilobytes. Rows come for
//! cells in which something has ended; the others are drawn from the total.

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

use super::Scene;
use crate::app::actions::load_strip;
use crate::app::components::{live_trouble, panel};
use crate::app::live::use_strip;
use crate::client::words;
use crate::protocol::StripCell;

/// Cells in one row of the drawing.
const CELLS_PER_ROW: usize = 128;
/// Side of a cell and the gap after it, in units of the drawing.
const PITCH: usize = 10;
/// Side of a cell.
const SIDE: usize = 9;

/// Cells of a batch at most: the store's width of a cell is the least power of two that keeps to it.
const CELLS_MAX: u64 = 1_024;

/// Items of one cell, as its rows say it; before there are any, as the store would choose it.
fn width(rows: &[StripCell], total: u64) -> u64 {
    let told = rows.iter().find(|row| row.cell > 0).map(|row| (row.first - 1) / u64::from(row.cell));
    told.unwrap_or_else(|| total.div_ceil(CELLS_MAX).max(1).next_power_of_two()).max(1)
}

/// The looks of all cells of a batch of `total` items.
fn looks_of(rows: &[StripCell], total: u64) -> Vec<CellLook> {
    let count = total.div_ceil(width(rows, total)).min(CELLS_MAX);
    let mut looks = vec![CellLook::Open; usize::try_from(count).unwrap_or(0)];
    for row in rows {
        if let Some(look) = usize::try_from(row.cell).ok().and_then(|at| looks.get_mut(at)) {
            *look = CellLook::of(row);
        }
    }
    looks
}

/// The row of a cell; one in which nothing has ended has none, and is made up.
fn cell_of(rows: &[StripCell], total: u64, at: usize) -> Option<StripCell> {
    let cell = u32::try_from(at).ok()?;
    let width = width(rows, total);
    let first = u64::from(cell) * width + 1;
    let open = StripCell {
        cell,
        first,
        last: total.min(first + width - 1),
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        rev: 0,
    };
    Some(rows.iter().find(|row| row.cell == cell).cloned().unwrap_or(open))
}

/// How a cell looks: failures show whatever else is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellLook {
    Open,
    SomeSucceeded,
    Succeeded,
    SomeFailed,
    Failed,
    Cancelled,
}

impl CellLook {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Open, "cell"),
        (Self::SomeSucceeded, "cell cell-some-succeeded"),
        (Self::Succeeded, "cell cell-succeeded"),
        (Self::SomeFailed, "cell cell-some-failed"),
        (Self::Failed, "cell cell-failed"),
        (Self::Cancelled, "cell cell-cancelled"),
    ];

    fn of(cell: &StripCell) -> Self {
        let size = cell.last + 1 - cell.first;
        match (cell.succeeded, cell.failed, cell.cancelled) {
            (_, failed, _) if failed * 2 > size => Self::Failed,
            (_, failed, _) if failed > 0 => Self::SomeFailed,
            (0, 0, 0) => Self::Open,
            (_, _, cancelled) if cancelled * 2 > size => Self::Cancelled,
            (succeeded, _, cancelled) if succeeded + cancelled >= size => Self::Succeeded,
            _ => Self::SomeSucceeded,
        }
    }
}

/// The path of all cells of one look; neighbours are one stroke.
fn path(looks: &[CellLook], wanted: CellLook) -> String {
    let mut text = String::new();
    for (row, cells) in looks.chunks(CELLS_PER_ROW).enumerate() {
        let mut at = 0;
        while at < cells.len() {
            let run = cells[at..].iter().take_while(|look| **look == wanted).count();
            if run > 0 {
                let (x, y, width) = (at * PITCH, row * PITCH, run * PITCH - (PITCH - SIDE));
                text.push_str(&format!("M{x} {y}h{width}v{SIDE}h-{width}z"));
            }
            at += run.max(1);
        }
    }
    text
}

/// The strip.
pub fn strip_panel(scene: Scene) -> impl IntoView {
    let strip = Resource::new(move || scene.id, load_strip);
    panel(strip, move |initial| drawing(scene, initial))
}

fn drawing(scene: Scene, initial: (u64, Vec<StripCell>)) -> AnyView {
    let rows = use_strip(scene.id, initial);
    let total = Memo::new(move |_| scene.batch.with(|batch| batch.total));
    let looks = Memo::new(move |_| looks_of(&rows.list(), total.get()));
    let count = Memo::new(move |_| looks.with(Vec::len));
    let frame = move || {
        let cells = count.get().max(1);
        let across = cells.min(CELLS_PER_ROW);
        format!("0 0 {} {}", across * PITCH, cells.div_ceil(CELLS_PER_ROW) * PITCH)
    };
    let navigate = use_navigate();
    let pointed = RwSignal::new(None::<StripCell>);
    let find = move |event: &MouseEvent| {
        let cell = cell_at(event, count.get_untracked())?;
        cell_of(&untrack(|| rows.list()), total.get_untracked(), cell)
    };
    let open = move |event: MouseEvent| {
        if let Some(cell) = find(&event) {
            navigate(&format!("/batches/{}?from={}", scene.id, cell.first), NavigateOptions::default());
        }
    };
    let point = move |event: MouseEvent| pointed.set(find(&event));
    let paths = CellLook::ALL.map(|(look, class)| {
        view! { <path class=class d=move || looks.with(|looks| path(looks, look))></path> }
    });
    view! {
        {live_trouble(rows)}
        <figure class="strip" class:strip-few=move || count.get() < 2>
            <svg class="strip-drawing" viewBox=frame preserveAspectRatio="none" role="img" aria-label="How the items ended, stretch by stretch"
                class:strip-tall={move || count.get() > CELLS_PER_ROW} on:click=open on:mousemove=point on:mouseleave=move |_| pointed.set(None)>
                {paths.into_iter().collect::<Vec<_>>()}
            </svg>
            <figcaption class="hint">
                {move || pointed.with(|cell| cell.as_ref().map_or_else(|| scale(width(&rows.list(), total.get()), total.get()), words))}
            </figcaption>
        </figure>
    }
    .into_any()
}

/// The cell under the pointer: the drawing fills its element.
fn cell_at(event: &MouseEvent, count: usize) -> Option<usize> {
    let element = event_target::<leptos::web_sys::Element>(event).closest("svg").ok()??;
    let across = count.min(CELLS_PER_ROW);
    let down = count.div_ceil(CELLS_PER_ROW);
    let part = |at: i32, of: i32, cells: usize| {
        usize::try_from(at).ok()?.checked_mul(cells)?.checked_div(usize::try_from(of).ok()?)
    };
    let column = part(event.offset_x(), element.client_width(), across)?;
    let row = part(event.offset_y(), element.client_height(), down)?;
    Some(row * CELLS_PER_ROW + column.min(across.saturating_sub(1))).filter(|cell| *cell < count)
}

fn scale(width: u64, total: u64) -> String {
    match total {
        0 => "no items yet".into(),
        _ => format!("each cell {}; point for counts, click to go there", words::counted(width, "item")),
    }
}

fn words(cell: &StripCell) -> String {
    format!(
        "items {} to {}: {} succeeded, {} failed, {} cancelled",
        words::thousands(cell.first),
        words::thousands(cell.last),
        words::thousands(cell.succeeded),
        words::thousands(cell.failed),
        words::thousands(cell.cancelled),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_without_rows_are_drawn_in_their_place() {
        let row = |cell: u32, succeeded| StripCell {
            cell,
            first: u64::from(cell) * 4 + 1,
            last: u64::from(cell) * 4 + 4,
            succeeded,
            failed: 0,
            cancelled: 0,
            rev: 1,
        };
        let rows = [row(0, 4), row(2, 1)];
        let looks = looks_of(&rows, 15);
        assert_eq!(looks, [CellLook::Succeeded, CellLook::Open, CellLook::SomeSucceeded, CellLook::Open]);
        let open = cell_of(&rows, 15, 3).expect("a cell");
        assert_eq!((open.first, open.last, open.succeeded), (13, 15, 0));
        assert_eq!(looks_of(&[], 4_000).len(), 1_000);
        assert!(looks_of(&[], 0).is_empty());
    }

    #[test]
    fn neighbours_are_one_stroke() {
        let looks = [CellLook::Succeeded, CellLook::Succeeded, CellLook::Failed, CellLook::Succeeded];
        assert_eq!(path(&looks, CellLook::Succeeded), "M0 0h19v9h-19zM30 0h9v9h-9z");
        assert_eq!(path(&looks, CellLook::Failed), "M20 0h9v9h-9z");
        assert_eq!(path(&looks, CellLook::Open), "");
        let long = [CellLook::Open; 130];
        assert_eq!(path(&long, CellLook::Open), "M0 0h1279v9h-1279zM0 10h19v9h-19z");
    }
}
