//! The one door to every use case: who asks → may they → one call → protocol types.
//!
//! ```text
//! caller   who asks                  may       the one policy            error   what a client may learn
//! batches, items, nodes, submit,
//! schedules, uploads, webhooks       the use cases, by noun              live    the answer to a subscribe
//! people   who comes in, and the life of people and tokens                  secret  random codes and their hashes
//! ```
//!
//! Every function that takes a [`Caller`] asks [`may()`] before it reads or changes anything of the object.

mod batches;
pub mod caller;
mod error;
mod items;
pub mod live;
pub mod may;
mod nodes;
pub mod people;
mod related;
pub mod schedules;
pub mod secret;
pub mod submit;
mod task_permissions;
pub mod uploads;
mod webhooks;

use std::sync::Arc;

pub use caller::{Caller, Grant, Payloads, Via};
pub use may::{Action, Narrow, Target, may};
pub use nodes::Figures;
pub use people::{IssuedLogin, LoginPlace, People};
pub use task_permissions::{Permitted, TaskPermission, TaskPermissions};

use self::schedules::ScheduleWake;
use self::submit::KeysInHand;
use self::uploads::Writers;
use crate::engine::Engine;
use crate::formats::file_sources::folder::ServerFolder;
use crate::hub::Hub;
use crate::protocol::{ApiError, BatchId, Me};
use crate::store::{BatchRecord, Store};
use crate::tasks::Registry;

/// The one door. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Parts>,
    people: People,
    keys: KeysInHand,
    schedule_wake: ScheduleWake,
    writers: Writers,
}

/// What the door leads to.
pub struct Parts {
    /// Tables.
    pub store: Store,
    /// Work.
    pub engine: Engine,
    /// Tasks.
    pub tasks: Arc<Registry>,
    /// Who hears what.
    pub hub: Hub,
    /// Bytes of one file in a form; more are refused.
    pub upload_bytes_max: u64,
    /// Who may run and see a task.
    pub permissions: TaskPermissions,
    /// Folders of this machine whose files may be items.
    pub folders: Vec<ServerFolder>,
}

impl Service {
    /// Opens the door.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let people = People::new(parts.store.clone()).with_permissions(parts.permissions.clone());
        parts.hub.restrict_tasks(parts.permissions.restricted());
        Self {
            inner: Arc::new(parts),
            people,
            keys: KeysInHand::default(),
            schedule_wake: ScheduleWake::default(),
            writers: Writers::default(),
        }
    }

    /// What is behind it, for the rooms that only carry (server's downloads, live).
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.inner
    }

    /// Who may come in.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// Who the caller is, for their own pages.
    #[must_use]
    pub fn me(&self, caller: &Caller) -> Me {
        Me { name: caller.name.clone(), role: caller.role }
    }

    /// The record of a batch the caller may see, for results and live.
    ///
    /// # Errors
    /// `not_found` where it is not there, or not for the caller to see.
    pub async fn visible(&self, caller: &Caller, id: BatchId) -> Result<BatchRecord, ApiError> {
        self.allowed(caller, Action::SeeBatch, id).await
    }

    /// The record of a batch of which the caller may see how far it is.
    ///
    /// # Errors
    /// `not_found` where it is not there, or not for the caller to see.
    pub async fn progressing(&self, caller: &Caller, id: BatchId) -> Result<BatchRecord, ApiError> {
        self.allowed(caller, Action::SeeProgress, id).await
    }

    /// The record of a batch that the caller may do `action` to.
    async fn allowed(&self, caller: &Caller, action: Action, id: BatchId) -> Result<BatchRecord, ApiError> {
        let batch = self.inner.store.batch(id).await?;
        may(caller, action, Target::from(&batch))?;
        Ok(batch)
    }
}
