//! The strip: the whole batch as at most 1,024 cells; a click goes to a cell's stretch.
//!
//! One path per look, whatever the number of cells: a page of a million items stays a few kilobytes. Rows come for
//! cells in which something has ended; the others are drawn from the total.

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

use super::panel::{live_trouble, panel};
use crate::app::live::use_strip;
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchId, Rev, StripCell};

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

/// All cells of a batch of `total` items.
fn cells_of(rows: &[StripCell], total: u64) -> Vec<CellDrawing> {
    let count = total.div_ceil(width(rows, total)).min(CELLS_MAX);
    let mut cells = vec![CellDrawing::OPEN; usize::try_from(count).unwrap_or(0)];
    for row in rows {
        if let Some(cell) = usize::try_from(row.cell).ok().and_then(|at| cells.get_mut(at)) {
            *cell = CellDrawing::of(row);
        }
    }
    cells
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

/// How a cell looks, but for its failures: those are a part of its height of their own, as large as their share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellLook {
    Open,
    SomeSucceeded,
    Succeeded,
    Cancelled,
}

/// A cell as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CellDrawing {
    look: CellLook,
    /// Height of the failed part, of [`SIDE`]: at least 1 where anything failed, the whole where nothing else is there.
    failed: usize,
}

impl CellDrawing {
    const OPEN: Self = Self { look: CellLook::Open, failed: 0 };

    fn of(cell: &StripCell) -> Self {
        let size = (cell.last + 1).saturating_sub(cell.first).max(1);
        let share = usize::try_from(cell.failed.saturating_mul(SIDE as u64) / size).unwrap_or(SIDE);
        Self { look: CellLook::of(cell), failed: share.max(usize::from(cell.failed > 0)).min(SIDE) }
    }
}

impl CellLook {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Open, "cell"),
        (Self::SomeSucceeded, "cell cell-some-succeeded"),
        (Self::Succeeded, "cell cell-succeeded"),
        (Self::Cancelled, "cell cell-cancelled"),
    ];

    fn of(cell: &StripCell) -> Self {
        let size = cell.last + 1 - cell.first;
        match (cell.succeeded, cell.failed, cell.cancelled) {
            (0, _, 0) => Self::Open,
            (_, _, cancelled) if cancelled * 2 > size => Self::Cancelled,
            (succeeded, failed, cancelled) if succeeded + failed + cancelled >= size => Self::Succeeded,
            _ => Self::SomeSucceeded,
        }
    }
}

/// The path of the parts of cells that `part` gives, each by its height from below; equal neighbours are one stroke.
fn path(cells: &[CellDrawing], part: impl Fn(&CellDrawing) -> usize) -> String {
    let mut text = String::new();
    for (row, cells) in cells.chunks(CELLS_PER_ROW).enumerate() {
        let mut at = 0;
        while at < cells.len() {
            let height = part(&cells[at]);
            let run = cells[at..].iter().take_while(|cell| part(cell) == height).count();
            if height > 0 {
                let (x, y, width) = (at * PITCH, row * PITCH + SIDE - height, run * PITCH - (PITCH - SIDE));
                text.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
            }
            at += run;
        }
    }
    text
}

/// What a strip is read as: its revision, and its cells.
type LoadedStrip = Result<(Rev, Vec<StripCell>), ApiError>;

/// The strip of a batch; a click on a cell goes to `address` with the number of its first item, if there is one.
pub fn strip_of(
    id: BatchId,
    batch: Signal<Batch>,
    strip: Resource<LoadedStrip>,
    address: Option<String>,
) -> AnyView {
    panel(strip, move |initial| drawing(id, batch, address.clone(), initial))
}

