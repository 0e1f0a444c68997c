//! Name → task, built at start; the declared ones can be declared anew while the server runs.
//!
//! Names are unique and every schema is valid.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::command::{Declaration, DeclaredTask, Host, Misdeclared, Pool};
use super::context::TaskContext;
use super::erased::{Erased, Ready, as_written, checked};
use super::task::{GuessedColumn, Item, Prepared, Run, Task};
use crate::protocol::{InputKind, Json, TaskInfo};

/// All tasks of this installation.
#[derive(Default)]
pub struct Registry {
    /// Those that come with the program, in their order.
    built_in: Vec<Arc<dyn Erased>>,
    /// What declared tasks share; none where there can be no such task.
    host: Option<Host>,
    /// Held for moments only.
    declared: RwLock<Arc<DeclaredTasks>>,
}

/// Declared tasks in their order.
type DeclaredTasks = Vec<Arc<DeclaredTask>>;

struct Typed<T: Task> {
    task: Arc<T>,
    info: Arc<TaskInfo>,
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

    fn idle(&self) -> Option<String> {
        T::idle(&self.params)
    }

    fn foresee(&self, item: &Json) -> Option<Result<(), String>> {
        T::foresee(&self.params, item)
    }
}

impl<T: Task> Erased for Typed<T> {
    fn info(&self) -> &Arc<TaskInfo> {
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

    fn guess_columns(&self, rows: &[Vec<String>], columns: usize) -> Option<Vec<GuessedColumn>> {
        T::guess_columns(rows, columns)
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
        let info = Arc::new(TaskInfo {
            name: T::NAME.to_owned(),
            title: T::TITLE.to_owned(),
            description: T::DESCRIPTION.to_owned(),
            input: T::INPUT,
            params: Json::from_value(&schema),
        });
        assert!(!self.is_taken(T::NAME), "task names are unique: {}", T::NAME);
        self.built_in.push(Arc::new(Typed { task: Arc::new(task), info, schema, validator }));
        self
    }

    /// Takes tasks of processes, of a server that works on the data folder `data`.
    #[must_use]
    pub fn on(mut self, data: &Path) -> Self {
        self.host = Some(Host::new(data));
        self
    }

    fn is_taken(&self, name: &str) -> bool {
        self.built_in.iter().any(|task| task.info().name == name)
    }

    /// Adds a task that somebody has declared.
    ///
    /// # Errors
    /// What is wrong with the declaration, and where.
    pub fn declare(&mut self, declaration: Declaration) -> Result<(), Misdeclared> {
        let declared = self.read(declaration)?;
        let all = self.declared.get_mut().unwrap_or_else(PoisonError::into_inner);
        if all.iter().any(|other| other.info().name == declared.info().name) {
            return Err(is_taken(&declared.info().name));
        }
        Arc::make_mut(all).push(Arc::new(declared));
        Ok(())
    }

    fn read(&self, declaration: Declaration) -> Result<DeclaredTask, Misdeclared> {
        if self.is_taken(&declaration.name) {
            return Err(is_taken(&declaration.name));
        }
        let host = self.host.as_ref().expect("a registry that takes declarations knows its folder");
        DeclaredTask::new(declaration, host)
    }

    /// Takes `declarations` for those that there were, all of them or none. What runs goes on as it was declared; a task
    /// that is declared as before keeps its processes, and those of the others finish after their item.
    ///
    /// # Errors
    /// The first declaration at fault, by its place in the list, and what is wrong with it.
    pub fn redeclare(&self, declarations: Vec<Declaration>) -> Result<Redeclared, (usize, Misdeclared)> {
        let before = self.declared();
        let mut after: DeclaredTasks = Vec::with_capacity(declarations.len());
        for (at, declaration) in declarations.into_iter().enumerate() {
            let name = &declaration.name;
            if after.iter().any(|other| other.info().name == *name) {
                return Err((at, is_taken(name)));
            }
            let same = before.iter().find(|task| task.is_declared_by(&declaration));
            let task = match same {
                Some(same) => Arc::clone(same),
                None => Arc::new(self.read(declaration).map_err(|wrong| (at, wrong))?),
            };
            after.push(task);
        }
        let is_kept = |task: &Arc<DeclaredTask>| after.iter().any(|kept| Arc::ptr_eq(kept, task));
        let retired: DeclaredTasks = before.iter().filter(|task| !is_kept(task)).cloned().collect();
        let names = |tasks: &DeclaredTasks| -> BTreeSet<String> {
            tasks.iter().map(|task| task.info().name.clone()).collect()
        };
        let is_new = |task: &&Arc<DeclaredTask>| !before.iter().any(|old| Arc::ptr_eq(old, task));
        let new: DeclaredTasks = after.iter().filter(is_new).cloned().collect();
        let (gone, new, tasks) = (names(&retired), names(&new), after.len());
        *self.declared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        retired.iter().for_each(|task| task.retire());
        let pools = retired.iter().filter_map(|task| task.pool()).collect();
        Ok(Redeclared {
            tasks,
            added: new.difference(&gone).cloned().collect(),
            changed: gone.intersection(&new).cloned().collect(),
            removed: gone.difference(&new).cloned().collect(),
            pools,
        })
    }

    fn declared(&self) -> Arc<DeclaredTasks> {
        Arc::clone(&self.declared.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends processes that earlier servers left behind on this folder; answers how many.
    pub async fn end_left_behind(&self) -> usize {
        match &self.host {
            Some(host) => host.origin.end_left_behind().await,
            None => 0,
        }
    }

    /// Lets all idle processes finish, and ends those that do not. Those with an item end with it.
    pub async fn close(&self) {
        let pools = self.declared().iter().filter_map(|task| task.pool()).collect();
        close_all(pools).await;
        if let Some(host) = &self.host {
            host.close().await;
        }
    }

    fn find(&self, name: &str) -> Option<Arc<dyn Erased>> {
        let built_in = self.built_in.iter().find(|task| task.info().name == name).cloned();
        built_in.or_else(|| {
            let declared = self.declared().iter().find(|task| task.info().name == name).cloned();
            declared.map(|task| task as Arc<dyn Erased>)
        })
    }

    /// All tasks: those that come with the program, then those that are declared, in their order.
    #[must_use]
    pub fn infos(&self) -> Vec<Arc<TaskInfo>> {
        let built_in = self.built_in.iter().map(|task| Arc::clone(task.info()));
        built_in.chain(self.declared().iter().map(|task| Arc::clone(task.info()))).collect()
    }

    /// The task named `name`.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<Arc<TaskInfo>> {
        self.find(name).map(|task| Arc::clone(task.info()))
    }

    /// What one item of the task is.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<InputKind> {
        self.info(name).map(|info| info.input)
    }

    /// As [`Task::guess_columns`], for the task named `name`; none where there is no such task.
    pub fn guess_columns(
        &self,
        name: &str,
        rows: &[Vec<String>],
        columns: usize,
    ) -> Option<Vec<GuessedColumn>> {
        self.find(name)?.guess_columns(rows, columns)
    }

    /// Checks parameters and makes the task ready for a batch; answers them with defaults filled in.
    ///
    /// # Errors
    /// `None` if there is no such task; else one sentence per parameter at fault.
    pub fn prepare(&self, name: &str, params: &Json) -> Option<Ready> {
        self.find(name).map(|task| task.prepare(params))
    }
}

/// What became of the declared tasks.
pub struct Redeclared {
    /// Declared now.
    pub tasks: usize,
    /// Names of those that were not before.
    pub added: BTreeSet<String>,
    /// Names of those that are declared otherwise.
    pub changed: BTreeSet<String>,
    /// Names of those that no longer are.
    pub removed: BTreeSet<String>,
    pools: Vec<Arc<Pool>>,
}

impl Redeclared {
    /// True for a task whose batches have to be made ready anew.
    #[must_use]
    pub fn concerns(&self, task: &str) -> bool {
        [&self.added, &self.changed, &self.removed].iter().any(|names| names.contains(task))
    }

    /// Lets the idle processes of what is no longer declared so finish. Those with an item finish after it.
    pub async fn retire(self) {
        close_all(self.pools).await;
    }
}

fn is_taken(name: &str) -> Misdeclared {
    Misdeclared::Task(format!("there is a task named {name:?} already"))
}

async fn close_all(pools: Vec<Arc<Pool>>) {
    futures_util::future::join_all(pools.iter().map(|pool| pool.close())).await;
}
