//! `[[task]]`: the operator's own tasks, as the file declares them.
//!
//! As [`super`]; each declaration keeps its place, so that what is only found later (an unknown placeholder) names
//! the line too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, refused};
use super::restrictions::{self, SecretConfig, TaskLimitsConfig};
use super::table::{Locate, Value, in_order, is_variable};
use crate::protocol::{InputKind, Json};

/// Time limit of one attempt where neither task nor batch says anything, in seconds.
const TIMEOUT_SECONDS: u32 = 300;
/// Time limits of tasks are held to a week.
const TIMEOUT_SECONDS_MAX: i64 = 7 * 24 * 3_600;
/// Processes of one task at most.
const PROCESSES_MAX: i64 = 1_024;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// How deep a default or an `enum` may nest.
const DEPTH_MAX: usize = 16;
/// Keys of a declaration, for messages.
const KEYS: &str = "name, title, description, input, command, worker, processes, timeout_seconds, env, secrets, limits, params";
/// Words of JSON Schema that a parameter may use.
const SCHEMA_WORDS: [&str; 26] = [
    "type",
    "title",
    "description",
    "default",
    "examples",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
];
/// Types of a parameter.
const SCHEMA_TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];

/// How a task runs its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunConfig {
    /// `command`: a process for each item.
    Command(Vec<String>),
    /// `worker`: processes that live on.
    Worker {
        /// Program and arguments.
        argv: Vec<String>,
        /// Processes at once, 1 to 1,024. By default as many as the node has slots.
        processes: Option<u32>,
    },
}

/// One `[[task]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfig {
    /// `[a-z0-9-]`, 1 to 64.
    pub name: String,
    /// For people. By default made of the name.
    pub title: Option<String>,
    /// One sentence. Empty.
    pub description: String,
    /// What one item is.
    pub input: InputKind,
    /// How it runs them.
    pub run: RunConfig,
    /// Time limit of one attempt where the batch says nothing, 1 to 604,800. 300.
    pub timeout_seconds: u32,
    /// Variables of the environment that its processes get besides the usual ones. None.
    pub env: Vec<String>,
    /// Secrets that its processes get, by the name of the variable. None.
    pub secrets: BTreeMap<String, SecretConfig>,
    /// What its processes and its items are held to.
    pub limits: TaskLimitsConfig,
    /// JSON Schemas of its parameters, by name.
    pub params: Json,
    /// Folder of the file.
    pub folder: PathBuf,
    /// `FILE:LINE` of the declaration.
    pub place: String,
    /// `FILE:LINE` of its command line.
    pub run_place: String,
    /// `FILE:LINE` of its parameters.
    pub params_place: String,
}

/// Reads all declarations of the file at `path`.
pub(super) fn read(
    content: &Value<'_>,
    path: &Path,
    place: &Locate<'_>,
) -> Result<Vec<TaskConfig>, ConfigError> {
    let not_a_list = || refused(place(content.span().start), "task: expected tables, like [[task]]");
    let list = content.get_ref().as_array().ok_or_else(not_a_list)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut tasks: Vec<TaskConfig> = Vec::new();
    for entry in list {
        let table = entry.get_ref().as_table().ok_or_else(not_a_list)?;
        let task = declaration(table, place(entry.span().start), parent, place)?;
        if let Some(other) = tasks.iter().find(|other| other.name == task.name) {
            let problem = format!("task.name: {:?} is declared at {} already", task.name, other.place);
            return Err(refused(task.place, problem));
        }
        tasks.push(task);
    }
    Ok(tasks)
}

/// What has been read of a declaration so far.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    title: Option<String>,
    description: String,
    input: Option<InputKind>,
    command: Option<Vec<String>>,
    worker: Option<Vec<String>>,
    processes: Option<(u32, String)>,
    timeout_seconds: Option<u32>,
    env: Vec<String>,
    secrets: BTreeMap<String, SecretConfig>,
    limits: TaskLimitsConfig,
    params: Option<Json>,
    run_place: Option<String>,
    params_place: Option<String>,
}

