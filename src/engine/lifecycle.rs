//! Start and stop of the engine: the stages are built in the order of an item, their loops started, and stopped again.
//!
//! Every loop is under watch: see [`Loops`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};

use super::acts::{ActWakes, Acts, BulkActs, FollowUps, Retention, StepLoop, disk_loop, schedule_loop};
use super::cluster::{
    ChangeRelay, Heartbeat, LeaseRecovery, Membership, Outbox, RemoteProgress, becomes, clock_loop,
    start_watchdog, turn_loop,
};
use super::dispatch::{ClaimLoop, Dispatcher, InputLoader, Preparer};
use super::execute::SlotLoop;
use super::flow::CommitObserver;
use super::health::Health;
use super::intake::{IntakeStage, Settler};
use super::liveness::Liveness;
use super::new_batch::Validator;
use super::publisher::Publisher;
use super::record::{AfterCommit, AuditQueue, Recorder, audit_loop};
use super::supervisor::Loops;
use super::{Engine, EngineError, EngineOptions, Stages};
use crate::fault::{Loop, Point};
use crate::hub::Hub;
use crate::protocol::{BatchId, Role};
use crate::store::{Store, StoreError, Uptime};
use crate::tasks::Registry;
use crate::tasks::command::WORKER_FOLDER;

/// How long stopped work may take to give way in a drain, and the last reports to be committed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Builds the stages, each with handles of those that it uses.
pub(super) fn build(
    store: Store,
    tasks: Arc<Registry>,
    hub: Hub,
    options: EngineOptions,
) -> (Stages, Others) {
    let options = Arc::new(options);
    let slots = if options.role == Role::Web { 0 } else { options.slots.max(1) };
    let liveness = Arc::new(Liveness::new(&options, store.is_shared()));
    let loops = Loops::new(Arc::new(Health::new(store.clone(), Arc::clone(&liveness))));
    let outbox = Arc::new(Outbox::default());
    let others = store.is_shared().then(|| Arc::clone(&outbox) as Arc<dyn CommitObserver>);
    let publisher = Arc::new(Publisher::new(store.clone(), hub.clone(), others, loops.clone()));
    let dispatcher = Arc::new(Dispatcher::new(slots, Arc::clone(&liveness)));
    let audits = Arc::new(AuditQueue::default());
    let acts = Arc::new(Acts {
        store: store.clone(),
        publisher: Arc::clone(&publisher),
        dispatcher: Arc::clone(&dispatcher),
        audits: Arc::clone(&audits),
        wakes: ActWakes::default(),
    });
    let preparer = Arc::new(Preparer::new(Arc::clone(&tasks), &options));
    let intake = Arc::new(IntakeStage {
        acts: Arc::clone(&acts),
        validator: Arc::new(Validator::new(
            Arc::clone(&tasks),
            options.items_per_batch_max,
            options.upload_idle_seconds,
        )),
        preparer,
        liveness: Arc::clone(&liveness),
        settler: Arc::new(Settler {
            acts: Arc::clone(&acts),
            queue: Default::default(),
            loops: loops.clone(),
        }),
    });
    let membership = Arc::new(Membership {
        store,
        liveness: Arc::clone(&liveness),
        dispatcher: Arc::clone(&dispatcher),
        publisher,
        options,
        loops: loops.clone(),
        rate_bits: AtomicU64::new(0),
    });
    let stages = Stages { hub, tasks, intake, acts, membership, drained: OnceCell::new() };
    (stages, Others { outbox, audits })
}

/// What only the loops use.
pub(super) struct Others {
    outbox: Arc<Outbox>,
    audits: Arc<AuditQueue>,
}

impl Stages {
    pub(super) fn loops(&self) -> &Loops {
        &self.membership.loops
    }

