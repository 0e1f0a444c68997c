//! Numbers and times as figures.

use super::thousands;
use crate::protocol::Timestamp;

/// Per mille shown while anything is open: 100.0 % is said at the end only.
const PER_MILLE_BEFORE_END_MAX: u64 = 999;

/// `1 item`, `2,000 items`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        Some(stem) if number != 1 => format!("{stem}ies"),
        _ if number != 1 && noun.ends_with("ch") => format!("{noun}es"),
        _ if number != 1 => format!("{noun}s"),
        _ => noun.to_owned(),
    };
    format!("{} {plural}", thousands(number))
}

/// Part of a whole in tenths of a percent, rounded down; at most 99.9 before the end. None without a whole.
#[must_use]
pub fn per_mille(ended: u64, total: u64) -> Option<u64> {
    if total == 0 {
        return None;
    }
    let floor = u128::from(ended) * 1_000 / u128::from(total);
    let floor = u64::try_from(floor).unwrap_or(1_000).min(1_000);
    Some(if ended < total { floor.min(PER_MILLE_BEFORE_END_MAX) } else { floor })
}

/// `41/s`, `0.4/s`, `12/min`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second >= 9.95 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are far below 2^53"
        )]
        let whole = per_second.round() as u64;
        format!("{}/s", thousands(whole))
    } else if per_second >= 0.095 {
        format!("{per_second:.1}/s")
    } else {
        format!("{:.1}/min", per_second * 60.0)
    }
}

/// `812 ms`, `4.2 s`, `3 min 20 s`, `2 h 14 min`, `3 d 4 h`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 if ms == 0 => "<1 ms".into(),
        0 => format!("{ms} ms"),
        1..=9 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => two_units(seconds / 60, "min", seconds % 60, "s"),
        3_600..=86_399 => two_units(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two_units(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// A range of time to go: `under 2 s`, `8–12 s`, `14–19 min`, `2–3 h`. One unit for both ends, rounded outwards.
#[must_use]
pub fn eta((low_ms, high_ms): (u64, u64)) -> String {
    let (unit_ms, unit) = match high_ms {
        0..=2_000 => return "under 2 s".into(),
        2_001..=120_000 => (1_000, "s"),
        120_001..=7_200_000 => (60_000, "min"),
        7_200_001..=172_800_000 => (3_600_000, "h"),
        _ => (86_400_000, "d"),
    };
    let (low, high) = (low_ms / unit_ms, high_ms.div_ceil(unit_ms));
    if low == high || low == 0 { format!("about {high} {unit}") } else { format!("{low}–{high} {unit}") }
}

/// `1.8 kB`, `12 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let (mut tenths, mut at) = (count / 100, 0);
    while tenths >= 10_000 && at + 1 < UNITS.len() {
        tenths /= 1_000;
        at += 1;
    }
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[at])
    } else {
        format!("{} {}", thousands(tenths / 10), UNITS[at])
    }
}

/// `2026-01-31 09:41:00 UTC`: absolute, the same for everybody.
#[must_use]
pub fn absolute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}

/// `2026-01-31 09:41 +01:00` of `2026-01-31T09:41:00+01:00`: a minute by the clock of a zone, with its offset.
#[must_use]
pub fn zoned(local: &str) -> String {
    match (local.get(..10), local.get(11..16), local.get(19..)) {
        (Some(day), Some(clock), Some(offset)) => format!("{day} {clock} {offset}"),
        _ => local.to_owned(),
    }
}

/// `just now`, `40 s ago`, `in 3 min`: for enhancement in the browser only.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let coarse = |ms: u64| match ms / 1_000 {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3_599 => format!("{} min", seconds / 60),
        seconds @ 3_600..=86_399 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    };
    match (now.ms_since(at), at.ms_since(now)) {
        (0..=4_999, 0..=4_999) => "just now".into(),
        (past, 0) => format!("{} ago", coarse(past)),
        (_, future) => format!("in {}", coarse(future)),
    }
}
