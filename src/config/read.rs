//! From file, environment and flags to [`Config`], in that order; the later wins.
//!
//! As [`super`].

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Config;
use super::error::{ConfigError, refused};
use super::fields;
use super::inputs;
use super::people;
use super::raw::Raw;
use super::table::{Locate, Value, in_order};
use super::tasks;

/// The file that is read where none is named, if it is there.
const FILE_DEFAULT: &str = "milepost.toml";

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// Variables of the environment; others than `MILEPOST_…` are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags that were given: flag, table, key, value.
    pub flags: Vec<(&'static str, &'static str, &'static str, String)>,
}

impl Sources {
    /// Reads everything.
    ///
    /// # Errors
    /// The first setting that cannot be used, with its place.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = self.path() {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| ConfigError::File { path: path.clone(), source })?;
            take_file(&mut config, &path, &text)?;
        }
        for (name, value) in &self.environment {
            take_variable(&mut config, name, value)?;
        }
        for (flag, table, key, value) in &self.flags {
            take(&mut config, flag, table, key, &Raw::Untyped(value.clone()))?;
        }
        config.sign_in.check()?;
        Ok(config)
    }

    fn path(&self) -> Option<PathBuf> {
        let named = self.environment.iter().find(|(name, _)| name == "MILEPOST_CONFIG");
        self.file
            .clone()
            .or_else(|| named.filter(|(_, value)| !value.is_empty()).map(|(_, value)| PathBuf::from(value)))
            .or_else(|| Path::new(FILE_DEFAULT).exists().then(|| PathBuf::from(FILE_DEFAULT)))
    }
}

fn take(config: &mut Config, place: &str, table: &str, key: &str, raw: &Raw) -> Result<(), ConfigError> {
    let Some(field) = fields::find(table, key) else {
        let known = fields::keys(table);
        return Err(refused(place, format!("unknown key {key:?} in [{table}]: expected one of {known}")));
    };
    (field.take)(config, raw)
        .ok_or_else(|| refused(place, format!("{table}.{key}: expected {}", field.expected)))
}

/// `MILEPOST_<TABLE>_<KEY>`; names of no table (`MILEPOST_LOG`) are somebody else's.
fn take_variable(config: &mut Config, name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(rest) = name.strip_prefix("MILEPOST_").map(str::to_ascii_lowercase) else { return Ok(()) };
    let parts = fields::TABLES.into_iter().find_map(|table| {
        rest.strip_prefix(&table.replace('.', "_"))?.strip_prefix('_').map(|key| (table, key))
    });
    match parts {
        Some((table, key)) => take(config, name, table, key, &Raw::Untyped(value.to_owned())),
        None => Ok(()),
    }
}

fn take_file(config: &mut Config, path: &Path, text: &str) -> Result<(), ConfigError> {
    let place = |offset: usize| {
        let before = text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        format!("{}:{line}", path.display())
    };
    let document = DeTable::parse(text).map_err(|error| {
        refused(place(error.span().map_or(0, |span| span.start)), error.message().to_owned())
    })?;
    for (table, content) in document.get_ref() {
        let at = place(table.span().start);
        let name = table.get_ref().as_ref();
        if name == "task" {
            config.tasks = tasks::read(content, path, &place)?;
            continue;
        }
        if name == "inputs" {
            config.inputs = inputs::read(content, path, &place)?;
            continue;
        }
        if name == "quotas" {
            config.quotas = people::quotas(content, &place)?;
            continue;
        }
        if name == "permissions" {
            config.permissions = people::permissions(content, &place)?;
            continue;
        }
        if name == "sign_in" {
            let not_a_table = || refused(at, "sign_in: expected a table, like [sign_in.header]");
            for (table, span, content) in in_order(content.get_ref().as_table().ok_or_else(not_a_table)?) {
                take_table(config, &format!("sign_in.{table}"), span.start, content, &place)?;
            }
            continue;
        }
        take_table(config, name, table.span().start, content, &place)?;
    }
    Ok(())
}