fn declaration(
    table: &DeTable<'_>,
    at: String,
    folder: &Path,
    place: &Locate<'_>,
) -> Result<TaskConfig, ConfigError> {
    let mut draft = Draft::default();
    for (key, span, value) in in_order(table) {
        let at = place(span.start);
        let expected = |what: &str| refused(at.clone(), format!("task.{key}: expected {what}"));
        let content = value.get_ref();
        match key {
            "name" => {
                let what = "a name of 1 to 64 characters of a-z, 0-9 and -";
                draft.name = Some(text(content, is_name).ok_or_else(|| expected(what))?);
            }
            "title" => draft.title = Some(text(content, is_said).ok_or_else(|| expected("a text"))?),
            "description" => draft.description = text(content, |_| true).ok_or_else(|| expected("a text"))?,
            "input" => {
                let kind = content.as_str().and_then(input);
                draft.input = Some(kind.ok_or_else(|| expected("\"file\", \"line\" or \"record\""))?);
            }
            "command" | "worker" => {
                let what = "a list of a program and its arguments, like [\"convert\", \"{file}\"]";
                let argv = texts(content).filter(|argv| argv.first().is_some_and(|program| is_said(program)));
                let argv = Some(argv.ok_or_else(|| expected(what))?);
                draft.run_place = Some(at);
                if key == "command" { draft.command = argv } else { draft.worker = argv }
            }
            "processes" => {
                let processes = whole(content, PROCESSES_MAX);
                let what = "a whole number from 1 to 1024";
                draft.processes = Some((processes.ok_or_else(|| expected(what))?, at));
            }
            "timeout_seconds" => {
                let seconds = whole(content, TIMEOUT_SECONDS_MAX);
                let what = "a whole number of seconds from 1 to 604800";
                draft.timeout_seconds = Some(seconds.ok_or_else(|| expected(what))?);
            }
            "env" => {
                let names = texts(content).filter(|names| names.iter().all(|name| is_variable(name)));
                let what = "a list of names of variables, like [\"API_KEY\"]";
                draft.env = names.ok_or_else(|| expected(what))?;
            }
            "secrets" => {
                let what = "a table, like { API_KEY = { env = \"MY_KEY\" } }";
                let table = content.as_table().ok_or_else(|| expected(what))?;
                draft.secrets = restrictions::secrets(table, folder, place)?;
            }
            "limits" => {
                let table = content.as_table().ok_or_else(|| expected("a table, like [task.limits]"))?;
                draft.limits = restrictions::limits(table, place)?;
            }
            "params" => {
                let table = content.as_table().ok_or_else(|| expected("tables, like [task.params.width]"))?;
                draft.params = Some(params(table, place)?);
                draft.params_place = Some(at);
            }
            _ => return Err(refused(at, format!("unknown key {key:?} in [[task]]: expected one of {KEYS}"))),
        }
    }
    finished(draft, at, folder)
}