    /// Takes back what an earlier process left, joins the nodes, starts the loops.
    pub(super) async fn begin(&self, others: Others) -> Result<(), EngineError> {
        let Membership { store, liveness, options, loops, .. } = &*self.membership;
        let left = self.tasks.end_left_behind().await;
        if left > 0 {
            tracing::warn!(processes = left, "ended processes that an earlier server had left running");
        }
        clear_folder(&options.work).await?;
        let (lost, sent) = (Arc::new(Notify::new()), Uptime::now());
        let acts = Arc::clone(&self.acts);
        let recovery =
            Arc::new(LeaseRecovery::new(acts, Arc::clone(liveness), loops.clone(), Arc::clone(options)));
        let heartbeat = Heartbeat { membership: Arc::clone(&self.membership), lost: Arc::clone(&lost) };
        if store.is_shared() {
            store.node_started(&self.membership.record()).await?;
            liveness.beaten(sent);
            recovery.clamp_due().await?;
            heartbeat.start_thread()?;
            loops.watch(Loop::Reclaim, Arc::clone(&recovery).run(lost));
            self.start_relay(others.outbox);
        } else {
            self.recover_alone(&recovery).await?;
            store.node_started(&self.membership.record()).await?;
            loops.watch(Loop::Heartbeat, heartbeat.run());
        }
        let turns = Arc::default();
        start_watchdog(&turns, loops.clone())?;
        loops.watch(Loop::Turns, turn_loop(turns, loops.clone()));
        loops.watch(Loop::Clock, clock_loop(recovery, loops.clone()));
        loops.watch(Loop::Membership, Arc::clone(&self.membership).publish_loop(self.hub.clone()));
        loops.watch(Loop::Audit, audit_loop(store.clone(), Arc::clone(&others.audits), loops.clone()));
        self.start_acts();
        if options.role != Role::Web {
            self.start_work(others.audits);
        }
        Ok(())
    }

