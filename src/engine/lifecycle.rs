//! Start and end of the engine: recovery, loops, drain.
//!
//! Owns the order of start and stop. Called by the process. Invariant: every loop is under watch: see `supervisor`.
//! Deliberately knows no item.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::acts::act_steps;
use super::cluster::{change_relay, heartbeat, lease_recovery, liveness, membership, remote_progress};
use super::dispatch::claim_loop;
use super::execute::slot_loop;
use super::intake::settlement;
use super::record::{audit, recorder};
use super::supervisor::watch;
use super::{Engine, EngineError, Inner};
use crate::fault::{Loop, Point};
use crate::protocol::{BatchId, NodeId, Role};
use crate::store::{StoreError, Uptime, Whose};
use crate::tasks::command::WORKER_FOLDER;

/// How long stopped work may take to give way in a drain, and the last reports to be committed.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a drain looks whether all is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// Reason of a batch whose items stopped coming.
pub const CUT_OFF: &str = "the upload was cut off";

/// A fresh id: the name made plain, and a random end.
pub fn fresh_node(name: &str) -> NodeId {
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let plain = if plain.is_empty() { "node" } else { plain.as_str() };
    NodeId(format!("{}-{:06x}", &plain[..plain.len().min(40)], rand::random_range(0..0x100_0000_u32)))
}

/// Takes back what an earlier process left, joins the nodes, starts the loops.
pub async fn begin(engine: &Engine) -> Result<(), EngineError> {
    let inner = &engine.inner;
    let left = inner.tasks.end_left_behind().await;
    if left > 0 {
        tracing::warn!(processes = left, "ended processes that an earlier server had left running");
    }
    clear_folder(&inner.options.work).await?;
    let sent = Uptime::now();
    if inner.store.is_shared() {
        inner.store.node_started(&inner.node_record()).await?;
        inner.pulse.beaten(sent);
        inner.store.clamp_due(lease_recovery::policy(inner)).await?;
        heartbeat::start_thread(inner)?;
        watch(inner, Loop::Reclaim, lease_recovery::reclaim_loop(Arc::clone(inner)));
        watch(inner, Loop::Tell, change_relay::tell_loop(Arc::clone(inner)));
        watch(inner, Loop::Listen, change_relay::listen_loop(Arc::clone(inner)));
        watch(inner, Loop::Hear, change_relay::hear_loop(Arc::clone(inner)));
    } else {
        let mut recovered = recover(inner).await;
        if let Err(error) = &recovered
            && inner.store.note_full(error)
        {
            recovered = recover(inner).await;
        }
        match recovered {
            Ok(()) => {}
            // One batch that cannot be as it is must not keep people from the others: they can be read.
            Err(fault @ StoreError::Invariant(_)) => {
                inner.trouble("what was left cannot be taken back", &fault);
            }
            Err(fault) => return Err(fault.into()),
        }
        inner.store.node_started(&inner.node_record()).await?;
        watch(inner, Loop::Beat, heartbeat::beat_loop(Arc::clone(inner)));
    }
    watch(inner, Loop::Turns, liveness::turn_loop(Arc::clone(inner)));
    watch(inner, Loop::Clock, liveness::clock_loop(Arc::clone(inner)));
    liveness::look_after(inner)?;
    watch(inner, Loop::Show, membership::show_loop(Arc::clone(inner)));
    watch(inner, Loop::Schedule, membership::schedule_loop(Arc::clone(inner)));
    watch(inner, Loop::Tidy, membership::tidy_loop(Arc::clone(inner)));
    watch(inner, Loop::Steps, act_steps::step_loop(Arc::clone(inner)));
    watch(inner, Loop::Audit, audit::audit_loop(Arc::clone(inner)));
    watch(inner, Loop::Settle, settlement::settle_loop(Arc::clone(inner)));
    watch(inner, Loop::Disk, membership::disk_loop(Arc::clone(inner)));
    if inner.options.role != Role::Web {
        watch(inner, Loop::Record, recorder::record_loop(Arc::clone(inner)));
        watch(inner, Loop::Load, slot_loop::load_loop(Arc::clone(inner)));
        for at in 0..inner.desk.boards.len() {
            watch(inner, Loop::Slot, slot_loop::slot_loop(Arc::clone(inner), at));
        }
        if inner.store.is_shared() {
            watch(inner, Loop::Glimpse, remote_progress::glimpse_loop(Arc::clone(inner)));
        }
        watch(inner, Loop::Claim, claim_loop::claim_loop(Arc::clone(inner)));
    }
    Ok(())
}

