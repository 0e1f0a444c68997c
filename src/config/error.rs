//! Why the settings cannot be used, and where they say so.

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A setting is not as expected: the place (`FILE:LINE`, variable or flag), and what is wrong.
    #[error("{place}: {problem}")]
    Setting {
        /// `FILE:LINE`, the name of the variable, or the flag.
        place: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

/// A setting that is not as expected.
pub(super) fn refused(place: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError::Setting { place: place.into(), problem: problem.into() }
}
