//! `milepost task`: what can be run, and a try of it without a server.
//!
//! A try runs the very code that the engine runs, in a folder that is gone afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{CliError, InstallationArgs};
use crate::config::{Config, ConfigError, RunConfig, TaskConfig};
use crate::protocol::{BatchId, InputKind, Json, Seq};
use crate::tasks::command::title_of;
use crate::tasks::{
    Declaration, Invocation, Item, ItemInput, Misdeclared, Prepared, Registry, TaskContext, WorkCell,
    built_in,
};

/// Lines between an item and its process that wait to be printed; more are left out.
const LINES_WAITING_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Lists what can be run: name, input, title.
    #[command(after_help = "Example:\n  milepost task list")]
    List(InstallationArgs),
    /// Runs sample items here and now, without a server, and shows what the page would show.
    #[command(
        after_help = "Example:\n  milepost task check thumbnail --input photo.jpg --param width=640\n  \
                      milepost task check enrich --input '{\"name\":\"Ada\"}'"
    )]
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: InstallationArgs,
    /// Name of the task.
    name: String,
    /// A sample: a file's path, a line, or a record as a JSON object; may be given several times.
    #[arg(long, value_name = "INPUT", required = true, allow_hyphen_values = true)]
    input: Vec<String>,
    /// A parameter.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    param: Vec<String>,
}

/// Every task of the installation: those that come with it, then those that are declared.
///
/// # Errors
/// The first declaration that cannot be used, with its place.
pub(super) fn registry(config: &Config) -> Result<Registry, ConfigError> {
    let mut registry = built_in().on(&config.server.data);
    for task in &config.tasks {
        registry.declare(declaration(task, config.server.slots)).map_err(|wrong| {
            let (place, key, problem) = match wrong {
                Misdeclared::Task(problem) => (&task.place, "name", problem),
                Misdeclared::CommandLine(problem) => (&task.run_place, "command", problem),
                Misdeclared::Params(problem) => (&task.params_place, "params", problem),
            };
            ConfigError::Setting { place: place.clone(), problem: format!("task.{key}: {problem}") }
        })?;
    }
    Ok(registry)
}

fn declaration(task: &TaskConfig, slots: u32) -> Declaration {
    let way = match &task.run {
        RunConfig::Command(argv) => Invocation::OneShot(argv.clone()),
        RunConfig::Worker { argv, processes } => {
            Invocation::Worker { argv: argv.clone(), processes: processes.unwrap_or(slots) }
        }
    };
    Declaration {
        name: task.name.clone(),
        title: task.title.clone().unwrap_or_else(|| title_of(&task.name)),
        description: task.description.clone(),
        input: task.input,
        way,
        timeout_seconds: task.timeout_seconds,
        env: task.env.clone(),
        params: task.params.clone(),
        folder: task.folder.clone(),
    }
}

/// Does what was asked.
pub(super) async fn task(command: TaskCommand) -> Result<(), CliError> {
    match command {
        TaskCommand::List(place) => {
            for task in registry(&place.read()?)?.infos() {
                println!("{}\t{}\t{}", task.name, input_word(task.input), task.title);
            }
            Ok(())
        }
        TaskCommand::Check(check) => try_out(check).await,
    }
}

fn input_word(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "file",
        InputKind::Line => "line",
        InputKind::Record => "record",
    }
}

async fn try_out(check: Check) -> Result<(), CliError> {
    let tasks = registry(&check.place.read()?)?;
    let Some(kind) = tasks.input(&check.name) else {
        let known: Vec<&str> = tasks.infos().map(|info| info.name.as_str()).collect();
        let known = known.join(", ");
        return Err(CliError::Tried(format!("there is no task named {:?}: there are {known}", check.name)));
    };
    let params = params(&check.param, &tasks.info(&check.name).map(|info| info.params.to_value()))?;
    let ready = tasks.prepare(&check.name, &params).expect("it was found a moment ago");
    let (params, prepared) = ready.map_err(|faults| CliError::Tried(faults.join("; ")))?;
    println!("{}: params {params:?}", check.name);
    let folder = tempfile::tempdir()?;
    let mut failed = 0;
    for (seq, input) in (1..).zip(&check.input) {
        println!("\nitem {seq}: {input}");
        let item = Item { batch: BatchId::from_u128(0), seq, attempt: 1, input: sample(kind, input)? };
        failed += u32::from(!run(prepared.as_ref(), item, folder.path()).await);
    }
    tasks.close().await;
    if failed > 0 {
        let samples = check.input.len();
        return Err(CliError::Tried(format!("{failed} of {samples} sample items did not succeed")));
    }
    Ok(())
}