    async fn recover_alone(&self, recovery: &LeaseRecovery) -> Result<(), EngineError> {
        let store = &self.membership.store;
        let mut recovered = recovery.take_all_back().await;
        if let Err(error) = &recovered
            && store.record_full(error)
        {
            recovered = recovery.take_all_back().await;
        }
        match recovered {
            Ok(()) => Ok(()),
            // One batch that cannot be as it is must not keep people from the others: they can be read.
            Err(fault @ StoreError::Invariant(_)) => {
                self.loops().health().trouble("what was left cannot be taken back", &fault);
                Ok(())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn start_relay(&self, outbox: Arc<Outbox>) {
        let Membership { store, liveness, dispatcher, publisher, loops, .. } = &*self.membership;
        let relay = Arc::new(ChangeRelay {
            store: store.clone(),
            hub: self.hub.clone(),
            outbox,
            publisher: Arc::clone(publisher),
            dispatcher: Arc::clone(dispatcher),
            liveness: Arc::clone(liveness),
            loops: loops.clone(),
        });
        loops.watch(Loop::RelaySend, Arc::clone(&relay).send_loop());
        loops.watch(Loop::RelayReceive, Arc::clone(&relay).receive_loop());
        loops.watch(Loop::RelayRead, relay.read_loop());
    }

    fn start_acts(&self) {
        let (loops, acts) = (self.loops(), &self.acts);
        loops.watch(Loop::Schedule, schedule_loop(Arc::clone(acts), loops.clone()));
        let days = self.membership.options.retention_days;
        loops.watch(Loop::Retention, Retention { acts: Arc::clone(acts), days, loops: loops.clone() }.run());
        loops.watch(Loop::Disk, disk_loop(Arc::clone(acts), loops.clone()));
        let follow_ups = FollowUps { acts: Arc::clone(acts), validator: Arc::clone(&self.intake.validator) };
        let bulk = BulkActs { acts: Arc::clone(acts), liveness: Arc::clone(&self.membership.liveness) };
        let steps = StepLoop { acts: Arc::clone(acts), follow_ups, bulk, loops: loops.clone() };
        loops.watch(Loop::Steps, steps.run());
        loops.watch(Loop::Settle, Arc::clone(&self.intake.settler).run());
    }

    /// The stages of an item on a node with slots: dispatch, execute, record.
    fn start_work(&self, audits: Arc<AuditQueue>) {
        let Membership { store, liveness, dispatcher, publisher, loops, .. } = &*self.membership;
        let after = AfterCommit {
            publisher: Arc::clone(publisher),
            audits,
            follow_ups: Arc::clone(&self.acts.wakes.steps),
        };
        let recorder = Recorder {
            store: store.clone(),
            dispatcher: Arc::clone(dispatcher),
            after,
            liveness: Arc::clone(liveness),
            loops: loops.clone(),
        };
        loops.watch(Loop::Record, recorder.run());
        let loader =
            InputLoader { store: store.clone(), dispatcher: Arc::clone(dispatcher), loops: loops.clone() };
        loops.watch(Loop::InputLoader, loader.run());
        for at in 0..usize::try_from(dispatcher.slots.count()).unwrap_or(0) {
            let (store, dispatcher) = (store.clone(), Arc::clone(dispatcher));
            loops.watch(Loop::Slot, SlotLoop { store, dispatcher, loops: loops.clone(), at }.run());
        }
        if store.is_shared() {
            let progress = RemoteProgress {
                store: store.clone(),
                hub: self.hub.clone(),
                dispatcher: Arc::clone(dispatcher),
                liveness: Arc::clone(liveness),
                loops: loops.clone(),
            };
            loops.watch(Loop::RemoteProgress, progress.run());
        }
        let claims = ClaimLoop {
            store: store.clone(),
            dispatcher: Arc::clone(dispatcher),
            preparer: Arc::clone(&self.intake.preparer),
            publisher: Arc::clone(publisher),
            liveness: Arc::clone(liveness),
            loops: loops.clone(),
        };
        loops.watch(Loop::Claim, claims.run());
    }

    /// Stops claiming, finishes within the grace, hands back the rest, stops all loops.
    pub(super) async fn end(&self) {
        let Membership { store, liveness, dispatcher, options, loops, .. } = &*self.membership;
        liveness.leave();
        Point::Draining.visit();
        dispatcher.close();
        let grace = Duration::from_secs(u64::from(options.drain_seconds));
        let idle = || dispatcher.slots.busy() == 0;
        if !becomes(grace, idle).await {
            tracing::info!(items = dispatcher.slots.busy(), "the grace is over: running items go back");
            dispatcher.release();
            becomes(LAST_WORDS, idle).await;
        }
        let reported = becomes(LAST_WORDS, || {
            dispatcher.wakes.report.notify_one();
            !dispatcher.holds_leases()
        });
        let reported = reported.await;
        if !becomes(LAST_WORDS, || self.intake.settler.queue.is_empty()).await {
            tracing::warn!("batches are left without their end: the next start ends them");
        }
        loops.end_beats();
        if reported {
            if let Err(error) = store.node_stopped(&liveness.node()).await {
                tracing::warn!(%error, "the node could not say that it leaves");
            }
        } else {
            tracing::warn!("leases are left behind: the next start takes them back");
        }
        self.tasks.close().await;
        if !loops.end(LAST_WORDS).await {
            tracing::warn!("loops of the engine are still at work; the process goes on without them");
        }
    }
}

impl Engine {
    /// Takes back what an earlier process left, then starts all loops.
    ///
    /// # Errors
    /// What the store or the file system says.
    pub async fn start(
        store: Store,
        tasks: Arc<Registry>,
        hub: Hub,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let (stages, others) = build(store, tasks, hub, options);
        let engine = Self { stages: Arc::new(stages) };
        engine.stages.begin(others).await?;
        Ok(engine)
    }

    /// Stops claiming, finishes within the grace, hands back the rest, stops all loops. Idempotent.
    pub async fn drain(&self) {
        let stages = Arc::clone(&self.stages);
        self.stages.drained.get_or_init(|| async move { stages.end().await }).await;
    }
}

#[cfg(test)]
impl Engine {
    /// As a kill would leave it: leases are held, items started, nothing more is recorded.
    pub(super) fn die(&self) {
        self.stages.loops().end_beats();
        self.stages.loops().stop_token().cancel();
        self.stages.acts.dispatcher.close();
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
        if !ours {
            continue;
        }
        // The copy of an input is a file.
        let removed = match entry.file_type().await {
            Ok(kind) if kind.is_dir() => tokio::fs::remove_dir_all(entry.path()).await,
            Ok(_) => tokio::fs::remove_file(entry.path()).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = removed {
            tracing::warn!(folder = %entry.path().display(), %fault, "the folder of an old attempt stays behind");
        }
    }
    Ok(())
}
