//! What a retry of a batch took, and what has become of it.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::json::Json;
use super::time::Timestamp;

/// The last retry that somebody asked for. Other attempts of an item, which the engine makes by itself, are none.
///
/// What it took and has not ended yet waits or runs: `items` less the rest. All counts are committed state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BatchRetry {
    /// Name of who asked, or `token:NAME`; empty where that is not shown.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Items that it took. Of very many it takes some thousand at a time, and this grows meanwhile.
    pub items: u64,
    /// Those of them that ended well since.
    pub succeeded: u64,
    /// Those that ended badly again.
    pub failed: u64,
    /// Those that a cancel ended.
    pub cancelled: u64,
}

impl BatchRetry {
    /// Items that have not ended since.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.items.saturating_sub(self.succeeded + self.failed + self.cancelled)
    }
}

/// By its members as text: what serde would derive weighs more in the browser than the rest of a retry does.
impl<'de> Deserialize<'de> for BatchRetry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Json::deserialize(deserializer)?.members();
        let mut retry = Self::default();
        for (name, value) in members.ok_or_else(|| D::Error::custom("expected an object"))? {
            let text = value.display_text();
            let count = match name.as_str() {
                "by" => {
                    retry.by = text;
                    continue;
                }
                "at" => {
                    retry.at = text.parse().map_err(D::Error::custom)?;
                    continue;
                }
                "items" => &mut retry.items,
                "succeeded" => &mut retry.succeeded,
                "failed" => &mut retry.failed,
                "cancelled" => &mut retry.cancelled,
                // Of a later version.
                _ => continue,
            };
            *count = text.parse().map_err(D::Error::custom)?;
        }
        Ok(retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_read_as_it_is_written() {
        let text = r#"{"by":"ada \"1\"","at":"2026-01-31T09:41:30.000Z","items":4,"succeeded":1,"failed":2,"cancelled":1}"#;
        let retry: BatchRetry = serde_json::from_str(text).unwrap();
        assert_eq!((retry.by.as_str(), retry.items, retry.open()), ("ada \"1\"", 4, 0));
        assert_eq!(serde_json::to_string(&retry).unwrap(), text);
        for wrong in ["7", "[]", r#"{"items":-1}"#, r#"{"at":"noon"}"#, r#"{"failed":"many"}"#] {
            assert!(serde_json::from_str::<BatchRetry>(wrong).is_err(), "{wrong}");
        }
    }
}
