//! The bounds of a batch's name and options.

use url::Url;

use super::invalid;
use crate::engine::EngineError;
use crate::protocol::text::is_unseen;
use crate::protocol::{Options, limits};

/// Attempts per item at most.
const ATTEMPTS_MAX: u32 = 100;
/// Time limit of one attempt at most: thirty days.
const TIMEOUT_SECONDS_MAX: f64 = 2_592_000.0;
/// Time for which nothing need be added to an open batch at most: a week.
const IDLE_SECONDS_MAX: u64 = 604_800;
/// Longest delay between attempts at most: a week.
const RETRY_MS_MAX: u64 = 604_800_000;
/// Bytes of the address of a webhook.
const WEBHOOK_BYTES_MAX: usize = 2_000;

/// Checks a title; answers it without the blanks around it.
pub fn name(given: &str) -> Result<String, EngineError> {
    let name = given.trim();
    let most = limits::NAME_CHARS_MAX;
    if name.is_empty() || name.chars().count() > most {
        return Err(invalid(format!("A batch's name has 1 to {most} characters.")));
    }
    if let Some(unseen) = name.chars().find(|c| is_unseen(*c)) {
        let code = u32::from(unseen);
        return Err(invalid(format!(
            "name: one line of text is expected, and no U+{code:04X}, which nobody sees"
        )));
    }
    Ok(name.to_owned())
}

/// Checks a concurrency.
pub fn concurrency(given: Option<u32>) -> Result<(), EngineError> {
    expect(given.is_none_or(|slots| slots >= 1), "concurrency: at least 1 is expected")
}

fn expect(holds: bool, otherwise: &str) -> Result<(), EngineError> {
    if holds { Ok(()) } else { Err(invalid(format!("options.{otherwise}"))) }
}

/// Checks all options but the follow-up.
pub fn options(given: &Options) -> Result<(), EngineError> {
    let above_zero = |value: f64| value.is_finite() && value > 0.0;
    concurrency(given.concurrency)?;
    expect(
        given.attempts_max.is_none_or(|most| (1..=ATTEMPTS_MAX).contains(&most)),
        "attempts_max: 1 to 100 is expected",
    )?;
    expect(
        given.timeout_seconds.is_none_or(|limit| above_zero(limit) && limit <= TIMEOUT_SECONDS_MAX),
        "timeout_seconds: a number above 0, at most 2592000, is expected",
    )?;
    expect(given.rate_per_s.is_none_or(above_zero), "rate_per_s: a number above 0 is expected")?;
    expect(given.try_first.is_none_or(|items| items >= 1), "try_first: at least 1 is expected")?;
    expect(
        given.idle_seconds.is_none_or(|limit| given.open && (1..=IDLE_SECONDS_MAX).contains(&limit)),
        "idle_seconds: 1 to 604800 is expected, with open",
    )?;
    expect(
        given.expected.is_none_or(|items| given.open && items >= 1),
        "expected: at least 1 is expected, with open",
    )?;
    for delay in [given.retry_base_ms, given.retry_max_ms] {
        expect(
            delay.is_none_or(|ms| ms <= RETRY_MS_MAX),
            "retry_base_ms, retry_max_ms: at most a week is expected",
        )?;
    }
    if let Some(budget) = given.budget {
        let percent = budget.failed_percent.is_none_or(|most| above_zero(most) && most <= 100.0);
        expect(percent, "budget.failed_percent: above 0, at most 100, is expected")?;
        let row = budget.failed_in_a_row.is_none_or(|most| most >= 1);
        expect(row, "budget.failed_in_a_row: at least 1 is expected")?;
    }
    given.webhook.as_deref().map_or(Ok(()), webhook)
}

/// Checks the address that is told of the end. Whether the operator lets requests go there is seen when one is sent.
fn webhook(given: &str) -> Result<(), EngineError> {
    expect(given.len() <= WEBHOOK_BYTES_MAX, "webhook: at most 2,000 bytes are expected")?;
    let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return expect(false, "webhook: an address is expected, like https://hooks.example/milepost");
    };
    // They would be shown wherever the address is.
    let plain = url.username().is_empty() && url.password().is_none();
    expect(
        plain,
        "webhook: an address without a name and password is expected; messages are signed instead",
    )?;
    expect(url.fragment().is_none(), "webhook: an address without a fragment (#…) is expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_addresses_of_the_web() {
        let refusal = |text: &str| webhook(text).err().map(|error| error.to_string()).unwrap_or_default();
        for good in [
            "https://hooks.example/x?y=1",
            "http://127.0.0.1:8080/",
            "https://münchen.example",
            "http://[::1]/",
        ] {
            assert_eq!(refusal(good), "", "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(WEBHOOK_BYTES_MAX));
        for bad in
            ["", "/x", "a.example", "ftp://a.example/", "https://", "javascript:1", "https://a b/", &long]
        {
            assert!(refusal(bad).contains("options.webhook: "), "{bad}");
        }
        assert!(refusal("https://ada:secret@a.example/").contains("without a name and password"));
        assert!(refusal("https://a.example/#x").contains("fragment"));
    }
}