/// Parameters from `NAME=VALUE`: JSON where the value is JSON of a type that the schema names, else text.
fn params(given: &[String], schema: &Option<Value>) -> Result<Json, CliError> {
    let mut params = Map::new();
    for pair in given {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| CliError::Tried(format!("--param {pair}: expected NAME=VALUE")))?;
        let property = schema.as_ref().map_or(&Value::Null, |schema| &schema["properties"][name]);
        let is_text = property["type"] == "string";
        let value = if is_text { None } else { serde_json::from_str(text).ok() };
        params.insert(name.to_owned(), value.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    Ok(Json::from_value(&Value::Object(params)))
}

fn sample(kind: InputKind, input: &str) -> Result<ItemInput, CliError> {
    match kind {
        InputKind::Line => Ok(ItemInput::Value(Json::string(input))),
        InputKind::Record => match Json::parse(input) {
            Ok(json) if input.trim_start().starts_with('{') => Ok(ItemInput::Value(json)),
            Ok(_) | Err(_) => Err(CliError::Tried(format!("--input {input}: expected a JSON object"))),
        },
        InputKind::File => {
            let path = PathBuf::from(input);
            let bytes = std::fs::metadata(&path)
                .map_err(|fault| CliError::Tried(format!("--input {input}: {fault}")))?
                .len();
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let media_type = String::new();
            Ok(ItemInput::File { name, path, bytes, media_type })
        }
    }
}

/// Runs one item and prints what comes of it; true if it succeeded.
async fn run(prepared: &dyn Prepared, item: Item, folder: &Path) -> bool {
    let (cell, token) = (Arc::new(WorkCell::default()), CancellationToken::new());
    let limit = Duration::from_secs(u64::from(prepared.timeout_seconds()));
    let (witness, mut lines) = mpsc::channel::<String>(LINES_WAITING_MAX);
    let out = folder.join(attempt_folder(item.seq));
    let context =
        TaskContext::new(Arc::clone(&cell), token.clone(), out).within(limit).witnessed(witness.clone());
    let printing = tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            println!("  {line}");
        }
    });
    let begun = Instant::now();
    let mut running = prepared.run(item, context);
    let outcome = tokio::select! {
        outcome = &mut running => Some(outcome),
        () = async { cell.time_runs().await; tokio::time::sleep(limit).await } => None,
    };
    if outcome.is_none() {
        token.cancel();
        let _ended = tokio::time::timeout(prepared.stop_grace(), &mut running).await;
    }
    drop(running);
    drop(witness);
    let _printed = printing.await;
    let ms = begun.elapsed().as_millis();
    let succeeded = matches!(outcome, Some(Ok(_)));
    match outcome {
        Some(Ok(result)) => println!("  succeeded after {ms} ms, result: {}", result.as_str()),
        Some(Err(error)) => println!("  failed after {ms} ms ({}): {error}", error.kind),
        None => println!("  timed out after {} s", limit.as_secs()),
    }
    for (name, path) in cell.files() {
        println!("  file: {name} ({} bytes)", std::fs::metadata(path).map_or(0, |file| file.len()));
    }
    if let Some((fraction, note)) = cell.progress() {
        println!("  progress: {:.0} % {}", fraction * 100.0, note.unwrap_or_default());
    }
    for line in cell.log().1.lines() {
        println!("  log: {line}");
    }
    succeeded
}

fn attempt_folder(seq: Seq) -> String {
    format!("{seq}-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.toml");
        std::fs::write(&file, text).unwrap();
        let sources = crate::config::Sources { file: Some(file), ..Default::default() };
        let Err(error) = registry(&sources.read().unwrap()) else { panic!("{text} was taken") };
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
        ] {
            let told = told(&text);
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
