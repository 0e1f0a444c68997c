//! When a schedule is due: a pattern on the wall clock of a time zone, as instants.
//!
//! Where that clock is set ahead or back, a pattern that names one hour and one minute is due once, at the time that the
//! clock comes to instead; one that names several or all follows the clock: what the clock leaves out is left out, what it
//! shows twice is due twice.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, Zoned};

use super::day_window;
use super::fields::{five_fields, parser};
use crate::protocol::limits::SCHEDULE_NEXT_RUNS;
use crate::protocol::{ApiError, RunWindow, Timestamp};
use crate::store::ScheduleSettings;

/// The zone where none is named.
const ZONE_DEFAULT: &str = "UTC";
/// A zone's name is not longer, in bytes.
const ZONE_BYTES_MAX: usize = 64;
/// How far back the last of many times that have passed is looked for, in ms: an hour, a day, two months, four years. In
/// the shortest of these that holds one there are few.
const LOOK_BACK_MS: [i64; 4] = [3_600_000, 24 * 3_600_000, 62 * 24 * 3_600_000, 4 * 366 * 24 * 3_600_000];

/// When a schedule is due.
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
    window: Option<RunWindow>,
}

impl Calendar {
    /// Reads a pattern and the name of a zone.
    ///
    /// # Errors
    /// `invalid`, with what was expected.
    pub fn read(cron: &str, time_zone: Option<&str>, window: Option<RunWindow>) -> Result<Self, ApiError> {
        let fields = five_fields(cron)?;
        let cron = parser()
            .parse(&fields)
            .map_err(|fault| ApiError::invalid(format!("cron: expected five fields: {fault}")))?;
        let name = time_zone.unwrap_or(ZONE_DEFAULT);
        let zone = (name.len() <= ZONE_BYTES_MAX && name != "Etc/Unknown")
            .then(|| TimeZone::get(name).ok())
            .flatten()
            .filter(|zone| zone.iana_name().is_some());
        let zone = zone.ok_or_else(|| {
            ApiError::invalid(format!(
                "time_zone: expected a name of the IANA database, like Europe/Berlin or UTC, not {name:?}."
            ))
        })?;
        day_window::check_window(window)?;
        Ok(Self { cron, zone, window })
    }

    /// Of a schedule that is stored.
    ///
    /// # Errors
    /// `invalid` where the zone is no longer known.
    pub fn of(settings: &ScheduleSettings) -> Result<Self, ApiError> {
        Self::read(&settings.cron, Some(&settings.time_zone), settings.window)
    }

