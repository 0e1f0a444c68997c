//! Tables of the file as they are read for `[[task]]`: in their order, each entry with its place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// From an offset in the file to `FILE:LINE`.
pub(super) type Locate<'a> = dyn Fn(usize) -> String + 'a;
/// A value and where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The entries of a table in the order of the file.
pub(super) fn in_order<'t, 'a>(
    table: &'t DeTable<'a>,
) -> Vec<(&'t str, std::ops::Range<usize>, &'t Value<'a>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// A variable that may be handed on: not one of ours, which hold addresses and tokens.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !name.starts_with("MILEPOST_")
}