fn drawing(
    id: BatchId,
    batch: Signal<Batch>,
    address: Option<String>,
    initial: (Rev, Vec<StripCell>),
) -> AnyView {
    let rows = use_strip(id, initial);
    let total = Memo::new(move |_| batch.with(|batch| batch.total));
    let cells = Memo::new(move |_| cells_of(&rows.list(), total.get()));
    let count = Memo::new(move |_| cells.with(Vec::len));
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
    let leads_on = address.is_some();
    let open = move |event: MouseEvent| {
        if let (Some(cell), Some(address)) = (find(&event), &address) {
            navigate(&format!("{address}{}", cell.first), NavigateOptions::default());
        }
    };
    let point = move |event: MouseEvent| pointed.set(find(&event));
    let paths = CellLook::ALL.map(|(look, class)| {
        let part = move |cell: &CellDrawing| if cell.look == look { SIDE } else { 0 };
        view! { <path class=class d=move || cells.with(|cells| path(cells, part))></path> }
    });
    // Drawn last: over the looks, as high as its share.
    let failed = move || cells.with(|cells| path(cells, |cell| cell.failed));
    view! {
        {live_trouble(rows)}
        <figure class="strip" class:strip-few=move || count.get() < 2>
            <svg class="strip-drawing" viewBox=frame preserveAspectRatio="none" role="img" aria-label="How the items ended, stretch by stretch"
                class:strip-tall={move || count.get() > CELLS_PER_ROW} on:click=open on:mousemove=point on:mouseleave=move |_| pointed.set(None)>
                {paths.into_iter().collect::<Vec<_>>()}
                <path class="cell cell-failed" d=failed></path>
            </svg>
            <figcaption class="hint">
                {move || pointed.with(|cell| cell.as_ref().map_or_else(|| scale(width(&rows.list(), total.get()), total.get(), leads_on), words))}
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

fn scale(width: u64, total: u64, leads_on: bool) -> String {
    let go = if leads_on { ", click to go there" } else { "" };
    match total {
        0 => "no items yet".into(),
        _ => format!("each cell {}; point for counts{go}", words::counted(width, "item")),
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
        let looks: Vec<_> = cells_of(&rows, 15).into_iter().map(|cell| cell.look).collect();
        assert_eq!(looks, [CellLook::Succeeded, CellLook::Open, CellLook::SomeSucceeded, CellLook::Open]);
        let open = cell_of(&rows, 15, 3).expect("a cell");
        assert_eq!((open.first, open.last, open.succeeded), (13, 15, 0));
        assert_eq!(cells_of(&[], 4_000).len(), 1_000);
        assert!(cells_of(&[], 0).is_empty());
    }

    #[test]
    fn neighbours_are_one_stroke() {
        let cell = |look, failed| CellDrawing { look, failed };
        let done = cell(CellLook::Succeeded, 0);
        let cells = [
            done,
            done,
            cell(CellLook::Open, SIDE),
            cell(CellLook::Succeeded, 1),
            cell(CellLook::Succeeded, 1),
        ];
        let looks = |wanted| move |cell: &CellDrawing| if cell.look == wanted { SIDE } else { 0 };
        assert_eq!(path(&cells, looks(CellLook::Succeeded)), "M0 0h19v9h-19zM30 0h19v9h-19z");
        assert_eq!(path(&cells, looks(CellLook::Cancelled)), "");
        assert_eq!(path(&cells, |cell| cell.failed), "M20 0h9v9h-9zM30 8h19v1h-19z");
        let long = [CellDrawing::OPEN; 130];
        assert_eq!(path(&long, looks(CellLook::Open)), "M0 0h1279v9h-1279zM0 10h19v9h-19z");
    }

    /// One failure in a hundred coloured the whole cell: a million items with few failures were one orange block.
    #[test]
    fn failures_take_their_share_of_a_cell() {
        let cell = |succeeded, failed, cancelled| {
            CellDrawing::of(&StripCell {
                cell: 0,
                first: 1,
                last: 1_000,
                succeeded,
                failed,
                cancelled,
                rev: 1,
            })
        };
        let drawn = |look, failed| CellDrawing { look, failed };
        assert_eq!(cell(990, 10, 0), drawn(CellLook::Succeeded, 1));
        assert_eq!(cell(500, 500, 0), drawn(CellLook::Succeeded, 4));
        assert_eq!(cell(0, 1_000, 0).failed, SIDE);
        assert_eq!(cell(0, 1, 0), drawn(CellLook::Open, 1));
        assert_eq!(cell(10, 0, 990), drawn(CellLook::Cancelled, 0));
        assert_eq!(cell(1_000, 0, 0), drawn(CellLook::Succeeded, 0));
    }
}
