//! The address of a page, read the same way on the server and in the browser.

use percent_encoding::percent_decode_str;

use crate::client::words;

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

/// Names and values of a query, decoded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query, as forms write it: <https://url.spec.whatwg.org/#urlencoded-parsing>.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// The last value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values under `name`, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All names with their values, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Takes out all that is under `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Puts `value` in place of all that was under `name`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// With the `?` in front; nothing where there is no pair.
impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let mark = if at == 0 { "?" } else { "&" };
            write!(f, "{mark}{}={}", words::path_segment(name), words::path_segment(value))?;
        }
        Ok(())
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
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

    #[test]
    fn queries_are_written() {
        let mut query = Query::parse("q=ü+1&tab=x&q=2");
        query.set("q", "50 % & more");
        assert_eq!(query.to_string(), "?tab=x&q=50%20%25%20%26%20more");
        assert_eq!(Query::default().to_string(), "");
        let mut chosen = Query::parse("c=1&a=2&c=3");
        assert_eq!(chosen.all("c").collect::<Vec<_>>(), ["1", "3"]);
        chosen.remove("c");
        assert_eq!(chosen.pairs().collect::<Vec<_>>(), [("a", "2")]);
    }
}
