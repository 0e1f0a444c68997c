//! `[inputs]`: where items may come from on the server itself.
//!
//! As [`super`]; each folder keeps its place, so that one that is not there is named with its line at the start.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::error::{ConfigError, refused};
use super::table::{Locate, Value, in_order};

/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// Folders at most.
const FOLDERS_MAX: usize = 100;

/// `[inputs]`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct InputsConfig {
    /// Folders whose files may be items, for whoever may submit. None.
    pub folders: Vec<FolderConfig>,
}

/// One of `inputs.folders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderConfig {
    /// `[a-z0-9-]`, 1 to 64.
    pub name: String,
    /// Where it is; a relative path counts from the folder of the file.
    pub path: PathBuf,
    /// `FILE:LINE` of its path.
    pub place: String,
}

impl InputsConfig {
    /// Looks whether the folders are there.
    ///
    /// # Errors
    /// The first that is none, with its place.
    pub fn check(&self) -> Result<(), ConfigError> {
        for folder in &self.folders {
            let (name, path) = (&folder.name, folder.path.display());
            match std::fs::read_dir(&folder.path) {
                Ok(_readable) => {}
                Err(fault) => {
                    let problem = format!("inputs.folders: {name:?} expects a folder at {path}: {fault}");
                    return Err(refused(folder.place.clone(), problem));
                }
            }
        }
        Ok(())
    }
}

/// Reads the table of the file at `path`.
pub(super) fn read(
    content: &Value<'_>,
    path: &Path,
    place: &Locate<'_>,
) -> Result<InputsConfig, ConfigError> {
    let not_a_table = || refused(place(content.span().start), "inputs: expected a table, like [inputs]");
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut inputs = InputsConfig::default();
    for (key, span, value) in in_order(content.get_ref().as_table().ok_or_else(not_a_table)?) {
        if key != "folders" {
            let problem = format!("unknown key {key:?} in [inputs]: expected one of folders");
            return Err(refused(place(span.start), problem));
        }
        let not_a_list = || {
            let expected =
                "inputs.folders: expected a list, like [{ name = \"photos\", path = \"/srv/photos\" }]";
            refused(place(value.span().start), expected)
        };
        for entry in value.get_ref().as_array().ok_or_else(not_a_list)? {
            let table = entry.get_ref().as_table().ok_or_else(not_a_list)?;
            let folder = folder(table, place(entry.span().start), parent, place)?;
            if inputs.folders.iter().any(|other| other.name == folder.name) {
                let problem = format!("inputs.folders: {:?} is named twice", folder.name);
                return Err(refused(place(entry.span().start), problem));
            }
            inputs.folders.push(folder);
        }
        if inputs.folders.len() > FOLDERS_MAX {
            let problem = format!("inputs.folders: expected {FOLDERS_MAX} at most");
            return Err(refused(place(span.start), problem));
        }
    }
    Ok(inputs)
}

fn folder(
    table: &DeTable<'_>,
    at: String,
    parent: &Path,
    place: &Locate<'_>,
) -> Result<FolderConfig, ConfigError> {
    let (mut name, mut path) = (None, None);
    for (key, span, value) in in_order(table) {
        let here = place(span.start);
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        match key {
            "name" => {
                let plain = |text: &&str| {
                    text.len() <= NAME_CHARS_MAX
                        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                };
                let expected = "inputs.folders.name: expected 1 to 64 of a-z, 0-9 and -";
                name = Some(text.filter(plain).ok_or_else(|| refused(here, expected))?.to_owned());
            }
            "path" => {
                let expected = "inputs.folders.path: expected the path of a folder";
                let text = text.ok_or_else(|| refused(here.clone(), expected))?;
                path = Some((parent.join(text), here));
            }
            unknown => {
                let problem =
                    format!("unknown key {unknown:?} in inputs.folders: expected one of name, path");
                return Err(refused(here, problem));
            }
        }
    }
    match (name, path) {
        (Some(name), Some((path, place))) => Ok(FolderConfig { name, path, place }),
        _ => Err(refused(at, "inputs.folders: expected name and path of each folder")),
    }
}