    /// The name of the zone, as the database writes it.
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or(ZONE_DEFAULT).to_owned()
    }

    /// The pattern in words.
    pub fn in_words(&self) -> String {
        self.cron.describe()
    }

    /// When it is due next after `now`; none where it never is.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(now)?, false).ok()?;
        Some(Timestamp(next.timestamp().as_millisecond()))
    }

    /// The next few times after `now`.
    pub fn upcoming(&self, now: Timestamp) -> Vec<Timestamp> {
        let mut last = now;
        let next = std::iter::from_fn(|| {
            last = self.next_after(last)?;
            Some(last)
        });
        next.take(SCHEDULE_NEXT_RUNS).collect()
    }

    /// The last time at which it was due up to `now`, where `first` is one of them: of many the last, without going through
    /// all.
    pub fn last_due(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        let mut due = first;
        for back in LOOK_BACK_MS {
            let from = Timestamp(first.0.max(now.0.saturating_sub(back)));
            let mut next = self.next_after(from);
            while let Some(found) = next.filter(|found| *found <= now) {
                due = found;
                next = self.next_after(found);
            }
            if due != first || from == first {
                break;
            }
        }
        due
    }

    /// When a run may start that could at `now`, but for the window: none where it may.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let (window, zoned) = (self.window?, self.zoned(now)?);
        if day_window::is_open(window, &zoned) {
            return None;
        }
        let opens = day_window::opens_after(window, &zoned)?;
        Some(Timestamp(opens.timestamp().as_millisecond()))
    }

    /// An instant by the clock of the zone, as RFC 3339.
    pub fn local(&self, at: Timestamp) -> Option<String> {
        let zoned = self.zoned(at)?;
        Some(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        Some(Instant::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn berlin(cron: &str) -> Calendar {
        Calendar::read(cron, Some("europe/berlin"), None).unwrap()
    }

    /// The next times after `from`, by the clock of the zone.
    fn next(calendar: &Calendar, from: &str) -> Vec<String> {
        calendar.upcoming(at(from)).into_iter().map(|at| calendar.local(at).unwrap()).collect()
    }

    #[test]
    fn the_spring_and_the_autumn_of_a_zone() {
        // On 29 March 2026 the clock goes from 02:00 to 03:00, on 25 October from 03:00 back to 02:00.
        let once = berlin("30 2 * * *");
        assert_eq!(once.zone_name(), "Europe/Berlin");
        let found = next(&once, "2026-03-28T00:00:00Z");
        assert_eq!(
            found[..3],
            ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
        let found = next(&once, "2026-10-24T00:00:00Z");
        assert_eq!(
            found[..3],
            ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
        let listed = berlin("*/30 2 * * *");
        let found = next(&listed, "2026-03-28T01:15:00Z");
        assert_eq!(
            found[..3],
            ["2026-03-28T02:30:00+01:00", "2026-03-30T02:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
        let found = next(&listed, "2026-10-24T12:00:00Z");
        assert_eq!(
            found,
            [
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-26T02:00:00+01:00"
            ]
        );
        let hourly = berlin("@hourly");
        assert_eq!(
            next(&hourly, "2026-03-29T00:30:00Z")[..2],
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"]
        );
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let tokyo = Calendar::read("0 0 1 * *", Some("Asia/Tokyo"), None).unwrap();
        assert_eq!(tokyo.next_after(at("2026-01-31T14:59:59Z")), Some(at("2026-01-31T15:00:00Z")));
        // Half hours are whole ones elsewhere.
        let delhi = Calendar::read("0 6 * * *", Some("Asia/Kolkata"), None).unwrap();
        assert_eq!(delhi.next_after(at("2026-01-31T00:00:00Z")), Some(at("2026-01-31T00:30:00Z")));
        let leap = Calendar::read("0 0 29 2 *", None, None).unwrap();
        assert_eq!(leap.next_after(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        let never = Calendar::read("0 0 30 2 *", None, None).unwrap();
        assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
        // Either day counts where both are named, as in every cron.
        let either = Calendar::read("0 0 13 * FRI", None, None).unwrap();
        assert_eq!(either.next_after(at("2026-11-07T00:00:00Z")), Some(at("2026-11-13T00:00:00Z")));
        assert_eq!(either.next_after(at("2026-11-13T00:00:00Z")), Some(at("2026-11-20T00:00:00Z")));
    }

    #[test]
    fn of_many_that_passed_the_last_counts() {
        for (cron, first, now, last) in [
            ("* * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:30Z", "2026-01-01T00:00:00Z"),
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("0 3 * * *", "2020-01-01T03:00:00Z", "2026-01-01T02:59:59Z", "2025-12-31T03:00:00Z"),
            ("0 0 1 * *", "2020-01-01T00:00:00Z", "2026-01-31T23:00:00Z", "2026-01-01T00:00:00Z"),
            ("0 0 1 1 *", "2020-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2020-02-29T00:00:00Z", "2027-06-01T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T03:00:00Z"),
        ] {
            let calendar = Calendar::read(cron, None, None).unwrap();
            assert_eq!(calendar.last_due(at(first), at(now)), at(last), "{cron} at {now}");
        }
    }

    #[test]
    fn zones_are_those_of_the_database() {
        for bad in ["", "Berlin", "CEST", "+01:00", "Etc/Unknown", "Europe/Berlin\0", &"x".repeat(99)] {
            let refusal = Calendar::read("@daily", Some(bad), None).map(drop).unwrap_err();
            assert!(refusal.detail.starts_with("time_zone: expected"), "{bad}: {}", refusal.detail);
        }
        assert_eq!(Calendar::read("@daily", None, None).unwrap().zone_name(), "UTC");
    }

    #[test]
    fn a_pattern_is_said_in_words() {
        let words = berlin("30 6 * * MON-FRI").in_words();
        assert!(words.contains("06:30"), "{words}");
    }
}
