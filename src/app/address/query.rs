//! What stands behind the `?` of an address.

use percent_encoding::percent_decode_str;

use crate::client::words;

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
