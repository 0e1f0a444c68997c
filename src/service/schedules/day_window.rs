//! Whether a run may start at a time, and when it may next.

use jiff::Zoned;
use jiff::civil::Time;

use crate::protocol::{ApiError, RunWindow, TimeOfDay};

/// Refuses a window that holds no time.
///
/// # Errors
/// `invalid` where it begins when it ends.
pub fn check_window(window: Option<RunWindow>) -> Result<(), ApiError> {
    match window {
        Some(window) if window.from == window.until => {
            Err(ApiError::invalid("window: from and until are the same; leave it out for any time of day."))
        }
        Some(_) | None => Ok(()),
    }
}

/// True where a run may start at `now`.
pub fn is_open(window: RunWindow, now: &Zoned) -> bool {
    let minute = u16::try_from(now.hour()).unwrap_or(0) * 60 + u16::try_from(now.minute()).unwrap_or(0);
    let (from, until) = (window.from.minute(), window.until.minute());
    if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
}

/// When a run may start next, seen from a time at which it may not. Where a clock that is set ahead leaves out the time
/// at which the window begins, it begins by as much later; where it is set back, at the first of the two.
pub fn opens_after(window: RunWindow, now: &Zoned) -> Option<Zoned> {
    let at = time_of(window.from);
    let today = now.date().to_datetime(at).to_zoned(now.time_zone().clone()).ok()?;
    if today > *now {
        return Some(today);
    }
    let tomorrow = now.date().tomorrow().ok()?;
    tomorrow.to_datetime(at).to_zoned(now.time_zone().clone()).ok()
}

fn time_of(time: TimeOfDay) -> Time {
    let part = |number: u16| i8::try_from(number).unwrap_or(0);
    Time::constant(part(time.minute() / 60), part(time.minute() % 60), 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, until: &str) -> RunWindow {
        RunWindow { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    #[test]
    fn a_window_goes_on_over_midnight() {
        for (from, until, now, open, opens) in [
            ("09:00", "17:00", "2026-06-01T09:00:00[Europe/Berlin]", true, ""),
            ("09:00", "17:00", "2026-06-01T16:59:59[Europe/Berlin]", true, ""),
            (
                "09:00",
                "17:00",
                "2026-06-01T17:00:00[Europe/Berlin]",
                false,
                "2026-06-02T09:00:00[Europe/Berlin]",
            ),
            (
                "09:00",
                "17:00",
                "2026-06-01T08:59:00[Europe/Berlin]",
                false,
                "2026-06-01T09:00:00[Europe/Berlin]",
            ),
            ("22:00", "06:00", "2026-06-01T23:30:00[Europe/Berlin]", true, ""),
            ("22:00", "06:00", "2026-06-01T05:59:00[Europe/Berlin]", true, ""),
            (
                "22:00",
                "06:00",
                "2026-06-01T06:00:00[Europe/Berlin]",
                false,
                "2026-06-01T22:00:00[Europe/Berlin]",
            ),
            ("22:00", "00:00", "2026-06-01T23:59:00[Europe/Berlin]", true, ""),
            (
                "22:00",
                "00:00",
                "2026-06-01T00:00:00[Europe/Berlin]",
                false,
                "2026-06-01T22:00:00[Europe/Berlin]",
            ),
            // 02:30 is left out on 29 March 2026 in Berlin.
            (
                "02:30",
                "02:45",
                "2026-03-29T01:00:00[Europe/Berlin]",
                false,
                "2026-03-29T03:30:00[Europe/Berlin]",
            ),
        ] {
            let (window, now): (RunWindow, Zoned) = (window(from, until), now.parse().unwrap());
            assert_eq!(is_open(window, &now), open, "{from}-{until} at {now}");
            if !open {
                let opens: Zoned = opens.parse().unwrap();
                assert_eq!(opens_after(window, &now).unwrap(), opens, "{from}-{until} at {now}");
            }
        }
        assert!(check_window(Some(window("09:00", "09:00"))).is_err());
        assert!(check_window(Some(window("09:00", "08:59"))).is_ok());
    }
}
