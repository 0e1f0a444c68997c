//! The task `demo`: work that is only pretended, to try, to show and to measure Milepost.
//!
//! Called through the registry. With its defaults it is the no-op, which is done at the first poll.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::context::{LogLevel, TaskContext};
use super::task::{Item, Task, TaskError};
use crate::protocol::{InputKind, Json, Seq};

/// Wall time between two looks at the cancel while computing.
const SPIN_PIECE: Duration = Duration::from_micros(500);

/// What planned failures say, and up to which share of 100 of them.
const FAILURES: [(u64, &str); 3] = [
    (60, "connection to upstream timed out after 3000 ms"),
    (90, "the catalogue answered 503 Service Unavailable"),
    (100, "the checksum of part 2 does not match"),
];

/// Pretended work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demo;

/// How to pretend.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Demo")]
pub struct DemoParams {
    /// How long one item takes, in milliseconds.
    #[schemars(title = "Duration (ms)", range(min = 0, max = 3_600_000))]
    duration_ms: u32,
    /// How far durations lie apart: 0 = all alike, 1 = from nothing to twice the duration. Goes by seq.
    #[schemars(title = "Jitter", range(min = 0.0, max = 1.0))]
    jitter: f64,
    /// Compute for that time instead of waiting.
    #[schemars(title = "Spin")]
    spin: bool,
    /// The part of the items that fail: 0 = none, 0.02 = about every fiftieth, 1 = all. Goes by seq.
    #[schemars(title = "Fail rate", range(min = 0.0, max = 1.0))]
    fail_rate: f64,
    /// How many attempts of such an item fail; 0 = every one.
    #[schemars(title = "Failing attempts", range(min = 0, max = 100))]
    fail_attempts: u32,
    /// The part of the failing items that succeed when a retry runs them again: 0 = none, 0.5 = about half, 1 = all. Goes by
    /// seq, and is drawn anew for each retry.
    #[schemars(title = "Mend rate", range(min = 0.0, max = 1.0))]
    mend_rate: f64,
    /// Items have a result: how long they were to take, and in which attempt and run they succeeded. Otherwise none.
    #[schemars(title = "Results")]
    results: bool,
    /// Progress reports inside an item.
    #[schemars(title = "Steps", range(min = 0, max = 10_000))]
    steps: u32,
    /// Lines that an item writes to its log.
    #[schemars(title = "Log lines", range(min = 0, max = 10_000))]
    log_lines: u32,
}

impl DemoParams {
    /// True if an item has nothing to do but to end well.
    fn is_no_op(&self) -> bool {
        self.duration_ms == 0
            && self.fail_rate <= 0.0
            && !self.results
            && self.steps == 0
            && self.log_lines == 0
    }

    /// How long item `seq` takes.
    fn duration(&self, seq: Seq) -> Duration {
        let spread = self.jitter * (2.0 * unit(seq, 1) - 1.0);
        Duration::from_millis(u64::from(self.duration_ms)).mul_f64((1.0 + spread).max(0.0))
    }

    /// What this attempt of an item is to fail with, if it is to fail.
    fn failure(&self, turn: Turn) -> Option<&'static str> {
        let Turn { seq, attempt, .. } = turn;
        let chosen = unit(seq, 2) < self.fail_rate;
        if !chosen || (self.fail_attempts > 0 && attempt > self.fail_attempts) || self.mends(turn) {
            return None;
        }
        let share = mix(seq, 3) % 100;
        FAILURES.iter().find(|(up_to, _)| share < *up_to).map(|(_, message)| *message)
    }

    /// True where the retry that runs an item mends it.
    fn mends(&self, Turn { seq, generation, .. }: Turn) -> bool {
        generation > 1 && unit(mix(seq, 5).wrapping_add(generation.into()), 6) < self.mend_rate
    }

    /// What an item that succeeds says of itself.
    fn result(&self, Turn { seq, generation, attempt }: Turn) -> Json {
        if !self.results {
            return Json::default();
        }
        let planned_ms = self.duration(seq).as_millis();
        Json::from_value(&json!({"planned_ms": planned_ms, "attempt": attempt, "run": generation}))
    }
}

/// Which attempt of which item.
#[derive(Clone, Copy, Debug)]
struct Turn {
    seq: Seq,
    generation: u32,
    attempt: u32,
}

impl Turn {
    fn of(item: &Item) -> Self {
        Self { seq: item.seq, generation: item.generation, attempt: item.attempt }
    }
}

