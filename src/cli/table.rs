//! Rows for people and for programs: aligned under a header in a terminal, tab-separated elsewhere.
//!
//! No cell can move the cursor or make a column of its own.

use std::io::{self, IsTerminal as _, Write as _};

use super::columns::{columns, plain, shortened};

/// Columns of a cell at most, in a terminal.
const CELL_COLUMNS_MAX: usize = 60;
/// Blanks between two columns.
const GAP: usize = 2;

/// Which side of a column its cells stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Align {
    /// Text.
    Left,
    /// Figures.
    Right,
}

/// Rows under one header.
pub(in crate::cli) struct TextTable {
    header: &'static [(&'static str, Align)],
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Without rows.
    pub(in crate::cli) fn new(header: &'static [(&'static str, Align)]) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Adds a row of as many cells as the header has.
    pub(in crate::cli) fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
    }

    /// Prints it to standard output, as fits.
    ///
    /// # Errors
    /// If standard output takes nothing.
    pub(in crate::cli) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let text = if out.is_terminal() { self.aligned() } else { self.tabbed() };
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn tabbed(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text.push_str(&row.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join("\t"));
            text.push('\n');
        }
        text
    }

    fn aligned(&self) -> String {
        let header = self.header.iter().map(|(name, _)| name.to_uppercase()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(header)
            .chain(
                self.rows
                    .iter()
                    .map(|row| row.iter().map(|cell| shortened(&plain(cell), CELL_COLUMNS_MAX)).collect()),
            )
            .collect();
        let widths: Vec<usize> = (0..self.header.len())
            .map(|at| rows.iter().map(|row| columns(&row[at])).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(self.header) {
                let blanks = " ".repeat(width - columns(cell));
                match align {
                    Align::Left => line.extend([cell.as_str(), &blanks]),
                    Align::Right => line.extend([blanks.as_str(), cell]),
                }
                line.push_str(&" ".repeat(GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable {
        let mut table = TextTable::new(&[("name", Align::Left), ("items", Align::Right)]);
        table.push(vec!["照片".into(), "12,400".into()]);
        table.push(vec!["a\tb\x1b[2J\n".into(), "7".into()]);
        table
    }

    #[test]
    fn people_get_columns() {
        let text = "NAME       ITEMS\n照片      12,400\na·b·[2J·       7\n";
        assert_eq!(table().aligned(), text);
    }

    #[test]
    fn programs_get_tabs_and_no_header() {
        assert_eq!(table().tabbed(), "照片\t12,400\na·b·[2J·\t7\n");
    }
}
