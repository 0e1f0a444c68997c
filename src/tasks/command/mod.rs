//! Tasks that are the operator's own processes.
//!
//! ```text
//! argv       command lines with placeholders           one_shot, worker, pool   a process for each item, or one that lives on
//! launch     environment, secrets and limits           process   groups and signals
//! output/    what a line of a process says, bounded    folders, files   what an item may leave
//! left_behind   what a killed server left running, and what has left the group of its process
//! ```
//!
//! What an item's process does (dies, hangs, floods, leaves children) costs that item an attempt and nothing else.

mod argv;
mod files;
mod folders;
mod launch;
mod left_behind;
mod one_shot;
mod output;
mod pool;
mod process;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::launch::{ProcessLimits, become_limited};
pub use self::output::OutputLimits;
pub(super) use self::pool::Pool;

use self::argv::Argv;
use self::folders::Shelf;
use self::launch::Launch;
use self::left_behind::Origin;
use self::one_shot::OneShot;
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

/// What all declared tasks of a node share.
#[derive(Clone)]
pub(super) struct Host {
    /// Where their processes come from.
    pub origin: Arc<Origin>,
    shelf: Arc<Shelf>,
}

impl Host {
    /// Of a server that works on the data folder `data`.
    pub fn new(data: &Path) -> Self {
        Self { origin: Arc::new(Origin::new(data)), shelf: Arc::default() }
    }
}

/// A text that is handed to processes and shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

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
    /// Secrets that are handed on, by the name of the variable.
    pub secrets: BTreeMap<String, Secret>,
    /// What the system holds its processes to.
    pub process_limits: ProcessLimits,
    /// How much one item may say.
    pub output_limits: OutputLimits,
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
    info: Arc<TaskInfo>,
    schema: Value,
    validator: jsonschema::Validator,
    kind: Kind,
    timeout_seconds: u32,
    /// As it was declared: one that is declared alike is the same task.
    declaration: Declaration,
    /// False once it is declared otherwise, or no more.
    is_current: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Kind {
    OneShot(Arc<OneShot>),
    Worker(Arc<Pool>),
}

impl DeclaredTask {
    /// Reads a declaration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(declaration: Declaration, host: &Host) -> Result<Self, Misdeclared> {
        let Declaration { name, title, description, input, way, timeout_seconds, params, folder, .. } =
            declaration.clone();
        let schema = schema_of(&title, &params);
        let validator = jsonschema::validator_for(&schema)
            .map_err(|fault| Misdeclared::Params(format!("no valid JSON Schema: {fault}")))?;
        let names: Vec<String> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        check_defaults(&schema)?;
        let launch = Launch::new(&declaration, &host.origin);
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
                let shelf = Arc::clone(&host.shelf);
                Kind::OneShot(Arc::new(OneShot { argv: argv.beside(&folder), launch, shelf }))
            }
            Invocation::Worker { argv, processes } => {
                let argv = Argv::literal(&argv).beside(&folder).words();
                Kind::Worker(Arc::new(Pool::new(name.clone(), argv, launch, processes)))
            }
        };
        let info = Arc::new(TaskInfo { name, title, description, input, params: Json::from_value(&schema) });
        let is_current = Arc::new(AtomicBool::new(true));
        Ok(Self { info, schema, validator, kind, timeout_seconds, declaration, is_current })
    }

    /// It is declared otherwise from now on, or no more.
    pub fn retire(&self) {
        self.is_current.store(false, Ordering::Release);
    }

    /// True where `other` declares the very same task.
    pub fn is_declared_by(&self, other: &Declaration) -> bool {
        self.declaration == *other
    }

    /// Its processes, where they live on.
    pub fn pool(&self) -> Option<Arc<Pool>> {
        match &self.kind {
            Kind::OneShot(_) => None,
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

/// Refuses texts that no argument can hold.
fn refuse_nul(params: &Value) -> Result<(), Vec<String>> {
    let members = params.as_object().into_iter().flatten();
    let faults: Vec<String> = members
        .filter(|(_, value)| value.as_str().is_some_and(|text| text.contains('\0')))
        .map(|(name, _)| format!("{name}: holds the character NUL, which no argument of a program may hold"))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

impl Erased for DeclaredTask {
    fn info(&self) -> &Arc<TaskInfo> {
        &self.info
    }

    fn prepare(&self, params: &Json) -> Ready {
        let value = checked(params, &self.schema, &self.validator)?;
        if let Kind::OneShot(_) = &self.kind {
            refuse_nul(&value)?;
        }
        let json = as_written(params, &value);
        let ready = Bound {
            kind: self.kind.clone(),
            params: Arc::new(json.members().into_iter().flatten().collect()),
            text: Arc::new(json.clone()),
            timeout_seconds: self.timeout_seconds,
            is_current: Arc::clone(&self.is_current),
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
    is_current: Arc<AtomicBool>,
}

impl Prepared for Bound {
    fn run(&self, item: Item, context: TaskContext) -> Run {
        match &self.kind {
            Kind::OneShot(task) => Box::pin(Arc::clone(task).run(Arc::clone(&self.params), item, context)),
            Kind::Worker(pool) => {
                let (pool, params) = (Arc::clone(pool), Arc::clone(&self.text));
                Box::pin(async move { pool.run(&params, &item, &context).await })
            }
        }
    }

    fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Acquire)
    }

    fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }
}
