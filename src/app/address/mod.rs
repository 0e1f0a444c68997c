//! The address of a page, read the same way on the server and in the browser.

mod program_pages;
mod query;

use percent_encoding::percent_decode_str;

pub use program_pages::{ProgramPage, has_program};
pub use query::Query;

/// Where a page is: its path, and what is asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The path, as it stands in the address: `/batches/1`.
    pub path: String,
    /// What follows it behind `?`.
    pub query: Query,
}

impl Address {
    /// Reads `path`, with or without a query. What follows `#` is for the browser alone, and is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.split('#').next().unwrap_or_default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        Self { path: path.to_owned(), query: Query::parse(query) }
    }

    /// The part of the path between two `/`, decoded; the first is 0. Empty where the path has fewer.
    #[must_use]
    pub fn part(&self, at: usize) -> String {
        let part = self.path.split('/').nth(at + 1).unwrap_or_default();
        percent_decode_str(part).decode_utf8_lossy().into_owned()
    }

    /// What the query has under `name`; none where it has nothing, or an empty text.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<String> {
        self.query.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = Address::parse("/batches/a%20b/items/7?tab=items&q=a+b%26c&q=%2541&flag#place");
        assert_eq!(address.path, "/batches/a%20b/items/7");
        let parts: Vec<_> = (0..5).map(|at| address.part(at)).collect();
        assert_eq!(parts, ["batches", "a b", "items", "7", ""]);
        assert_eq!(address.query.get("tab"), Some("items"));
        assert_eq!(address.query.get("q"), Some("%41"), "the last one, decoded once");
        assert_eq!(address.query.get("flag"), Some(""));
        assert_eq!(address.asked("flag"), None);
        assert_eq!(address.query.get("other"), None);
    }

    #[test]
    fn what_is_no_text_does_no_harm() {
        for text in ["", "?", "/?&&=&", "/%FF?%FF=%", "/a%2", "#"] {
            let address = Address::parse(text);
            let again = Address::parse(&format!("{}{}", address.path, address.query));
            assert_eq!(again.query, address.query, "{text}");
        }
    }
}
