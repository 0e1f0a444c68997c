//! Who may run a task and who may see it, where the operator says so: `[permissions.TASK]`.
//!
//! A permission takes away and never gives: whoever may not submit at all runs nothing by being named. Admins run and see all.
//! What is refused is worked out when a caller is made, and is a part of the caller: where it changes, they are another one.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::PersonRole;

/// One entry of a list of who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// Everybody with at least this role.
    Role(PersonRole),
    /// A person, or `token:NAME`.
    Name(String),
}

impl Permitted {
    fn takes(&self, name: &str, role: PersonRole) -> bool {
        match self {
            Self::Role(least) => role >= *least,
            Self::Name(named) => named == name,
        }
    }
}

/// Who may run and see one task; none = as roles say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskPermission {
    /// Who may run it.
    pub run: Option<Vec<Permitted>>,
    /// Who may see it and its batches; whoever may not see it does not run it either.
    pub see: Option<Vec<Permitted>>,
}

/// By the name of the task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskPermissions(pub BTreeMap<String, TaskPermission>);

/// The tasks that a caller may not see or run, each by name and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RefusedTasks {
    /// Not seen, and not run.
    pub hidden: Vec<String>,
    /// Seen and not run.
    pub barred: Vec<String>,
}

impl RefusedTasks {
    /// True where the caller does not see `task`.
    #[must_use]
    pub fn hides(&self, task: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == task)
    }

    /// True where the caller may not run `task`.
    #[must_use]
    pub fn bars(&self, task: &str) -> bool {
        self.hides(task) || self.barred.iter().any(|barred| barred == task)
    }
}

impl TaskPermissions {
    /// What `name` with `role` may not see or run.
    #[must_use]
    pub fn refused(&self, name: &str, role: PersonRole) -> RefusedTasks {
        let mut refused = RefusedTasks::default();
        if role == PersonRole::Admin {
            return refused;
        }
        let is_out = |list: &Option<Vec<Permitted>>| {
            list.as_ref().is_some_and(|list| !list.iter().any(|entry| entry.takes(name, role)))
        };
        for (task, permission) in &self.0 {
            if is_out(&permission.see) {
                refused.hidden.push(task.clone());
            } else if is_out(&permission.run) {
                refused.barred.push(task.clone());
            }
        }
        refused
    }

    /// Tasks that not everybody sees.
    #[must_use]
    pub fn restricted(&self) -> BTreeSet<String> {
        let restricted = self.0.iter().filter(|(_task, permission)| permission.see.is_some());
        restricted.map(|(task, _permission)| task.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_takes_away_and_never_gives() {
        let name = |name: &str| Permitted::Name(name.to_owned());
        let deploy = TaskPermission {
            run: Some(vec![name("ada")]),
            see: Some(vec![name("ada"), Permitted::Role(PersonRole::Operator)]),
        };
        let image = TaskPermission { run: Some(Vec::new()), see: None };
        let all = TaskPermissions([("deploy".to_owned(), deploy), ("image".to_owned(), image)].into());
        for (who, role, hides, bars) in [
            ("ada", PersonRole::Operator, false, false),
            ("ada", PersonRole::Viewer, false, false),
            ("bob", PersonRole::Operator, false, true),
            ("eve", PersonRole::Viewer, true, true),
            ("root", PersonRole::Admin, false, false),
        ] {
            let refused = all.refused(who, role);
            assert_eq!((refused.hides("deploy"), refused.bars("deploy")), (hides, bars), "{who} {role:?}");
            assert_eq!(refused.bars("image"), role != PersonRole::Admin, "{who}");
            assert!(!refused.bars("demo") && !refused.hides("image"));
        }
        assert_eq!(all.restricted(), BTreeSet::from(["deploy".to_owned()]));
    }
}
