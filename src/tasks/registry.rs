//! Name → task, built once at start.
//!
//! Names are unique and every schema is valid.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::command::{Declaration, DeclaredTask, Misdeclared, Origin, Pool};
use super::context::TaskContext;
use super::erased::{Erased, Ready, as_written, checked};
use super::task::{Item, Prepared, Run, Task};
use crate::protocol::{InputKind, Json, TaskInfo};

/// All tasks of this installation.
#[derive(Default)]
pub struct Registry {
    tasks: Vec<Arc<dyn Erased>>,
    by_name: BTreeMap<String, usize>,
    /// Where the processes of declared tasks come from; none where there can be no such task.
    origin: Option<Origin>,
    pools: Vec<Arc<Pool>>,
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
        let declared = DeclaredTask::new(declaration, origin)?;
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
