//! Share links: who has one sees one batch, read-only, without signing in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::ids::BatchId;
use super::time::Timestamp;

/// A share link, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ShareLink {
    /// Its name, to revoke it by.
    pub id: String,
    /// The batch that it shows.
    pub batch: BatchId,
    /// Who made it.
    pub made_by: String,
    /// True where it shows inputs, results, errors and files; else it shows how far the batch is, and nothing in it.
    pub payloads: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was last used, to about a minute.
    pub used_at: Option<Timestamp>,
}

/// Share links of a batch, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ShareLinkPage {
    /// At most 64; those that have ended are left out.
    pub share_links: Vec<ShareLink>,
}

/// A share link to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NewShareLink {
    /// Ends after so many seconds, 60 to 31,536,000 (a year); by default 604,800 (a week).
    #[cfg_attr(feature = "ssr", schemars(range(min = 60, max = 31_536_000)))]
    pub expires_in_seconds: u64,
    /// Shows inputs, results, errors and files as well.
    pub payloads: bool,
}

impl Default for NewShareLink {
    /// For a week, without payloads.
    fn default() -> Self {
        Self { expires_in_seconds: 7 * 24 * 60 * 60, payloads: false }
    }
}

/// A share link that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct IssuedShareLink {
    /// What it is.
    pub share_link: ShareLink,
    /// The path of its page, `/s/…`: shown this once.
    pub path: String,
}

/// Says nothing of the path.
impl fmt::Debug for IssuedShareLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedShareLink").field("share_link", &self.share_link).finish_non_exhaustive()
    }
}

/// What a share link shows first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedBatch {
    /// The batch, by [`Batch::progress`].
    pub batch: Batch,
    /// True where inputs, results, errors and files are shown as well.
    pub payloads: bool,
    /// When the link ends.
    pub expires_at: Timestamp,
}
