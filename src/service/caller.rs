//! Who is asking: a name, a role, by what they came in, and how far that reaches.
//!
//! Made by [`super::people`] only (and by the command line for itself); read by every use case. A caller was known at
//! the moment it was made; [`super::People::gone`] says whether it still is.

use std::future::Future;
use std::net::IpAddr;

use super::task_permissions::RefusedTasks;
use crate::protocol::{BatchId, PersonRole, Scope};
use crate::store::Viewer;
use crate::store::access::Signature;

/// Who is asking: known, with a role. There is no anonymous caller: what is open needs no caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name of the person, or `token:NAME`: who batches that they submit belong to.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// By what they came in.
    pub via: Via,
    /// How far that reaches.
    pub grant: Grant,
    /// Tasks that they may not see or run, whatever their role.
    pub refused_tasks: RefusedTasks,
    /// From where, for the log; none where that has no meaning.
    pub address: Option<IpAddr>,
}

/// By what a caller came in; a revoked one closes its sockets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// A login cookie, by the hash of its id.
    Login(String),
    /// A bearer token, by the hash of its secret.
    Token(String),
    /// A share link.
    Share {
        /// Hash of its secret.
        hash: String,
        /// Whether it shows what is in its batch.
        payloads: Payloads,
    },
    /// The header of a named proxy, on each request.
    Header,
    /// The process itself (command line, tests).
    Local,
    /// Nothing: a schedule makes a batch for its owner.
    Schedule,
}

/// Whether a share link shows what is in its batch: inputs, results, errors, files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payloads {
    /// It does.
    Shown,
    /// It does not.
    Masked,
}

/// What a caller was granted within what the role may: everywhere, unless a token says less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// What for; empty = everything.
    pub scopes: Vec<Scope>,
    /// Batches of this task only.
    pub task: Option<String>,
    /// This batch only.
    pub batch: Option<BatchId>,
}

impl Grant {
    /// True where it is for `scope`.
    #[must_use]
    pub fn is_for(&self, scope: Scope) -> bool {
        self.scopes.is_empty() || self.scopes.contains(&scope)
    }

    /// True where it is for some batches only.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.task.is_some() || self.batch.is_some()
    }

    /// True where it is as far as the role.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.scopes.is_empty() && !self.is_narrow()
    }
}

impl Caller {
    /// Somebody whose reach is as far as their role.
    #[must_use]
    pub fn new(name: impl Into<String>, role: PersonRole, via: Via) -> Self {
        Self {
            name: name.into(),
            role,
            via,
            grant: Grant::default(),
            refused_tasks: RefusedTasks::default(),
            address: None,
        }
    }

    /// The process itself: may do everything, and cannot be revoked.
    #[must_use]
    pub fn local() -> Self {
        Self::new("local", PersonRole::Admin, Via::Local)
    }

    /// What the caller sees in lists.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer {
            name: self.name.clone(),
            // A share link reaches one batch, and that wholly.
            sees_all: self.role == PersonRole::Admin || matches!(self.via, Via::Share { .. }),
            task: self.grant.task.clone(),
            batch: self.grant.batch,
            hidden_tasks: self.refused_tasks.hidden.clone(),
        }
    }

    /// Runs `work` as the caller's act: what it changes is signed with their name in the log.
    pub async fn signs<T>(&self, work: impl Future<Output = T>) -> T {
        let via = match &self.via {
            Via::Login(_) => "session",
            Via::Token(_) => "token",
            Via::Share { .. } => "share",
            Via::Header => "header",
            Via::Local => "command",
            Via::Schedule => "schedule",
        };
        let address = self.address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
        Signature { who: self.name.clone(), via, address }.on(work).await
    }
}
