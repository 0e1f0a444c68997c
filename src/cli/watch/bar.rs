//! The bar of a batch in cells of a terminal.
//!
//! The cells sum to the width, and whatever there is can be seen.

use std::cmp::Ordering;

use crate::protocol::{Batch, ItemState};

/// Whether the terminal wants colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Colours,
    Plain,
}

/// Cells of each state in a bar of `width`: shares by largest remainder. What there is has a cell, and the sum is
/// `width`, as long as there are as many cells as states; without items there are none.
fn cells(batch: &Batch, width: usize) -> [usize; 6] {
    let counts = ItemState::ALL.map(|state| batch.count(state));
    let total = u128::from(batch.total.max(1));
    let ideal = |count: u64| u128::from(count) * width as u128;
    let mut cells = counts.map(|count| {
        let floor = usize::try_from(ideal(count) / total).unwrap_or(width);
        floor.max(usize::from(count > 0))
    });
    // How much a state lacks of its share; negative where it has more.
    let lack = |at: usize, has: usize| ideal(counts[at]).cast_signed() - (has as u128 * total).cast_signed();
    loop {
        let sum: usize = cells.iter().sum();
        let chosen = match sum.cmp(&width) {
            Ordering::Equal => None,
            Ordering::Less => (0..6).filter(|at| counts[*at] > 0).max_by_key(|at| lack(*at, cells[*at])),
            // Made too many by those that are there only to be seen: the widest can best do without.
            Ordering::Greater => (0..6).filter(|at| cells[*at] > 1).max_by_key(|at| cells[*at]),
        };
        match chosen {
            Some(at) if sum < width => cells[at] += 1,
            Some(at) => cells[at] -= 1,
            None => break,
        }
    }
    cells
}

/// The bar as text, `width` columns wide.
pub(super) fn bar(batch: &Batch, width: usize, ink: Ink) -> String {
    let cells = cells(batch, width);
    let drawn: String = ItemState::ALL
        .into_iter()
        .zip(cells)
        .filter(|(_, cells)| *cells > 0)
        .map(|(state, cells)| {
            let (cell, colour) = look(state);
            inked(&cell.repeat(cells), colour, ink)
        })
        .collect();
    drawn + &" ".repeat(width.saturating_sub(cells.iter().sum()))
}

/// What a cell looks like, told apart without colour too, and its colour as a parameter of SGR.
fn look(state: ItemState) -> (&'static str, &'static str) {
    match state {
        ItemState::Succeeded => ("█", "32"),
        ItemState::Running => ("▓", "36"),
        ItemState::Retrying => ("▒", "33"),
        ItemState::Pending => ("░", "2"),
        ItemState::Failed => ("×", "31"),
        ItemState::Cancelled => ("-", "35"),
    }
}

/// `text` in a colour, a parameter of SGR; empty = the terminal's own.
pub(super) fn inked(text: &str, colour: &str, ink: Ink) -> String {
    match ink {
        Ink::Colours if !colour.is_empty() => format!("\x1b[{colour}m{text}\x1b[0m"),
        Ink::Colours | Ink::Plain => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::line::tests::batch;

    #[test]
    fn a_bar_shows_all_there_is_and_sums_to_its_width() {
        let mut rare = batch(1_000_000, 999_995, 1);
        (rare.pending, rare.running, rare.retrying, rare.cancelled) = (1, 1, 1, 1);
        assert_eq!(cells(&rare, 8), [3, 1, 1, 1, 1, 1]);
        assert_eq!(bar(&rare, 8, Ink::Plain), "███▓▒░×-");
        for width in 8..=60 {
            for succeeded in 0..=30 {
                let cells = cells(&batch(30, succeeded, 0), width);
                assert_eq!(cells.iter().sum::<usize>(), width);
                assert_eq!(cells[0] > 0, succeeded > 0);
                assert_eq!(cells[3] > 0, succeeded < 30);
            }
        }
        assert_eq!(cells(&batch(3, 1, 1), 9), [3, 0, 0, 3, 3, 0]);
        assert_eq!(bar(&batch(0, 0, 0), 8, Ink::Plain), "        ");
        assert_eq!(bar(&batch(2, 1, 1), 8, Ink::Colours), "\x1b[32m████\x1b[0m\x1b[31m××××\x1b[0m");
    }
}
