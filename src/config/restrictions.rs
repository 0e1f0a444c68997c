//! `secrets` and `limits` of a `[[task]]`: what its processes are told in confidence, and what they are held to.
//!
//! As [`super::tasks`]. A secret is only named here: what it is, is read where it is handed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, refused};
use super::table::{Locate, in_order, is_variable};

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretConfig {
    /// A variable of the server's environment.
    Env(String),
    /// A file, less one line end at its end.
    File(PathBuf),
}

/// `limits`: none unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskLimitsConfig {
    /// Bytes of address space of each process, 16,777,216 to 2^50. None.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of a file that a process writes, 1 to 2^50. None.
    pub file_bytes_max: Option<u64>,
    /// Processes and threads of the server's user, 1 to 4,194,304. None.
    pub processes_max: Option<u64>,
    /// Bytes of a result, 1 to 1,048,576. 1,048,576.
    pub result_bytes_max: Option<u64>,
    /// Lines that an attempt may write, 1 to 1,000,000,000. 1,000,000.
    pub lines_max: Option<u64>,
    /// Bytes that an attempt may write on standard output, 1,024 to 2^50. 268,435,456.
    pub output_bytes_max: Option<u64>,
    /// Files of an item, 0 to 10,000. 1,000.
    pub files_max: Option<u64>,
    /// Bytes of all files of an item, 0 to 2^50. What `limits.files_bytes_per_item_max` says.
    pub files_bytes_max: Option<u64>,
}

/// Largest number of bytes that can be said.
const BYTES_MAX: u64 = 1 << 50;

type Field = fn(&mut TaskLimitsConfig) -> &mut Option<u64>;

/// Key, lowest and highest value.
const LIMITS: [(&str, u64, u64, Field); 8] = [
    ("memory_bytes_max", 16 * 1024 * 1024, BYTES_MAX, |limits| &mut limits.memory_bytes_max),
    ("file_bytes_max", 1, BYTES_MAX, |limits| &mut limits.file_bytes_max),
    ("processes_max", 1, 4_194_304, |limits| &mut limits.processes_max),
    ("result_bytes_max", 1, 1_048_576, |limits| &mut limits.result_bytes_max),
    ("lines_max", 1, 1_000_000_000, |limits| &mut limits.lines_max),
    ("output_bytes_max", 1_024, BYTES_MAX, |limits| &mut limits.output_bytes_max),
    ("files_max", 0, 10_000, |limits| &mut limits.files_max),
    ("files_bytes_max", 0, BYTES_MAX, |limits| &mut limits.files_bytes_max),
];

/// Reads `limits`.
pub(super) fn limits(table: &DeTable<'_>, place: &Locate<'_>) -> Result<TaskLimitsConfig, ConfigError> {
    let mut limits = TaskLimitsConfig::default();
    for (key, span, value) in in_order(table) {
        let at = place(span.start);
        let Some((_, least, most, field)) = LIMITS.iter().find(|(known, ..)| *known == key) else {
            let known = LIMITS.map(|(known, ..)| known).join(", ");
            return Err(refused(at, format!("unknown key {key:?} in task.limits: expected one of {known}")));
        };
        let number = whole(value.get_ref()).filter(|number| (*least..=*most).contains(number));
        let problem = || format!("task.limits.{key}: expected a whole number from {least} to {most}");
        *field(&mut limits) = Some(number.ok_or_else(|| refused(at, problem()))?);
    }
    Ok(limits)
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let DeValue::Integer(digits) = value else { return None };
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

/// Reads `secrets`; files are found from `folder` on.
pub(super) fn secrets(
    table: &DeTable<'_>,
    folder: &Path,
    place: &Locate<'_>,
) -> Result<BTreeMap<String, SecretConfig>, ConfigError> {
    let mut secrets = BTreeMap::new();
    for (name, span, value) in in_order(table) {
        let at = place(span.start);
        if !is_variable(name) {
            let problem = "task.secrets: expected the name of a variable that does not begin with MILEPOST_";
            return Err(refused(at, format!("{problem}, not {name:?}")));
        }
        let source = value.get_ref().as_table().and_then(|table| {
            let [(key, _, value)] = in_order(table).try_into().ok()?;
            let text = value.get_ref().as_str().filter(|text| !text.is_empty())?;
            match key {
                "env" if is_variable(text) => Some(SecretConfig::Env(text.to_owned())),
                "file" => Some(SecretConfig::File(folder.join(text))),
                _ => None,
            }
        });
        let problem =
            "expected { env = \"NAME\" }, not one of Milepost's own variables, or { file = \"PATH\" }";
        let source = source.ok_or_else(|| refused(at, format!("task.secrets.{name}: {problem}")))?;
        secrets.insert(name.to_owned(), source);
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    const HEAD: &str = "[[task]]\nname = \"x\"\ninput = \"line\"\ncommand = [\"true\"]\n";

    fn parse(tail: &str) -> Result<crate::config::TaskConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("milepost.toml");
        std::fs::write(&file, format!("{HEAD}{tail}")).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        let read = sources.read().map(|config| config.tasks[0].clone());
        read.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn limits_and_secrets_are_taken() {
        let task = parse(
            "secrets = { KEY = { env = \"MY_KEY\" }, TOKEN = { file = \"/run/token\" } }\n\
             limits = { memory_bytes_max = 1_073_741_824, files_max = 0 }",
        )
        .unwrap();
        assert_eq!(task.secrets["KEY"], SecretConfig::Env("MY_KEY".to_owned()));
        assert_eq!(task.secrets["TOKEN"], SecretConfig::File("/run/token".into()));
        let expected = TaskLimitsConfig {
            memory_bytes_max: Some(1 << 30),
            files_max: Some(0),
            ..TaskLimitsConfig::default()
        };
        assert_eq!(task.limits, expected);
    }

    #[test]
    fn mistakes_name_line_and_expectation() {
        for (tail, told) in [
            ("limits = 4", "milepost.toml:5: task.limits: expected a table"),
            ("[task.limits]\nmemory = 4", "milepost.toml:6: unknown key \"memory\" in task.limits: expected"),
            (
                "[task.limits]\nmemory_bytes_max = 1",
                "milepost.toml:6: task.limits.memory_bytes_max: expected a whole number from 16777216",
            ),
            ("[task.limits]\nlines_max = -1", "milepost.toml:6: task.limits.lines_max: expected a whole"),
            ("secrets = [\"A\"]", "milepost.toml:5: task.secrets: expected a table"),
            ("[task.secrets]\nA = \"x\"", "milepost.toml:6: task.secrets.A: expected { env"),
            ("[task.secrets]\nA = { env = \"MILEPOST_TOKEN\" }", "milepost.toml:6: task.secrets.A: expected"),
            (
                "[task.secrets]\nA = { env = \"B\", file = \"C\" }",
                "milepost.toml:6: task.secrets.A: expected",
            ),
            (
                "[task.secrets]\nMILEPOST_A = { env = \"B\" }",
                "milepost.toml:6: task.secrets: expected the name",
            ),
            (
                "env = [\"A\"]\nsecrets = { A = { env = \"B\" } }",
                "milepost.toml:1: task: expected the variable A in env or in secrets",
            ),
        ] {
            let error = parse(tail).unwrap_err();
            assert!(error.starts_with(told), "{tail:?} gave {error:?}");
        }
    }
}
