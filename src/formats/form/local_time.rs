//! A local time in somebody's time zone, as an instant.
//!
//! Where the clock of the zone is set ahead, a time that it leaves out is taken as if it were not set; where it is set back, of
//! a time that comes twice the first is meant. Browsers do the same.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::protocol::ApiError;

/// A zone's name is not longer, in bytes.
const ZONE_BYTES_MAX: usize = 64;

/// The instant of `local`, `2026-01-31T09:41` as a browser's field posts it, in the zone of this name; any other text is given
/// back as it is.
///
/// # Errors
/// `invalid` for a zone that there is not.
pub(super) fn instant(local: &str, zone: &str) -> Result<String, ApiError> {
    let Ok(time) = local.parse::<DateTime>() else { return Ok(local.to_owned()) };
    // An instant has a zone of its own, which goes before.
    if local.parse::<jiff::Timestamp>().is_ok() {
        return Ok(local.to_owned());
    }
    let found = (zone.len() <= ZONE_BYTES_MAX).then(|| TimeZone::get(zone).ok()).flatten();
    let found = found.ok_or_else(|| {
        ApiError::invalid(format!(
            "options.start_zone: expected a time zone, like Europe/Berlin or UTC, not {zone:?}."
        ))
    })?;
    let instant = time.to_zoned(found).map_err(|_bound| {
        ApiError::invalid(format!("options.start_at: expected a date of this age, not {local:?}."))
    })?;
    Ok(instant.timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_meant_in_its_zone() {
        for (local, zone, at) in [
            ("2026-01-31T09:41", "UTC", "2026-01-31T09:41:00Z"),
            ("2026-01-31T09:41", "America/New_York", "2026-01-31T14:41:00Z"),
            ("2026-07-31T09:41:30", "Europe/Berlin", "2026-07-31T07:41:30Z"),
            ("2026-01-31T09:41", "Asia/Kathmandu", "2026-01-31T03:56:00Z"),
            // Left out, and twice.
            ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00Z"),
            ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),
            // What has a zone, or is no time.
            ("2026-01-31T09:41:00Z", "America/New_York", "2026-01-31T09:41:00Z"),
            ("soon", "UTC", "soon"),
        ] {
            assert_eq!(instant(local, zone).unwrap(), at, "{local} {zone}");
        }
        assert!(instant("2026-01-31T09:41", "Mars/Olympus").unwrap_err().detail.contains("Mars/Olympus"));
        assert!(instant("2026-01-31T09:41", &"x".repeat(65)).is_err());
    }
}
