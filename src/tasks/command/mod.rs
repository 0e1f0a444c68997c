//! Tasks that are the operator's own processes.
//!
//! ```text
//! argv       command lines with placeholders           one_shot, worker, pool   a process for each item, or one that lives on
//! lines, interpret, members, message   what a line of a process says, bounded
//! process    groups and signals   folders, files   left_behind   what a killed server left running
//! ```
//!
//! What an item's process does (dies, hangs, floods, leaves children) costs that item an attempt and nothing else.

mod argv;
mod files;
mod folders;
mod left_behind;
mod interpret;
mod lines;
mod members;
mod one_shot;
mod pool;
mod process;
mod message;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub(super) use self::left_behind::Origin;
pub(super) use self::pool::Pool;

use self::argv::Argv;
use super::context::TaskContext;
use super::erased::{Erased, Ready, as_written, checked};
use super::task::{Item, Prepared, Run};
use crate::protocol::{InputKind, Json, TaskInfo, limits};

/// How the folders of processes that live on are named, in the folder of running attempts.
pub const WORKER_FOLDER: &str = "worker-";
/// Bytes of a line that may hold a result: a result of the largest size, and what stands around it.
const RESULT_LINE_BYTES_MAX: usize = limits::ITEM_BYTES_MAX + 64 * 1024;
/// Bytes of a line of log; of a longer one the start is kept.
const LOG_LINE_BYTES_MAX: usize = 8 * 1024;
/// What a run that is stopped needs at most, so that nothing of it is dropped half-way.
const STOP_GRACE: Duration =
    Duration::from_millis(200).saturating_add(process::TERM_GRACE).saturating_add(process::KILL_GRACE);

/// Parameters of a batch by name, each as it was written.
type Params = BTreeMap<String, Json>;
/// Variables of a process.
type Environment = BTreeMap<OsString, OsString>;

/// How items are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// A process for each item.
    OneShot(Vec<String>),
    /// Processes that live on, each with one item at a time.
    Worker {
        /// Program and arguments, without placeholders.
        argv: Vec<String>,
        /// Processes at once.
        processes: u32,
    },
}

/// A task as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// For programs.
    pub name: String,
    /// For people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// What one item is.
    pub input: InputKind,
    /// How items are run.
    pub way: Invocation,
    /// Time limit of one attempt where the batch says nothing.
    pub timeout_seconds: u32,
    /// Variables that are handed on besides those that always are.
    pub env: Vec<String>,
    /// JSON Schemas of the parameters, by name.
    pub params: Json,
    /// Folder of the declaration: arguments that name a file there become its full path.
    pub folder: PathBuf,
}

/// What is wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misdeclared {
    /// The task as a whole.
    Task(String),
    /// Its command line.
    CommandLine(String),
    /// Its parameters.
    Params(String),
}

/// A declared task, ready to be prepared for batches.
pub(super) struct DeclaredTask {
    info: TaskInfo,
    schema: Value,
    validator: jsonschema::Validator,
    kind: Kind,
    timeout_seconds: u32,
}

#[derive(Clone)]
enum Kind {
    OneShot { argv: Arc<Argv>, environment: Arc<Environment> },
    Worker(Arc<Pool>),
}

impl DeclaredTask {
    /// Reads a declaration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(declaration: Declaration, origin: &Origin) -> Result<Self, Misdeclared> {
        let Declaration { name, title, description, input, way, timeout_seconds, env, params, folder } =
            declaration;
        let schema = schema_of(&title, &params);
        let validator = jsonschema::validator_for(&schema)
            .map_err(|fault| Misdeclared::Params(format!("no valid JSON Schema: {fault}")))?;
        let names: Vec<String> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        check_defaults(&schema)?;
        let environment = process::environment(&env, origin);
        let kind = match way {
            Invocation::OneShot(words) => {
                if let Some(taken) = names.iter().find(|name| argv::is_taken(name)) {
                    let problem = format!("{taken:?} is a placeholder already: choose another name");
                    return Err(Misdeclared::Params(problem));
                }
                let argv = Argv::read(&words, input, &names).map_err(Misdeclared::CommandLine)?;
                if argv.scripts_a_value() {
                    tracing::warn!(
                        task = name,
                        "a value stands inside a shell's script, where it can do anything: hand it over as an \
                         argument, like [\"sh\", \"-c\", \"echo \\\"$1\\\"\", \"sh\", \"{{line}}\"]"
                    );
                }
                Kind::OneShot { argv: Arc::new(argv.beside(&folder)), environment: Arc::new(environment) }
            }
            Invocation::Worker { argv, processes } => {
                let argv = Argv::literal(&argv).beside(&folder).words();
                Kind::Worker(Arc::new(Pool::new(name.clone(), argv, environment, processes)))
            }
        };
        let info = TaskInfo { name, title, description, input, params: Json::from_value(&schema) };
        Ok(Self { info, schema, validator, kind, timeout_seconds })
    }

    /// Its processes, where they live on.
    pub fn pool(&self) -> Option<Arc<Pool>> {
        match &self.kind {
            Kind::OneShot { .. } => None,
            Kind::Worker(pool) => Some(Arc::clone(pool)),
        }
    }
}

/// The schema of all parameters together. One without a default has to be given.
fn schema_of(title: &str, params: &Json) -> Value {
    let mut properties = params.to_value();
    let mut required = Vec::new();
    for (name, property) in properties.as_object_mut().into_iter().flatten() {
        if property.get("default").is_none() {
            required.push(name.clone());
        }
        if let Some(property) = property.as_object_mut() {
            property.entry("title").or_insert_with(|| Value::String(title_of(name)));
        }
    }
    json!({
        "title": title, "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    })
}

/// `max-width` → `Max width`.
#[must_use]
pub fn title_of(name: &str) -> String {
    let spaced = name.replace(['-', '_'], " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn check_defaults(schema: &Value) -> Result<(), Misdeclared> {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(default) = property.get("default") else { continue };
        let validator = jsonschema::validator_for(property)
            .map_err(|fault| Misdeclared::Params(format!("{name}: no valid JSON Schema: {fault}")))?;
        if let Err(fault) = validator.validate(default) {
            return Err(Misdeclared::Params(format!("{name}: the default does not fit: {fault}")));
        }
    }
    Ok(())
}

impl Erased for DeclaredTask {
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn prepare(&self, params: &Json) -> Ready {
        let value = checked(params, &self.schema, &self.validator)?;
        let json = as_written(params, &value);
        let ready = Bound {
            kind: self.kind.clone(),
            params: Arc::new(json.members().into_iter().flatten().collect()),
            text: Arc::new(json.clone()),
            timeout_seconds: self.timeout_seconds,
        };
        Ok((json, Arc::new(ready)))
    }
}

/// A declared task with the parameters of a batch.
struct Bound {
    kind: Kind,
    params: Arc<Params>,
    text: Arc<Json>,
    timeout_seconds: u32,
}

impl Prepared for Bound {
    fn run(&self, item: Item, context: TaskContext) -> Run {
        match &self.kind {
            Kind::OneShot { argv, environment } => Box::pin(one_shot::run(
                Arc::clone(argv),
                Arc::clone(environment),
                Arc::clone(&self.params),
                item,
                context,
            )),
            Kind::Worker(pool) => {
                let (pool, params) = (Arc::clone(pool), Arc::clone(&self.text));
                Box::pin(async move { pool.run(&params, &item, &context).await })
            }
        }
    }

    fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }
}
