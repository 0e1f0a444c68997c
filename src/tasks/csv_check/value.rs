//! What a text must look like to be of a type.
//!
//! Nothing is trimmed, no locale is asked, and a text is judged in time linear in its length.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::Deserialize;

/// Characters of an e-mail address's local part that are no letters or digits.
const LOCAL_MARKS: &str = ".!#$%&'*+/=?^_`{|}~-";

// The types of a column. Their grammar is documented at each `is_…` and `parse_…` below and, for people, in the
// description of the parameter. Plain comments: doc comments on variants would turn the schema's `enum` into objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum ColumnKind {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    Date,
    Datetime,
    Email,
    Url,
}

impl ColumnKind {
    /// Every type by the name that a declaration gives it.
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("date", Self::Date),
        ("datetime", Self::Datetime),
        ("email", Self::Email),
        ("url", Self::Url),
    ];

    /// The type as a message names it.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date as YYYY-MM-DD",
            Self::Datetime => "a time as RFC 3339",
            Self::Email => "an e-mail address",
            Self::Url => "a web address",
        }
    }
}

/// A value that has an order, for `min` and `max`; values of one column are always of one variant.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Ordered {
    Integer(i64),
    Number(f64),
    /// Year, month, day.
    Date(u32),
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Instant(i128),
}

/// What a text is, read as a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CellValue {
    Ordered(Ordered),
    Unordered,
}

impl Ordered {
    /// How two values of one type stand; values of two types are equal to nothing.
    pub(super) fn against(self, other: Self) -> Option<Ordering> {
        self.partial_cmp(&other)
    }
}

/// Reads `text` as a `kind`; none if it is not one.
pub(super) fn read(kind: ColumnKind, text: &str) -> Option<CellValue> {
    match kind {
        ColumnKind::Text => Some(CellValue::Unordered),
        ColumnKind::Integer => parse_integer(text).map(|value| CellValue::Ordered(Ordered::Integer(value))),
        ColumnKind::Number => parse_number(text).map(|value| CellValue::Ordered(Ordered::Number(value))),
        ColumnKind::Boolean => is_boolean(text).then_some(CellValue::Unordered),
        ColumnKind::Date => parse_date(text).map(|value| CellValue::Ordered(Ordered::Date(value))),
        ColumnKind::Datetime => parse_instant(text).map(|value| CellValue::Ordered(Ordered::Instant(value))),
        ColumnKind::Email => is_email(text).then_some(CellValue::Unordered),
        ColumnKind::Url => is_url(text).then_some(CellValue::Unordered),
    }
}

/// `[+-]?[0-9]+`, from -9223372036854775808 to 9223372036854775807; leading zeros are fine.
fn parse_integer(text: &str) -> Option<i64> {
    // Rust reads exactly this grammar.
    text.parse().ok()
}

/// Takes digits off the front; none if there is not one.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`, no larger than a double can hold; leading zeros are fine.
fn parse_number(text: &str) -> Option<f64> {
    let sign = |text: &'_ str| usize::from(text.starts_with(['+', '-']));
    let (_, mut rest) = digits(&text[sign(text)..])?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = digits(fraction)?.1;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        rest = digits(&exponent[sign(exponent)..])?.1;
    }
    if !rest.is_empty() {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `true`, `false`, `yes`, `no`, `1` or `0`, in capitals or not.
fn is_boolean(text: &str) -> bool {
    ["true", "false", "yes", "no", "1", "0"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// The number that `text` spells with exactly `count` digits.
fn number_of(text: &str, count: usize) -> Option<u32> {
    let exact = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if exact { text.parse().ok() } else { None }
}

/// Year, month and day of `YYYY-MM-DD`, a day of the Gregorian calendar from 0001-01-01 to 9999-12-31.
fn calendar_date(text: &str) -> Option<time::Date> {
    let mut parts = text.split('-');
    let year = number_of(parts.next()?, 4).filter(|year| *year > 0)?;
    let month = number_of(parts.next()?, 2)?;
    let day = number_of(parts.next()?, 2)?;
    if parts.next().is_some() {
        return None;
    }
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    time::Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

fn parse_date(text: &str) -> Option<u32> {
    let date = calendar_date(text)?;
    let year = u32::try_from(date.year()).ok()?;
    Some(year * 10_000 + u32::from(u8::from(date.month())) * 100 + u32::from(date.day()))
}

/// RFC 3339: date, `T`, `hh:mm:ss` (00:00:00 to 23:59:59; no leap second), optionally `.` and digits, then `Z` or
/// `+hh:mm` or `-hh:mm` (to 23:59). `t` and `z` are fine, a blank for the `T` is not. Compared as instants, to the
/// nanosecond.
fn parse_instant(text: &str) -> Option<i128> {
    let (date, clock) = (text.get(..10)?, text.get(10..)?.strip_prefix(['T', 't'])?);
    let hour_and_minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (number_of(hour, 2)?, number_of(minute, 2)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let minutes = hour_and_minute(clock.get(..5)?)?;
    let seconds = number_of(clock.get(5..8)?.strip_prefix(':')?, 2).filter(|seconds| *seconds < 60)?;
    let (mut nanoseconds, mut zone) = (0, clock.get(8..)?);
    if let Some(fraction) = zone.strip_prefix('.') {
        let (spelled, rest) = digits(fraction)?;
        let nine: String = spelled.chars().chain(std::iter::repeat('0')).take(9).collect();
        (nanoseconds, zone) = (nine.parse::<u32>().ok()?, rest);
    }
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let ahead = hour_and_minute(zone.strip_prefix(['+', '-'])?).map(i128::from)?;
            if zone.starts_with('-') { -ahead } else { ahead }
        }
    };
    let day = i128::from(
        calendar_date(date)?.to_julian_day() - time::Date::from_ordinal_date(1970, 1).ok()?.to_julian_day(),
    );
    let minutes = day * 1_440 + i128::from(minutes) - offset_minutes;
    Some((minutes * 60 + i128::from(seconds)) * 1_000_000_000 + i128::from(nanoseconds))
}

/// As a web form of type `email` takes it: a local part of letters, digits and [`LOCAL_MARKS`], `@`, and a host, which may
/// be written in any language. Source: <https://html.spec.whatwg.org/#valid-e-mail-address>.
fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || LOCAL_MARKS.contains(c);
    if local.is_empty() || !local.chars().all(plain) {
        return false;
    }
    // Browsers send the host as ASCII, and check that.
    let host = if host.is_ascii() { Some(host.to_owned()) } else { idna::domain_to_ascii(host).ok() };
    host.is_some_and(|host| host.split('.').all(is_host_label))
}

/// 1 to 63 ASCII letters, digits and hyphens, no hyphen at either end.
fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// As a web form of type `url` takes it, where it is of `http` or `https`: what browsers read as an absolute address. Source:
/// <https://url.spec.whatwg.org/>. Blanks and control characters around it, or a tab or line end inside, are left out
/// there; here nothing is.
fn is_url(text: &str) -> bool {
    let stripped = |c: char| c <= ' ';
    !text.starts_with(stripped)
        && !text.ends_with(stripped)
        && !text.contains(['\t', '\n', '\r'])
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests;
