//! One connection of a crowd: what it does, and what it has counted.
//!
//! Runs on the crowd's thread; a counter has one writer. Whoever has been sent away comes back with the delays of the
//! project's own client. Of what it reads it keeps only the revision it would show.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use milepost::backoff::Backoff;
use milepost::client::reconnect::{reconnect_backoff, reconnect_delay};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::{Client, End};
use crate::codec;
use crate::codec::Kind;
use crate::crowd::{After, CrowdPlan, Note, Noting};
use crate::{Fault, bare};

/// First connections that are under way at once; a storm has no such bound.
const CONNECTING_MAX: usize = 64;
/// Loopback addresses that connections come from: each has ephemeral ports of its own, and a share of what one
/// address may have.
const SOURCES: usize = 50;

/// What one connection has counted.
#[derive(Default)]
pub struct Member {
    pub here: AtomicBool,
    /// Times it has ended after it was answered.
    pub ended: AtomicU64,
    /// Times it has ended before.
    pub refused: AtomicU64,
    /// When a subscribe was last answered, in nanoseconds of the crowd's clock; 0: never.
    pub answered: AtomicU64,
    pub updates: AtomicU64,
    /// Of the updates, on the wire.
    pub bytes: AtomicU64,
    notes: Mutex<Vec<Note>>,
}

impl Member {
    /// What was noted so far, and is forgotten now.
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut held(&self.notes))
    }

    fn note(&self, noting: Noting, payload: &[u8]) {
        let value = match noting {
            Noting::Counts => return,
            Noting::Succeeded => codec::succeeded(payload),
            Noting::Stamp => bare::stamp_of(payload),
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let read_micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        held(&self.notes).extend(value.map(|value| Note { value, read_micros }));
    }
}

pub struct Shared {
    pub clock: Instant,
    pub plan: CrowdPlan,
    pub members: Vec<Vec<Member>>,
    /// The latest update to the first connection.
    sample: Mutex<Vec<u8>>,
    /// Why a connection could not be made, or ended: the first time.
    fault: Mutex<Option<String>>,
    gate: Semaphore,
}

impl Shared {
    /// Of a crowd that is yet to connect.
    pub fn new(plan: CrowdPlan) -> Self {
        let members = plan.groups.iter().map(|group| (0..group.count).map(|_| Member::default()).collect());
        Self {
            clock: Instant::now(),
            members: members.collect(),
            sample: Mutex::default(),
            fault: Mutex::default(),
            gate: Semaphore::new(CONNECTING_MAX),
            plan,
        }
    }

    /// The latest update to the first connection.
    pub fn sample(&self) -> Vec<u8> {
        held(&self.sample).clone()
    }

    /// What went wrong, the first time.
    pub fn fault(&self) -> Option<String> {
        held(&self.fault).clone()
    }

    fn record_fault(&self, fault: impl FnOnce() -> String) {
        held(&self.fault).get_or_insert_with(fault);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whole nanoseconds; enough for centuries.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Holds one connection; tries again until it is answered, and makes it anew if that is how the crowd is.
pub async fn stay(shared: Arc<Shared>, group: usize, at: usize) {
    let member = &shared.members[group][at];
    let mut known = None;
    let mut backoff = reconnect_backoff();
    let mut permit = shared.gate.acquire().await.ok();
    loop {
        let end = attend(&shared, group, at, &mut known, &mut backoff, &mut permit).await;
        let was_here = member.here.swap(false, Ordering::Relaxed);
        let counter = if was_here { &member.ended } else { &member.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        let hint = match &end {
            End::Closed { code: 1001, reason } => reason.parse().ok(),
            End::Closed { .. } | End::Cut(_) => None,
        };
        shared.record_fault(|| end.to_string());
        if was_here && shared.plan.after == After::Stay {
            return;
        }
        tokio::time::sleep(reconnect_delay(&mut backoff, rand::random(), hint)).await;
    }
}

/// Connects, subscribes and counts to the end.
async fn attend(
    shared: &Shared,
    group: usize,
    at: usize,
    known: &mut Option<u64>,
    backoff: &mut Backoff,
    permit: &mut Option<SemaphorePermit<'_>>,
) -> End {
    let CrowdPlan { endpoint, tokens, groups, .. } = &shared.plan;
    let member = &shared.members[group][at];
    let source = u8::try_from(2 + at % SOURCES).unwrap_or(1);
    let from = Ipv4Addr::new(127, 0, 0, source);
    let connecting = async {
        let token = &tokens[at % tokens.len()];
        let mut client = Client::connect(endpoint, token, groups[group].name, from, None).await?;
        for topic in &groups[group].topics {
            client.subscribe(topic, *known).await?;
        }
        Ok::<_, Fault>(client)
    };
    let mut client = match connecting.await {
        Ok(client) => client,
        Err(fault) => return End::Cut(fault.to_string()),
    };
    let sampled = group == 0 && at == 0;
    let mut refusal = None;
    loop {
        let read = client.read(|kind, payload, bytes| match kind {
            Kind::Snapshot | Kind::Update => {
                if !member.here.swap(true, Ordering::Relaxed) {
                    member.answered.store(nanoseconds(shared.clock.elapsed()), Ordering::Relaxed);
                    *permit = None;
                    backoff.reset();
                }
                if shared.plan.after == After::ComeBack {
                    *known = (endpoint.codec.revision)(payload).or(*known);
                }
                if kind == Kind::Update {
                    if group == 0 {
                        member.note(shared.plan.noting, payload);
                    }
                    member.updates.fetch_add(1, Ordering::Relaxed);
                    member.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    if sampled {
                        payload.clone_into(&mut held(&shared.sample));
                    }
                }
            }
            Kind::Welcome | Kind::Ping => {}
            Kind::Error | Kind::Strange => refusal = Some(String::from_utf8_lossy(payload).into_owned()),
        });
        if let Err(end) = read.await {
            return end;
        }
        if let Some(refusal) = refusal {
            return End::Cut(refusal);
        }
    }
}