fn take_table(
    config: &mut Config,
    name: &str,
    offset: usize,
    content: &Value<'_>,
    place: &Locate<'_>,
) -> Result<(), ConfigError> {
    let at = place(offset);
    if !fields::TABLES.contains(&name) {
        let known = fields::TABLES.join(", ");
        return Err(refused(
            at,
            format!("unknown table [{name}]: expected one of {known}, inputs, quotas, permissions, [[task]]"),
        ));
    }
    let Some(content) = content.get_ref().as_table() else {
        return Err(refused(at, format!("{name}: expected a table, like [{name}]")));
    };
    for (key, value) in content {
        let at = place(key.span().start);
        take(config, &at, name, key.get_ref(), &raw(value.get_ref()))?;
    }
    Ok(())
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(digits) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Raw::Other, Raw::Whole)
        }
        DeValue::Array(list) => {
            let texts = list.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Raw::Other, Raw::List)
        }
        DeValue::Table(table) => {
            let entry = |(key, _span, value): (&str, _, &Value<'_>)| {
                Some((key.to_owned(), value.get_ref().as_str()?.to_owned()))
            };
            in_order(table).into_iter().map(entry).collect::<Option<_>>().map_or(Raw::Other, Raw::Map)
        }
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => Raw::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Role;

    fn parse(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        take_file(&mut config, Path::new("milepost.toml"), text).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn nothing_is_a_working_configuration() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.database_url(), "sqlite://data/milepost.db");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    }

    #[test]
    fn a_file_is_taken() {
        let config = parse(
            "[server]\nlisten = \"0.0.0.0:80\"\nbase_url = \"https://m.example/\"\nslots = 1_000\n\
             trusted_proxies = [\"10.0.0.1\", \"::1\"]\n[engine]\nlease_seconds = 0x10\n",
        )
        .unwrap();
        assert_eq!(config.server.listen.port(), 80);
        assert_eq!(config.server.base_url.as_deref(), Some("https://m.example"));
        assert_eq!((config.server.slots, config.engine.lease_seconds), (1_000, 16));
        assert_eq!(config.server.trusted_proxies.len(), 2);
    }

    #[test]
    fn mistakes_name_line_and_expectation() {
        for (text, expected) in [
            ("[server]\nlisten = 3000", "milepost.toml:2: server.listen: expected an address and port"),
            (
                "\n[engine]\n\nlease_seconds = \"x\"",
                "milepost.toml:4: engine.lease_seconds: expected a whole",
            ),
            ("[server]\nslots = \"3\"", "milepost.toml:2: server.slots: expected a whole number"),
            ("[engine]\nlease_seconds = 0", "milepost.toml:2: engine.lease_seconds: expected"),
            ("[engine]\nlease_seconds = 30.5", "milepost.toml:2: engine.lease_seconds: expected"),
            (
                "[live]\ntick = 4",
                "milepost.toml:2: unknown key \"tick\" in [live]: expected one of ping_seconds",
            ),
            ("[lvie]\ntick_ms = 4", "milepost.toml:1: unknown table [lvie]: expected one of server"),
            ("listen = 4", "milepost.toml:1: unknown table [listen]"),
            ("server = 4", "milepost.toml:1: server: expected a table"),
            ("[server]\nbase_url = \"https://a/b\"", "milepost.toml:2: server.base_url: expected"),
            ("[server]\nslots = ", "milepost.toml:2: "),
            ("\n[[task]]\nname = \"x\"", "milepost.toml:2: task: expected"),
            (
                "[inputs]\nfolder = 1",
                "milepost.toml:2: unknown key \"folder\" in [inputs]: expected one of folders",
            ),
            ("[inputs]\nfolders = \"a\"", "milepost.toml:2: inputs.folders: expected a list, like"),
            (
                "[inputs]\nfolders = [\n{ name = \"a\" }]",
                "milepost.toml:3: inputs.folders: expected name and path",
            ),
            ("[[inputs.folders]]\nname = \"A\"", "milepost.toml:2: inputs.folders.name: expected 1 to 64"),
            (
                "[[inputs.folders]]\nname = \"a\"\npath = 1",
                "milepost.toml:3: inputs.folders.path: expected the path",
            ),
            ("[[inputs.folders]]\nnames = 1", "milepost.toml:2: unknown key \"names\" in inputs.folders"),
            (
                "[inputs]\nfolders = [{ name = \"a\", path = \"x\" },\n{ name = \"a\", path = \"y\" }]",
                "milepost.toml:3: inputs.folders: \"a\" is named twice",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn folders_are_looked_at_with_their_line() {
        let found = parse(
            "[inputs]\nfolders = [\n  { name = \"here\", path = \"/\" },\n  { name = \"gone\", path = \"no/such\" },\n]",
        );
        let inputs = found.unwrap().inputs;
        assert_eq!(inputs.folders[1].path, Path::new("./no/such"));
        let error = inputs.check().unwrap_err().to_string();
        assert!(
            error.starts_with("milepost.toml:4: inputs.folders: \"gone\" expects a folder at ./no/such"),
            "{error}"
        );
    }

    #[test]
    fn the_later_source_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[server]\nslots = 1\nrole = \"web\"\n[live]\ntick_ms = 50").unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut sources = Sources {
            file: Some(file),
            environment: vec![
                variable("MILEPOST_SERVER_SLOTS", "2"),
                variable("MILEPOST_LIVE_TICK_MS", "60"),
                variable("MILEPOST_LOG", "debug"),
                variable("PATH", "/bin"),
            ],
            flags: vec![("--slots", "server", "slots", "3".to_owned())],
        };
        let config = sources.read().unwrap();
        assert_eq!((config.server.slots, config.server.role, config.live.tick_ms), (3, Role::Web, 60));
        sources.environment = vec![variable("MILEPOST_SERVER_SLOT", "2")];
        assert!(sources.read().unwrap_err().to_string().starts_with("MILEPOST_SERVER_SLOT: unknown key"));
        sources.environment.clear();
        sources.flags = vec![("--slots", "server", "slots", "many".to_owned())];
        assert!(sources.read().unwrap_err().to_string().starts_with("--slots: server.slots: expected"));
    }
}