/// Even bits from `seq` for one `purpose` (`SplitMix64`): the same in every run, on every machine.
fn mix(seq: Seq, purpose: u64) -> u64 {
    let mut bits = seq.wrapping_add(purpose << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number from 0 up to but not 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
fn unit(seq: Seq, purpose: u64) -> f64 {
    (mix(seq, purpose) >> 11) as f64 / (1u64 << 53) as f64
}

impl Task for Demo {
    type Params = DemoParams;
    const NAME: &'static str = "demo";
    const TITLE: &'static str = "Demo";
    const DESCRIPTION: &'static str =
        "Pretends to work: waits or computes, reports progress, writes log lines and fails as told.";
    const INPUT: InputKind = InputKind::Line;
    /// Longer than the longest item with full jitter.
    const TIMEOUT_SECONDS: u32 = 2 * 3_600 + 60;

    // Not an `async fn`: the state of real work is boxed only where there is work, which keeps the no-op small.
    fn run(
        &self,
        params: Arc<DemoParams>,
        item: Item,
        context: TaskContext,
    ) -> impl Future<Output = Result<Json, TaskError>> + Send {
        let work = (!params.is_no_op()).then(|| Box::pin(perform(params, Turn::of(&item), context)));
        async move {
            match work {
                None => Ok(Json::default()),
                Some(work) => work.await,
            }
        }
    }
}

/// Pretends one attempt: the failure, where one is planned, comes at its end.
async fn perform(params: Arc<DemoParams>, turn: Turn, context: TaskContext) -> Result<Json, TaskError> {
    let duration = params.duration(turn.seq);
    if params.spin && !duration.is_zero() {
        let params = Arc::clone(&params);
        tokio::task::spawn_blocking(move || spin(&params, duration, &context))
            .await
            .map_err(|_ended| TaskError::passing("crash", "the computation was cut short"))??;
    } else {
        wait(&params, duration, &context).await?;
    }
    match params.failure(turn) {
        Some(message) => Err(TaskError::passing("planned", message)),
        None => Ok(params.result(turn)),
    }
}

/// The moments at which an item says something, as parts `1..=parts` of its duration.
fn parts(params: &DemoParams) -> u32 {
    params.steps.max(params.log_lines).max(1)
}

/// Says what is due at `part` of `parts`: progress and log lines are spread evenly.
fn say(params: &DemoParams, part: u32, context: &TaskContext) {
    let parts = u64::from(parts(params));
    let due = |count: u32| {
        let until = |part: u32| u64::from(part) * u64::from(count) / parts;
        (until(part - 1), until(part))
    };
    let (said, now) = due(params.steps);
    if now > said {
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000 steps")]
        context.progress(now as f64 / f64::from(params.steps));
    }
    let (written, now) = due(params.log_lines);
    for line in written + 1..=now {
        context.log(LogLevel::Info, &format!("line {line} of {}", params.log_lines));
    }
}

/// Waits, until the end or until the item is no longer wanted.
async fn wait(params: &DemoParams, duration: Duration, context: &TaskContext) -> Result<(), TaskError> {
    let start = tokio::time::Instant::now();
    let parts = parts(params);
    for part in 1..=parts {
        if !duration.is_zero() {
            let end = start + duration.mul_f64(f64::from(part) / f64::from(parts));
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = context.until_cancelled() => return Err(TaskError::cancelled()),
            }
        }
        say(params, part, context);
    }
    Ok(())
}

fn spin(params: &DemoParams, duration: Duration, context: &TaskContext) -> Result<(), TaskError> {
    let start = std::time::Instant::now();
    let parts = parts(params);
    let mut bits = 1;
    for part in 1..=parts {
        let end = start + duration.mul_f64(f64::from(part) / f64::from(parts));
        while std::time::Instant::now() < end {
            if context.cancelled() {
                return Err(TaskError::cancelled());
            }
            let piece_end = end.min(std::time::Instant::now() + SPIN_PIECE);
            while std::time::Instant::now() < piece_end {
                for _ in 0..256 {
                    bits = std::hint::black_box(mix(bits, 4));
                }
            }
        }
        say(params, part, context);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tokio_util::sync::CancellationToken;

    use super::super::context::WorkCell;
    use super::super::task::ItemInput;
    use super::*;
    use crate::protocol::BatchId;

    fn item(seq: Seq, attempt: u32) -> Item {
        let input = ItemInput::Value(Json::default());
        Item { batch: BatchId::from_u128(1), seq, generation: 1, attempt, input }
    }

    fn turn(seq: Seq, generation: u32, attempt: u32) -> Turn {
        Turn { seq, generation, attempt }
    }

    fn context() -> (Arc<WorkCell>, TaskContext) {
        let cell = Arc::new(WorkCell::default());
        (Arc::clone(&cell), TaskContext::new(cell, CancellationToken::new(), "none".into()))
    }

    #[test]
    fn the_no_op_is_done_at_the_first_poll() {
        let mut run = Box::pin(Demo.run(Arc::default(), item(1, 1), context().1));
        let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(Json::default())));
        assert!(size_of_val(&*run) <= 64, "{} bytes", size_of_val(&*run));
    }

    #[test]
    fn failures_go_by_seq_and_attempt() {
        let params = DemoParams { fail_rate: 0.25, fail_attempts: 2, ..DemoParams::default() };
        let failing: Vec<Seq> =
            (1..=10_000).filter(|seq| params.failure(turn(*seq, 1, 1)).is_some()).collect();
        assert!((2_300..2_700).contains(&failing.len()), "{}", failing.len());
        for seq in &failing {
            assert_eq!(params.failure(turn(*seq, 1, 2)), params.failure(turn(*seq, 1, 1)));
            assert_eq!(params.failure(turn(*seq, 1, 3)), None);
        }
        for (_, message) in FAILURES {
            assert!(failing.iter().any(|seq| params.failure(turn(*seq, 1, 1)) == Some(message)), "{message}");
        }
        let always = DemoParams { fail_rate: 1.0, ..DemoParams::default() };
        assert!((1..=1_000).all(|seq| always.failure(turn(seq, 1, 1_000)).is_some()));
        let never = DemoParams { fail_attempts: 3, ..DemoParams::default() };
        assert!((1..=1_000).all(|seq| never.failure(turn(seq, 1, 1)).is_none()));
    }

    #[test]
    fn a_retry_mends_its_share_and_another_its_share_of_the_rest() {
        let params = DemoParams { fail_rate: 0.5, mend_rate: 0.5, ..DemoParams::default() };
        let fails = |seq: Seq, generation, attempt| params.failure(turn(seq, generation, attempt)).is_some();
        let failing: Vec<Seq> = (1..=20_000).filter(|seq| fails(*seq, 1, 1)).collect();
        let again: Vec<Seq> = failing.iter().copied().filter(|seq| fails(*seq, 2, 1)).collect();
        let thrice = again.iter().filter(|seq| fails(**seq, 3, 1)).count();
        for (left, of) in [(again.len(), failing.len()), (thrice, again.len())] {
            assert!((of * 46 / 100..of * 54 / 100).contains(&left), "{left} of {of}");
        }
        // Other attempts of the same run are no retry: they fail as the first did, or are not needed.
        assert!(failing.iter().all(|seq| fails(*seq, 1, 3) && fails(*seq, 2, 1) == fails(*seq, 2, 3)));
        let never = DemoParams { fail_rate: 1.0, ..DemoParams::default() };
        assert!((1..=1_000).all(|seq| never.failure(turn(seq, 9, 1)).is_some()), "none by default");
        let always = DemoParams { mend_rate: 1.0, ..never };
        assert!((1..=1_000).all(|seq| always.failure(turn(seq, 2, 1)).is_none()));
    }

    #[tokio::test]
    async fn results_say_how_it_was_and_only_where_they_are_asked_for() {
        let params = DemoParams { duration_ms: 5, results: true, ..DemoParams::default() };
        let result = Demo.run(Arc::new(params.clone()), item(1, 2), context().1).await.unwrap();
        assert_eq!(result.as_str(), r#"{"planned_ms":5,"attempt":2,"run":1}"#);
        let silent = DemoParams { results: false, ..params };
        assert_eq!(Demo.run(Arc::new(silent), item(1, 2), context().1).await, Ok(Json::default()));
        let quick = DemoParams { results: true, ..DemoParams::default() };
        assert!(!quick.is_no_op());
    }

    #[test]
    fn jitter_spreads_durations_by_seq() {
        let params = DemoParams { duration_ms: 100, jitter: 0.5, ..DemoParams::default() };
        let durations: Vec<f64> = (1..=1_000).map(|seq| params.duration(seq).as_secs_f64()).collect();
        assert!(durations.iter().all(|seconds| (0.05..=0.15).contains(seconds)));
        let mean = durations.iter().sum::<f64>() / 1_000.0;
        assert!((0.095..0.105).contains(&mean), "{mean}");
        assert_eq!(params.duration(7), params.duration(7));
    }

    #[tokio::test]
    async fn waiting_takes_its_time_and_reports() {
        let params = DemoParams { duration_ms: 20, steps: 4, log_lines: 10, ..DemoParams::default() };
        let (cell, context) = context();
        let start = std::time::Instant::now();
        assert_eq!(Demo.run(Arc::new(params), item(1, 1), context).await, Ok(Json::default()));
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(cell.progress(), Some((1.0, None)));
        assert_eq!(cell.reports(), 14);
        assert_eq!(cell.log().1.lines().last(), Some("info line 10 of 10"));
    }

    #[tokio::test]
    async fn what_waits_gives_way_at_once() {
        for steps in [0, 5] {
            let params = DemoParams { duration_ms: 3_600_000, steps, ..DemoParams::default() };
            let token = CancellationToken::new();
            let context = TaskContext::new(Arc::default(), token.clone(), "none".into());
            let mut run = Box::pin(Demo.run(Arc::new(params), item(1, 1), context));
            let mut poll = || run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(poll(), Poll::Pending);
            token.cancel();
            assert_eq!(poll(), Poll::Ready(Err(TaskError::cancelled())));
        }
    }

    #[tokio::test]
    async fn computing_takes_its_time_and_fails_as_planned() {
        let params =
            DemoParams { duration_ms: 5, spin: true, fail_rate: 1.0, steps: 2, ..DemoParams::default() };
        let (cell, context) = context();
        let start = std::time::Instant::now();
        let fault = Demo.run(Arc::new(params), item(1, 1), context).await.unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert_eq!(fault.kind, "planned");
        assert_eq!(cell.reports(), 2);
    }
}
