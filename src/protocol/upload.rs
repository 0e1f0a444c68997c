//! A file that comes in pieces, as whoever sends it sees it.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Announces a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    /// Its name, with its folders if they matter: 1 to 1,024 bytes.
    #[cfg_attr(feature = "ssr", schemars(length(min = 1, max = 1024)))]
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// How much of a file has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct UploadStatus {
    /// Its name for programs.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Bytes that came and survive: where the next piece begins.
    pub offset: u64,
    /// When it is removed unless a byte comes, or a batch takes it, before.
    pub expires_at: Timestamp,
}
