//! The cells of a strip: what is in each, how it is drawn, and how keys lead from one to the next.

use crate::client::words;
use crate::protocol::StripCell;

/// Cells in one row of the drawing.
pub(super) const CELLS_PER_ROW: usize = 128;
/// Side of a cell and the gap after it, in units of the drawing.
pub(super) const PITCH: usize = 10;
/// Side of a cell.
pub(super) const SIDE: usize = 9;

/// Cells of a batch at most: the store's width of a cell is the least power of two that keeps to it.
pub(super) const CELLS_MAX: u64 = 1_024;

/// Items of one cell, as its rows say it; before there are any, as the store would choose it.
pub(super) fn width(rows: &[StripCell], total: u64) -> u64 {
    let told = rows.iter().find(|row| row.cell > 0).map(|row| (row.first - 1) / u64::from(row.cell));
    told.unwrap_or_else(|| total.div_ceil(CELLS_MAX).max(1).next_power_of_two()).max(1)
}

/// All cells of a batch of `total` items.
pub(super) fn cells_of(rows: &[StripCell], total: u64) -> Vec<CellDrawing> {
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
pub(super) fn cell_of(rows: &[StripCell], total: u64, at: usize) -> Option<StripCell> {
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
pub(super) enum CellLook {
    Open,
    SomeSucceeded,
    Succeeded,
    Cancelled,
}

/// A cell as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellDrawing {
    pub(super) look: CellLook,
    /// Height of the failed part, of [`SIDE`]: at least 1 where anything failed, the whole where nothing else is there.
    pub(super) failed: usize,
}

impl CellDrawing {
    pub(super) const OPEN: Self = Self { look: CellLook::Open, failed: 0 };

    pub(super) fn of(cell: &StripCell) -> Self {
        let size = (cell.last + 1).saturating_sub(cell.first).max(1);
        let share = usize::try_from(cell.failed.saturating_mul(SIDE as u64) / size).unwrap_or(SIDE);
        Self { look: CellLook::of(cell), failed: share.max(usize::from(cell.failed > 0)).min(SIDE) }
    }
}

impl CellLook {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Open, "cell"),
        (Self::SomeSucceeded, "cell cell-some-succeeded"),
        (Self::Succeeded, "cell cell-succeeded"),
        (Self::Cancelled, "cell cell-cancelled"),
    ];

    pub(super) fn of(cell: &StripCell) -> Self {
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
pub(super) fn path(cells: &[CellDrawing], part: impl Fn(&CellDrawing) -> usize) -> String {
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

/// The cell to which `key` leads from cell `at`.
pub(super) fn stepped(key: &str, at: usize, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    match key {
        "ArrowLeft" => Some(at.saturating_sub(1)),
        "ArrowRight" => Some((at + 1).min(last)),
        "ArrowUp" => Some(at.checked_sub(CELLS_PER_ROW).unwrap_or(at)),
        "ArrowDown" => Some(at + CELLS_PER_ROW).filter(|at| *at <= last).or(Some(at)),
        "Home" => Some(0),
        "End" => Some(last),
        _ => None,
    }
}

/// Stretches in the table at most: each is of so many cells that these make the whole.
pub(super) const STRETCHES_MAX: usize = 20;

/// Neighbouring cells as one, at most [`STRETCHES_MAX`] of them.
pub(super) fn stretches(rows: &[StripCell], total: u64) -> Vec<StripCell> {
    let width = width(rows, total);
    let cells = total.div_ceil(width);
    let together = cells.div_ceil(STRETCHES_MAX as u64).max(1);
    let mut found: Vec<StripCell> = (0..cells.div_ceil(together))
        .map(|at| {
            let first = at * together * width + 1;
            let last = total.min(first + together * width - 1);
            StripCell { cell: 0, first, last, succeeded: 0, failed: 0, cancelled: 0, rev: 0 }
        })
        .collect();
    for row in rows {
        let at = usize::try_from(u64::from(row.cell) / together).ok();
        if let Some(stretch) = at.and_then(|at| found.get_mut(at)) {
            stretch.succeeded += row.succeeded;
            stretch.failed += row.failed;
            stretch.cancelled += row.cancelled;
        }
    }
    found
}

pub(super) fn scale(width: u64, total: u64) -> String {
    if total == 0 { "no items yet".into() } else { format!("each cell {}", words::counted(width, "item")) }
}

pub(super) fn words(cell: &StripCell) -> String {
    let size = (cell.last + 1).saturating_sub(cell.first);
    let open = size.saturating_sub(cell.succeeded + cell.failed + cell.cancelled);
    let mut counts = vec![format!("{} succeeded", words::thousands(cell.succeeded))];
    let others = [(cell.failed, "failed"), (cell.cancelled, "cancelled"), (open, "open")];
    let others = others.into_iter().filter(|(count, _word)| *count > 0);
    counts.extend(others.map(|(count, word)| format!("{} {word}", words::thousands(count))));
    let items = if cell.first == cell.last {
        format!("item {}", words::thousands(cell.first))
    } else {
        format!("items {} to {}", words::thousands(cell.first), words::thousands(cell.last))
    };
    format!("{items}: {}", counts.join(", "))
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
    fn keys_lead_from_cell_to_cell_and_stay_inside() {
        let steps = |key, at| stepped(key, at, 300);
        assert_eq!((steps("ArrowRight", 0), steps("ArrowRight", 299)), (Some(1), Some(299)));
        assert_eq!(
            (steps("ArrowLeft", 0), steps("ArrowUp", 5), steps("ArrowUp", 130)),
            (Some(0), Some(5), Some(2))
        );
        assert_eq!((steps("ArrowDown", 5), steps("ArrowDown", 299)), (Some(133), Some(299)));
        assert_eq!((steps("Home", 7), steps("End", 7), steps("x", 7)), (Some(0), Some(299), None));
        assert_eq!(stepped("End", 0, 0), None);
    }

    #[test]
    fn the_table_has_twenty_stretches_that_make_the_whole() {
        let row = |cell: u32| StripCell {
            cell,
            first: u64::from(cell) * 1_024 + 1,
            last: u64::from(cell) * 1_024 + 1_024,
            succeeded: 1_000,
            failed: 24,
            cancelled: 0,
            rev: 1,
        };
        let rows: Vec<_> = (0..976).map(row).collect();
        let found = stretches(&rows, 1_000_000);
        assert_eq!(
            (found.len(), found[0].first, found.last().map(|last| last.last)),
            (20, 1, Some(1_000_000))
        );
        assert!(found.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
        assert_eq!(found.iter().map(|stretch| stretch.failed).sum::<u64>(), 976 * 24);
        assert_eq!(stretches(&[], 3).len(), 3);
        assert!(stretches(&[], 0).is_empty());
    }

    #[test]
    fn the_lens_says_what_is_in_a_cell() {
        let cell =
            StripCell { cell: 0, first: 1, last: 1_024, succeeded: 1_000, failed: 3, cancelled: 0, rev: 1 };
        assert_eq!(words(&cell), "items 1 to 1,024: 1,000 succeeded, 3 failed, 21 open");
        let one = StripCell { first: 7, last: 7, succeeded: 1, failed: 0, ..cell };
        assert_eq!(words(&one), "item 7: 1 succeeded");
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
