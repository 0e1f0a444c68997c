//! Light or dark: what the person chose, kept in a cookie so that the first paint is right without scripts.
//!
//! No cookie means the system decides.

/// Name of the cookie; it holds no secret and is read by scripts.
pub const COOKIE: &str = "theme";

/// A choice other than the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark letters on light.
    Light,
    /// Light letters on dark.
    Dark,
}

impl Theme {
    /// As cookie and attribute hold it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The choice in a `Cookie` header, if there is one.
    #[must_use]
    pub fn in_cookies(header: &str) -> Option<Self> {
        header.split(';').filter_map(|pair| pair.trim().split_once('=')).find_map(|pair| match pair {
            (COOKIE, "light") => Some(Self::Light),
            (COOKIE, "dark") => Some(Self::Dark),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_theme_is_read_among_other_cookies() {
        assert_eq!(Theme::in_cookies("milepost=x; theme=dark"), Some(Theme::Dark));
        assert_eq!(Theme::in_cookies("theme=purple"), None);
        assert_eq!(Theme::in_cookies(""), None);
    }
}
