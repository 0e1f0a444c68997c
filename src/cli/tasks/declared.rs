//! From the tasks that the file declares to tasks that run: at the start, and again on a hangup.
//!
//! Secrets are read here, and nowhere else.

use std::collections::BTreeMap;

use crate::config::{Config, ConfigError, RunConfig, SecretConfig, Sources, TaskConfig, TaskLimitsConfig};
use crate::protocol::Role;
use crate::server::Reread;
use crate::tasks::command::title_of;
use crate::tasks::{
    Declaration, Invocation, Misdeclared, OutputLimits, ProcessLimits, Registry, Secret, built_in,
};

/// Bytes of a secret at most: what the environment of a process surely takes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The processes of which tasks are to be started, which needs their secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Secrets<'a> {
    Needed,
    OfTask(&'a str),
    LeftOut,
}

impl Secrets<'_> {
    /// Of a node of this role: one that only serves starts no processes.
    pub fn of(role: Role) -> Self {
        match role {
            Role::All | Role::Worker => Self::Needed,
            Role::Web => Self::LeftOut,
        }
    }
}

/// Every task of the installation: those that come with it, then those that are declared.
///
/// # Errors
/// The first declaration that cannot be used, with its place.
pub(in crate::cli) fn registry(config: &Config, secrets: Secrets<'_>) -> Result<Registry, ConfigError> {
    let mut registry = built_in().on(&config.server.data);
    for task in &config.tasks {
        let declaration = declaration(task, Settings::of(config), secrets)?;
        registry.declare(declaration).map_err(|wrong| in_place(task, wrong))?;
    }
    Ok(registry)
}

/// Reads the file of `sources` anew and declares its tasks, of which one without `processes` has as many as `config`
/// gives the node slots. Of all else in the file it is only seen whether it is right.
pub(in crate::cli) fn reread(sources: Sources, config: &Config) -> Reread {
    let (settings, secrets) = (Settings::of(config), Secrets::of(config.server.role));
    Box::new(move |registry| {
        let tasks = sources.read()?.tasks;
        let declarations = tasks.iter().map(|task| declaration(task, settings, secrets));
        let declarations = declarations.collect::<Result<Vec<_>, _>>()?;
        registry.redeclare(declarations).map_err(|(at, wrong)| in_place(&tasks[at], wrong))
    })
}

fn in_place(task: &TaskConfig, wrong: Misdeclared) -> ConfigError {
    let (place, key, problem) = match wrong {
        Misdeclared::Task(problem) => (&task.place, "name", problem),
        Misdeclared::CommandLine(problem) => (&task.run_place, "command", problem),
        Misdeclared::Params(problem) => (&task.params_place, "params", problem),
    };
    ConfigError::Setting { place: place.clone(), problem: format!("task.{key}: {problem}") }
}

/// What of the other settings holds where a task says nothing.
#[derive(Clone, Copy)]
struct Settings {
    slots: u32,
    files_bytes_max: u64,
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self { slots: config.server.slots, files_bytes_max: config.limits.files_bytes_per_item_max }
    }
}

fn declaration(
    task: &TaskConfig,
    settings: Settings,
    secrets: Secrets<'_>,
) -> Result<Declaration, ConfigError> {
    let way = match &task.run {
        RunConfig::Command(argv) => Invocation::OneShot(argv.clone()),
        RunConfig::Worker { argv, processes } => {
            Invocation::Worker { argv: argv.clone(), processes: processes.unwrap_or(settings.slots) }
        }
    };
    let secrets = match secrets {
        Secrets::Needed => read_secrets(task)?,
        Secrets::OfTask(name) if name == task.name => read_secrets(task)?,
        Secrets::OfTask(_) | Secrets::LeftOut => BTreeMap::new(),
    };
    let (process_limits, output_limits) = limits(&task.limits, settings);
    Ok(Declaration {
        name: task.name.clone(),
        title: task.title.clone().unwrap_or_else(|| title_of(&task.name)),
        description: task.description.clone(),
        input: task.input,
        way,
        timeout_seconds: task.timeout_seconds,
        env: task.env.clone(),
        secrets,
        process_limits,
        output_limits,
        params: task.params.clone(),
        folder: task.folder.clone(),
    })
}

