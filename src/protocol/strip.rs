//! The strip of a batch as a page is sent it: one short text in place of a thousand objects.
//!
//! `REV WIDTH TOTAL` and then each cell: `succeeded,failed,cancelled` with zeros at the end left out, after `+N:` where
//! N cells without a row come before it. First and last item follow from the width. What is read has the revision of
//! the whole in every cell: it is the truth as of then.

use serde::{Deserialize, Serialize};

use super::ids::{ParseError, Rev};
use super::item::StripCell;

/// Cells of a text at most: far more than any batch has.
const CELLS_MAX: u64 = 65_536;

/// The cells of a batch, as of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Strip {
    /// Revision of the batch.
    pub rev: Rev,
    /// Cells in which something has ended, in order.
    pub cells: Vec<StripCell>,
}

/// Items of one cell; those of one that stands alone are not known, and need not be.
fn width(cells: &[StripCell]) -> u64 {
    let told = cells.iter().find(|cell| cell.cell > 0).map(|cell| (cell.first - 1) / u64::from(cell.cell));
    told.or_else(|| cells.first().map(|cell| cell.last)).unwrap_or(1).max(1)
}

impl From<Strip> for String {
    fn from(strip: Strip) -> Self {
        let total = strip.cells.iter().map(|cell| cell.last).max().unwrap_or(0);
        let mut text = format!("{} {} {total}", strip.rev, width(&strip.cells));
        let mut next = 0;
        for cell in &strip.cells {
            text.push(' ');
            if cell.cell > next {
                text.push_str(&format!("+{}:", cell.cell - next));
            }
            next = cell.cell + 1;
            text.push_str(&match (cell.failed, cell.cancelled) {
                (0, 0) => cell.succeeded.to_string(),
                (failed, 0) => format!("{},{failed}", cell.succeeded),
                (failed, cancelled) => format!("{},{failed},{cancelled}", cell.succeeded),
            });
        }
        text
    }
}

impl TryFrom<String> for Strip {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        let refused = ParseError { expected: "a strip: REV WIDTH TOTAL and its cells" };
        let number = |text: &str| text.parse::<u64>().map_err(|_form| refused);
        let mut words = text.split(' ');
        let mut head = || words.next().ok_or(refused).and_then(number);
        let (rev, width, total) = (head()?, head()?, head()?);
        let (mut cells, mut next) = (Vec::new(), 0_u64);
        for word in words {
            let (gap, counts) = match word.strip_prefix('+').and_then(|word| word.split_once(':')) {
                Some((gap, counts)) => (number(gap)?, counts),
                None => (0, word),
            };
            let mut counts = counts.split(',').map(number);
            let mut count = || counts.next().unwrap_or(Ok(0));
            let (succeeded, failed, cancelled) = (count()?, count()?, count()?);
            let at = next.checked_add(gap).filter(|at| *at < CELLS_MAX).ok_or(refused)?;
            let first = at.checked_mul(width).and_then(|before| before.checked_add(1)).ok_or(refused)?;
            let last = total.min(first.saturating_add(width - width.min(1)));
            let cell = u32::try_from(at).map_err(|_range| refused)?;
            cells.push(StripCell { cell, first, last, succeeded, failed, cancelled, rev });
            next = at + 1;
        }
        Ok(Self { rev, cells })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cell: u32, width: u64, total: u64, counts: (u64, u64, u64)) -> StripCell {
        let first = u64::from(cell) * width + 1;
        let (succeeded, failed, cancelled) = counts;
        StripCell { cell, first, last: total.min(first + width - 1), succeeded, failed, cancelled, rev: 9 }
    }

    fn round_trip(cells: Vec<StripCell>) -> String {
        let strip = Strip { rev: 9, cells };
        let text = String::from(strip.clone());
        assert_eq!(Strip::try_from(text.clone()), Ok(strip));
        text
    }

    #[test]
    fn a_strip_is_read_as_it_was_written() {
        let gaps = vec![cell(0, 4, 15, (4, 0, 0)), cell(2, 4, 15, (1, 2, 0)), cell(3, 4, 15, (0, 0, 3))];
        assert_eq!(round_trip(gaps), "9 4 15 4 +1:1,2 0,0,3");
        assert_eq!(round_trip(vec![cell(0, 7, 7, (3, 0, 0))]), "9 7 7 3");
        assert_eq!(round_trip(Vec::new()), "9 1 0");
    }

    #[test]
    fn a_million_items_are_some_kilobytes() {
        let counts = |at: u32| (1_024 - u64::from(at % 3), u64::from(at % 3), 0);
        let cells = (0..976).map(|at| cell(at, 1_024, 1_000_000, counts(at))).collect();
        assert!(round_trip(cells).len() < 7_500);
    }

    #[test]
    fn what_is_no_strip_is_refused() {
        for text in ["", "9", "9 4", "9 4 x", "9 4 15 a", "9 4 15 1,b", "9 4 15 +99999999:1", "9 4 15 +:1"] {
            assert!(Strip::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
