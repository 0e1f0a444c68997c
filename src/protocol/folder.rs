//! Folders of the server whose files may be items, and what is in them.

use serde::{Deserialize, Serialize};

/// Folders that the operator of the installation allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FolderList {
    /// In the order of the configuration.
    pub folders: Vec<FolderName>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FolderName {
    /// Its name.
    pub name: String,
}

/// Files of a folder, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FolderPage {
    /// Those that the pattern names.
    pub files: Vec<FolderFile>,
    /// `after` for the next page; none at the end. A page may be short, or empty, and not the last: so many names are looked
    /// at for one.
    pub next: Option<String>,
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct FolderFile {
    /// With its folders, parted by `/`.
    pub name: String,
    /// Size.
    pub bytes: u64,
}