fn limits(given: &TaskLimitsConfig, settings: Settings) -> (ProcessLimits, OutputLimits) {
    let process = ProcessLimits {
        memory_bytes_max: given.memory_bytes_max,
        file_bytes_max: given.file_bytes_max,
        processes_max: given.processes_max,
    };
    let usual = OutputLimits::default();
    let output = OutputLimits {
        result_bytes_max: given.result_bytes_max.unwrap_or(usual.result_bytes_max),
        lines_max: given.lines_max.unwrap_or(usual.lines_max),
        output_bytes_max: given.output_bytes_max.unwrap_or(usual.output_bytes_max),
        files_max: given.files_max.unwrap_or(usual.files_max),
        files_bytes_max: given.files_bytes_max.unwrap_or(settings.files_bytes_max),
    };
    (process, output)
}

/// What the secrets of a task are.
///
/// # Errors
/// The first that is not there or cannot be handed over, by its name and where it should be: never what it is.
fn read_secrets(task: &TaskConfig) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let read = |(name, source): (&String, &SecretConfig)| {
        let refused = |problem: String| ConfigError::Setting {
            place: task.place.clone(),
            problem: format!("task.secrets.{name}: {problem}"),
        };
        let (text, place) = match source {
            SecretConfig::Env(variable) => {
                let place = format!("the variable {variable}");
                match std::env::var_os(variable).map(std::ffi::OsString::into_string) {
                    Some(Ok(text)) => (text, place),
                    Some(Err(_)) => return Err(refused(format!("{place} is not UTF-8 text"))),
                    None => return Err(refused(format!("{place} is not set"))),
                }
            }
            SecretConfig::File(path) => {
                let place = format!("the file {}", path.display());
                let mut text = std::fs::read_to_string(path)
                    .map_err(|fault| refused(format!("{place} cannot be read: {fault}")))?;
                let end = text.strip_suffix('\n').map(|rest| rest.strip_suffix('\r').unwrap_or(rest).len());
                text.truncate(end.unwrap_or(text.len()));
                (text, place)
            }
        };
        match text.len() {
            0 => Err(refused(format!("{place} is empty"))),
            bytes if bytes > SECRET_BYTES_MAX => {
                Err(refused(format!("{place} has {bytes} bytes: at most {SECRET_BYTES_MAX} are expected")))
            }
            _ if text.contains('\0') => Err(refused(format!("{place} holds the character NUL"))),
            _ => Ok((name.clone(), Secret(text))),
        }
    };
    task.secrets.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), ..Default::default() };
        let Err(error) = registry(&sources.read().unwrap(), Secrets::Needed) else {
            panic!("{text} was taken")
        };
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn what_the_file_alone_cannot_tell_names_its_line_too() {
        let task = |name: &str, rest: &str| {
            format!(
                "[[task]]\nname = \"{name}\"\ninput = \"line\"\ncommand = [\"x\", \"{{line}}\", \"{{a}}\"]\n{rest}"
            )
        };
        for (text, expected) in [
            (task("checksum", ""), "m.toml:1: task.name: there is a task named \"checksum\" already"),
            (task("x", ""), "m.toml:4: task.command: unknown placeholder {a}: expected one of {line} {seq}"),
            (
                task("x", "[task.params.out]\ntype = \"string\""),
                "m.toml:5: task.params: \"out\" is a placeholder",
            ),
            (
                task("x", "[task.params.a]\ntype = \"integer\"\nmaximum = 3\ndefault = 4"),
                "m.toml:5: task.params: a: the default does not fit: 4 is greater than",
            ),
            (
                task("x", "[task.params.a]\ntype = \"integer\"\nmaximum = \"b\""),
                "m.toml:5: task.params: no valid",
            ),
            (
                task("x", "secrets = { KEY = { env = \"NO_SUCH_VARIABLE\" } }"),
                "m.toml:1: task.secrets.KEY: the variable NO_SUCH_VARIABLE is not set",
            ),
            (
                task("x", "secrets = { KEY = { file = \"no-such-file\" } }"),
                "m.toml:1: task.secrets.KEY: the file no-such-file cannot be read",
            ),
        ] {
            let told = told(&text);
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