/// Where nobody else works on the database: takes everything back that an earlier process had in hand, and ends the
/// batches whose bodies stopped coming with it, open ones included: nobody was told of them.
async fn recover(inner: &Inner) -> Result<(), StoreError> {
    let policy = lease_recovery::policy(inner);
    let taken_back = inner.store.reclaim(Whose::Everybodys, policy).await?;
    if !taken_back.is_empty() {
        tracing::info!(batches = taken_back.len(), "took back what an earlier process had in hand");
    }
    inner.store.clamp_due(policy).await?;
    let unfinished = inner.store.unfinished().await?;
    for batch in
        unfinished.into_iter().filter(|batch| !batch.sealed && (batch.filling || !batch.options.open))
    {
        inner.store.cancel(batch.key, Some(CUT_OFF.to_owned())).await?;
    }
    Ok(())
}

impl Inner {
    /// Takes no more work here, for as long as the process lives: what runs finishes within the grace, the rest goes
    /// back. Pages are served as before.
    pub fn retire(self: &Arc<Self>) {
        if !self.pulse.retire() {
            return;
        }
        tracing::info!("this node takes no more work");
        self.desk.close();
        let inner = Arc::clone(self);
        let grace = async move {
            if !becomes(Duration::from_secs(u64::from(inner.options.drain_seconds)), || {
                inner.desk.busy() == 0 || inner.stop.is_cancelled()
            })
            .await
            {
                inner.desk.release();
            }
        };
        self.loops.spawn_on(grace, &self.main);
    }
}

/// Makes the folder of running attempts, without what an earlier process left in it.
async fn clear_folder(work: &Path) -> Result<(), EngineError> {
    let files = |fault| EngineError::Store(StoreError::Io(fault));
    tokio::fs::create_dir_all(work).await.map_err(files)?;
    let mut entries = tokio::fs::read_dir(work).await.map_err(files)?;
    while let Some(entry) = entries.next_entry().await.map_err(files)? {
        let name = entry.file_name();
        // Only what is named like an attempt, or like the folder of a process that lives on, is ours to remove.
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with(WORKER_FOLDER) || name.get(..36).is_some_and(|id| id.parse::<BatchId>().is_ok())
        });
        if ours && let Err(fault) = tokio::fs::remove_dir_all(entry.path()).await {
            tracing::warn!(folder = %entry.path().display(), %fault, "the folder of an old attempt stays behind");
        }
    }
    Ok(())
}

/// Stops claiming, finishes within the grace, hands back the rest, stops all loops.
pub async fn end(inner: &Inner) {
    inner.leaving.store(true, Ordering::Release);
    Point::Draining.visit();
    inner.desk.close();
    let grace = Duration::from_secs(u64::from(inner.options.drain_seconds));
    if !becomes(grace, || inner.desk.busy() == 0).await {
        tracing::info!(items = inner.desk.busy(), "the grace is over: running items go back");
        inner.desk.release();
        becomes(LAST_WORDS, || inner.desk.busy() == 0).await;
    }
    let told = becomes(LAST_WORDS, || {
        inner.desk.report.notify_one();
        !inner.desk.holds()
    });
    let told = told.await;
    if !becomes(LAST_WORDS, || inner.debts.is_settled()).await {
        tracing::warn!("batches are left without their end: the next start ends them");
    }
    inner.quiet.cancel();
    if told {
        if let Err(error) = inner.store.node_stopped(&inner.node()).await {
            tracing::warn!(%error, "the node could not say that it leaves");
        }
    } else {
        tracing::warn!("leases are left behind: the next start takes them back");
    }
    inner.tasks.close().await;
    inner.stop.cancel();
    inner.loops.close();
    if tokio::time::timeout(LAST_WORDS, inner.loops.wait()).await.is_err() {
        tracing::warn!("loops of the engine are still at work; the process goes on without them");
    }
}

/// Waits up to `most` until `holds`.
async fn becomes(most: Duration, holds: impl Fn() -> bool) -> bool {
    let until = tokio::time::Instant::now() + most;
    while !holds() {
        if tokio::time::Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    true
}
