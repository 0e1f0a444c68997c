//! Name → task, built once at start.
//!
//! Owns the list of what can be run. Called by service (lists, checks) and engine (prepares a batch). Invariant:
//! names are unique and every schema is valid. Deliberately runs nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::command::{Declaration, Declared, Misdeclared, Origin, Pool};
use super::context::TaskContext;
use super::task::{Item, Prepared, Run, Task};
use crate::protocol::{InputKind, Json, TaskInfo};

/// Parameters with defaults filled in and the task made ready with them; or one sentence per parameter at fault.
pub type Ready = Result<(Json, Arc<dyn Prepared>), Vec<String>>;

/// All tasks of this installation.
#[derive(Default)]
pub struct Registry {
    tasks: Vec<Arc<dyn Erased>>,
    by_name: BTreeMap<String, usize>,
    /// Where the processes of declared tasks come from; none where there can be no such task.
    origin: Option<Origin>,
    pools: Vec<Arc<Pool>>,
}

/// A task without its parameters' type.
pub(super) trait Erased: Send + Sync {
    fn info(&self) -> &TaskInfo;
    fn prepare(&self, params: &Json) -> Ready;
}

struct Typed<T: Task> {
    task: Arc<T>,
    info: TaskInfo,
    schema: Value,
    validator: jsonschema::Validator,
}

struct Bound<T: Task> {
    task: Arc<T>,
    params: Arc<T::Params>,
}

impl<T: Task> Prepared for Bound<T> {
    fn run(&self, item: Item, context: TaskContext) -> Run {
        let (task, params) = (Arc::clone(&self.task), Arc::clone(&self.params));
        Box::pin(async move { task.run(params, item, context).await })
    }

    fn timeout_seconds(&self) -> u32 {
        T::TIMEOUT_SECONDS
    }
}

impl<T: Task> Erased for Typed<T> {
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn prepare(&self, params: &Json) -> Ready {
        let value = checked(params, &self.schema, &self.validator)?;
        let typed: T::Params =
            serde_json::from_value(value.clone()).map_err(|fault| vec![fault.to_string()])?;
        T::check(&typed).map_err(|fault| vec![fault])?;
        let ready = Bound { task: Arc::clone(&self.task), params: Arc::new(typed) };
        Ok((as_written(params, &value), Arc::new(ready)))
    }
}

/// The parameters with defaults filled in, where they fit the schema; else one sentence per parameter at fault.
pub(super) fn checked(
    params: &Json,
    schema: &Value,
    validator: &jsonschema::Validator,
) -> Result<Value, Vec<String>> {
    // A value that cannot be read must not pass for one that was not given.
    let mut value: Value = serde_json::from_str(params.as_str()).map_err(|fault| vec![fault.to_string()])?;
    if value.is_null() {
        value = Value::Object(serde_json::Map::new());
    }
    fill_defaults(&mut value, schema);
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .map(|fault| match fault.instance_path().to_string() {
            place if place.is_empty() => fault.to_string(),
            place => format!("{}: {fault}", place.trim_start_matches('/')),
        })
        .collect();
    if faults.is_empty() { Ok(value) } else { Err(faults) }
}

/// The text of `value`, which is `params` with defaults filled in: what was given stands as it was written, so that no
/// long number is rounded.
pub(super) fn as_written(params: &Json, value: &Value) -> Json {
    let given: BTreeMap<String, Json> = params.members().into_iter().flatten().collect();
    let members = value.as_object().into_iter().flatten().map(|(name, value)| {
        let value = given.get(name).cloned().unwrap_or_else(|| Json::from_value(value));
        (name.clone(), value)
    });
    Json::object(members)
}

/// Gives every missing top-level parameter the default that its schema names.
fn fill_defaults(value: &mut Value, schema: &Value) {
    let (Some(given), Some(declared)) = (value.as_object_mut(), schema["properties"].as_object()) else {
        return;
    };
    for (name, property) in declared {
        if let Some(default) = property.get("default") {
            given.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
}

impl Registry {
    /// Adds a task.
    ///
    /// # Panics
    /// If the name is taken or the schema is not valid: both are defects of the program.
    #[must_use]
    pub fn with<T: Task>(mut self, task: T) -> Self {
        let mut schema = schemars::schema_for!(T::Params).to_value();
        schema["additionalProperties"] = Value::Bool(false);
        let validator = jsonschema::validator_for(&schema).expect("a derived schema is valid");
        let info = TaskInfo {
            name: T::NAME.to_owned(),
            title: T::TITLE.to_owned(),
            description: T::DESCRIPTION.to_owned(),
            input: T::INPUT,
            params: Json::from_value(&schema),
        };
        assert!(!self.by_name.contains_key(T::NAME), "task names are unique: {}", T::NAME);
        self.push(Arc::new(Typed { task: Arc::new(task), info, schema, validator }));
        self
    }

    /// Takes tasks of processes, of a server that works on the data folder `data`.
    #[must_use]
    pub fn on(mut self, data: &Path) -> Self {
        self.origin = Some(Origin::new(data));
        self
    }

    /// Adds a task that somebody has declared.
    ///
    /// # Errors
    /// What is wrong with the declaration, and where.
    pub fn declare(&mut self, declaration: Declaration) -> Result<(), Misdeclared> {
        let name = declaration.name.as_str();
        if self.by_name.contains_key(name) {
            return Err(Misdeclared::Task(format!("there is a task named {name:?} already")));
        }
        let origin = self.origin.as_ref().expect("a registry that takes declarations knows its folder");
        let declared = Declared::new(declaration, origin)?;
        self.pools.extend(declared.pool());
        self.push(Arc::new(declared));
        Ok(())
    }

    fn push(&mut self, task: Arc<dyn Erased>) {
        self.by_name.insert(task.info().name.clone(), self.tasks.len());
        self.tasks.push(task);
    }

    /// Ends processes that earlier servers left behind on this folder; answers how many.
    pub async fn end_left_behind(&self) -> usize {
        match &self.origin {
            Some(origin) => origin.end_left_behind().await,
            None => 0,
        }
    }

    /// Lets all idle processes finish, and ends those that do not. Those with an item end with it.
    pub async fn close(&self) {
        futures_util::future::join_all(self.pools.iter().map(|pool| pool.close())).await;
    }

    /// All tasks, in the order in which they were added.
    pub fn infos(&self) -> impl Iterator<Item = &TaskInfo> {
        self.tasks.iter().map(|task| task.info())
    }

    /// The task named `name`.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<&TaskInfo> {
        self.by_name.get(name).map(|at| self.tasks[*at].info())
    }

    /// What one item of the task is.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<InputKind> {
        self.info(name).map(|info| info.input)
    }

    /// Checks parameters and makes the task ready for a batch; answers them with defaults filled in.
    ///
    /// # Errors
    /// `None` if there is no such task; else one sentence per parameter at fault.
    pub fn prepare(&self, name: &str, params: &Json) -> Option<Ready> {
        self.by_name.get(name).map(|at| self.tasks[*at].prepare(params))
    }
}