fn finished(draft: Draft, at: String, folder: &Path) -> Result<TaskConfig, ConfigError> {
    let missing = |what: &str| refused(at.clone(), format!("task: expected {what}"));
    let run = match (draft.command, draft.worker, draft.processes) {
        (Some(argv), None, None) => RunConfig::Command(argv),
        (None, Some(argv), processes) => {
            RunConfig::Worker { argv, processes: processes.map(|(processes, _)| processes) }
        }
        (Some(_), None, Some((_, place))) => {
            return Err(refused(place, "task.processes: expected beside worker, not beside command"));
        }
        (Some(_), Some(_), _) => return Err(missing("either command or worker, not both")),
        (None, None, _) => return Err(missing("command or worker")),
    };
    if let Some(name) = draft.env.iter().find(|name| draft.secrets.contains_key(*name)) {
        return Err(missing(&format!("the variable {name} in env or in secrets, not in both")));
    }
    let run_place = draft.run_place.unwrap_or_else(|| at.clone());
    Ok(TaskConfig {
        name: draft.name.ok_or_else(|| missing("a name"))?,
        title: draft.title,
        description: draft.description,
        input: draft.input.ok_or_else(|| missing("input = \"file\", \"line\" or \"record\""))?,
        run,
        timeout_seconds: draft.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
        env: draft.env,
        secrets: draft.secrets,
        limits: draft.limits,
        params: draft.params.unwrap_or_else(|| Json::from_value(&serde_json::json!({}))),
        folder: folder.to_owned(),
        run_place,
        params_place: draft.params_place.unwrap_or_else(|| at.clone()),
        place: at,
    })
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_said(text: &str) -> bool {
    !text.trim().is_empty()
}

/// Shaped like a word, so that `{name}` can stand for it.
fn is_param(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn text(value: &DeValue<'_>, is_fit: impl Fn(&str) -> bool) -> Option<String> {
    value.as_str().filter(|text| is_fit(text)).map(str::to_owned)
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

fn whole(value: &DeValue<'_>, most: i64) -> Option<u32> {
    let DeValue::Integer(digits) = value else { return None };
    let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
    (1..=most).contains(&number).then(|| u32::try_from(number).ok()).flatten()
}

fn input(word: &str) -> Option<InputKind> {
    match word {
        "file" => Some(InputKind::File),
        "line" => Some(InputKind::Line),
        "record" => Some(InputKind::Record),
        _ => None,
    }
}

fn params(table: &DeTable<'_>, place: &Locate<'_>) -> Result<Json, ConfigError> {
    let mut params = serde_json::Map::new();
    for (name, span, value) in in_order(table) {
        let at = place(span.start);
        if !is_param(name) {
            let problem = format!("task.params: expected a name of letters, digits, _ and -, not {name:?}");
            return Err(refused(at, problem));
        }
        let Some(property) = value.get_ref().as_table() else {
            let problem = format!("task.params.{name}: expected a table, like [task.params.{name}]");
            return Err(refused(at, problem));
        };
        for (word, span, value) in in_order(property) {
            let at = place(span.start);
            if !SCHEMA_WORDS.contains(&word) {
                let known = SCHEMA_WORDS.join(", ");
                let problem = format!("unknown key {word:?} in task.params.{name}: expected one of {known}");
                return Err(refused(at, problem));
            }
            let of_words = value.get_ref().as_str().is_some_and(|text| SCHEMA_TYPES.contains(&text));
            if word == "type" && !of_words {
                let known = SCHEMA_TYPES.join(", ");
                return Err(refused(at, format!("task.params.{name}.type: expected one of {known}")));
            }
        }
        let Some(schema) = json(value.get_ref(), 0) else {
            let problem = format!("task.params.{name}: expected values that JSON has, no dates");
            return Err(refused(at, problem));
        };
        if schema["type"].is_null() {
            return Err(refused(at, format!("task.params.{name}: expected a type, like type = \"string\"")));
        }
        params.insert(name.to_owned(), schema);
    }
    Ok(Json::from_value(&serde_json::Value::Object(params)))
}

/// The value as JSON; none for what JSON does not have.
fn json(value: &DeValue<'_>, depth: usize) -> Option<serde_json::Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(is) => (*is).into(),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok()?.into(),
        DeValue::Float(digits) => serde_json::Number::from_f64(digits.as_str().parse().ok()?)?.into(),
        DeValue::Array(list) => {
            list.iter().map(|item| json(item.get_ref(), depth + 1)).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => in_order(table)
            .into_iter()
            .map(|(key, _, value)| Some((key.to_owned(), json(value.get_ref(), depth + 1)?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
        DeValue::Datetime(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn parse(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("milepost.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        sources.read().map_err(|error| {
            let error = error.to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        })
    }

    const TWO: &str = "[[task]]\nname = \"thumbnail\"\ntitle = \"Make thumbnails\"\ninput = \"file\"\n\
         command = [\"convert\", \"{file}\", \"-resize\", \"{width}x\", \"{out}/{stem}.webp\"]\n\
         timeout_seconds = 60\n[task.params.width]\ntype = \"integer\"\nminimum = 16\nmaximum = 4096\n\
         default = 320\n[task.params.a]\ntype = \"number\"\ndefault = 0.5\n\n[[task]]\nname = \"enrich\"\n\
         input = \"record\"\nworker = [\"python3\", \"enrich.py\"]\nprocesses = 4\nenv = [\"API_KEY\"]\n";

    #[test]
    fn declarations_are_taken_in_their_order() {
        let tasks = parse(TWO).unwrap().tasks;
        assert_eq!(tasks.len(), 2);
        assert_eq!(
            tasks[0].params.as_str(),
            r#"{"width":{"type":"integer","minimum":16,"maximum":4096,"default":320},"a":{"type":"number","default":0.5}}"#
        );
        assert_eq!((tasks[0].timeout_seconds, tasks[1].timeout_seconds), (60, 300));
        let RunConfig::Worker { argv, processes } = &tasks[1].run else { panic!("a worker") };
        assert_eq!((argv.len(), *processes), (2, Some(4)));
        assert_eq!((tasks[1].env.as_slice(), tasks[1].title.as_deref()), (&["API_KEY".to_owned()][..], None));
        assert!(tasks[1].place.ends_with("milepost.toml:16"), "{}", tasks[1].place);
    }

    #[test]
    fn mistakes_name_line_and_expectation() {
        let head = "[[task]]\nname = \"x\"\ninput = \"line\"\ncommand = [\"true\"]\n";
        for (tail, told) in [
            ("processes = 2", "milepost.toml:5: task.processes: expected beside worker"),
            ("worker = [\"x\"]", "milepost.toml:1: task: expected either command or worker, not both"),
            (
                "timeout = 2",
                "milepost.toml:5: unknown key \"timeout\" in [[task]]: expected one of name, title",
            ),
            ("timeout_seconds = 0", "milepost.toml:5: task.timeout_seconds: expected a whole number"),
            ("timeout_seconds = \"9\"", "milepost.toml:5: task.timeout_seconds: expected a whole number"),
            ("env = [\"MILEPOST_TOKEN\"]", "milepost.toml:5: task.env: expected a list of names"),
            ("title = \" \"", "milepost.toml:5: task.title: expected a text"),
            ("params = 4", "milepost.toml:5: task.params: expected tables"),
            ("[task.params.a]\nminimun = 3", "milepost.toml:6: unknown key \"minimun\" in task.params.a"),
            ("[task.params.a]\nminimum = 3", "milepost.toml:5: task.params.a: expected a type"),
            (
                "[task.params.a]\ntype = \"int\"",
                "milepost.toml:6: task.params.a.type: expected one of string",
            ),
            ("[task.params.\"a b\"]\ntype = \"string\"", "milepost.toml:5: task.params: expected a name"),
            (
                "[task.params.a]\ntype = \"string\"\ndefault = 2020-01-01",
                "milepost.toml:5: task.params.a: expected",
            ),
            (
                "[[task]]\nname = \"x\"\ninput = \"line\"\ncommand = [\"true\"]",
                "milepost.toml:5: task.name: \"x\" is",
            ),
        ] {
            let error = parse(&format!("{head}{tail}")).unwrap_err();
            assert!(error.starts_with(told), "{tail:?} gave {error:?}");
        }
        for (text, told) in [
            ("[[task]]\nname = \"A\"", "milepost.toml:2: task.name: expected a name of 1 to 64 characters"),
            ("[[task]]\nname = \"a\"\ncommand = [\"x\"]", "milepost.toml:1: task: expected input"),
            ("[[task]]\nname = \"a\"\ninput = \"line\"", "milepost.toml:1: task: expected command or worker"),
            ("[[task]]\ninput = \"lines\"", "milepost.toml:2: task.input: expected \"file\", \"line\""),
            ("[[task]]\ncommand = \"ls -l\"", "milepost.toml:2: task.command: expected a list of a program"),
            ("[[task]]\nworker = []", "milepost.toml:2: task.worker: expected a list of a program"),
            ("[task]\nname = \"a\"", "milepost.toml:1: task: expected tables, like [[task]]"),
            ("task = 3", "milepost.toml:1: task: expected tables, like [[task]]"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(told), "{text:?} gave {error:?}");
        }
    }
}
