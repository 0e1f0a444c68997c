//! Declared tasks as the engine runs them, with real processes.
//!
//! One verdict for each item, whatever its process does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::context::WorkCell;
use super::super::task::{Again, ItemInput, TaskError};
use super::super::{Registry, TaskContext};
use super::*;
use crate::protocol::BatchId;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    folder: tempfile::TempDir,
    tasks: Registry,
    prepared: Arc<dyn Prepared>,
}

/// What came of one item.
struct Came {
    outcome: Result<Json, TaskError>,
    cell: Arc<WorkCell>,
}

impl Came {
    fn log(&self) -> String {
        self.cell.log().1
    }

    fn files(&self) -> Vec<String> {
        self.cell.files().into_iter().map(|(name, _)| name).collect()
    }

    #[track_caller]
    fn error(&self) -> &TaskError {
        self.outcome.as_ref().unwrap_err()
    }

    #[track_caller]
    fn value(&self) -> Value {
        self.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {}", self.log())).to_value()
    }
}

fn house(input: InputKind, way: Invocation) -> House {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = Registry::default().on(folder.path());
    tasks
        .declare(Declaration {
            name: "x".to_owned(),
            title: "X".to_owned(),
            description: String::new(),
            input,
            way,
            timeout_seconds: 60,
            env: Vec::new(),
            secrets: BTreeMap::new(),
            process_limits: ProcessLimits::default(),
            output_limits: OutputLimits::default(),
            params: Json::from_value(&json!({"width": {"type": "integer", "default": 320}})),
            folder: folder.path().to_owned(),
        })
        .unwrap();
    let (_, prepared) = tasks.prepare("x", &Json::default()).unwrap().unwrap();
    House { folder, tasks, prepared }
}

fn shell(script: &str) -> House {
    let words = ["sh", "-c", script, "sh", "{line}", "{width}", "{out}"].map(str::to_owned);
    house(InputKind::Line, Invocation::OneShot(words.to_vec()))
}

/// A worker whose body is run for each item, as `item`.
fn python(processes: u32, body: &str) -> House {
    let script = format!(
        "import json, os, sys, time, signal\n\
         def say(**said): print(json.dumps(said), flush=True)\n\
         for line in sys.stdin:\n    item = json.loads(line)\n{}",
        body.lines().map(|line| format!("    {line}\n")).collect::<String>()
    );
    let argv = ["/usr/bin/env", "python3", "-c", &script].map(str::to_owned).to_vec();
    house(InputKind::Line, Invocation::Worker { argv, processes })
}

impl House {
    fn start(&self, seq: u64, line: &str, token: &CancellationToken) -> (Run, Arc<WorkCell>) {
        let cell = Arc::new(WorkCell::default());
        let out = self.folder.path().join(format!("work/{seq}-1"));
        let context = TaskContext::new(Arc::clone(&cell), token.clone(), out);
        let input = ItemInput::Value(Json::string(line));
        let item = Item { batch: BatchId::from_u128(1), seq, generation: 1, attempt: 1, input };
        (self.prepared.run(item, context), cell)
    }

    async fn run(&self, seq: u64, line: &str) -> Came {
        let (run, cell) = self.start(seq, line, &CancellationToken::new());
        let outcome = tokio::time::timeout(PATIENCE, run).await.expect("it ends");
        Came { outcome, cell }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The process whose id a script has written to `path` is gone, or waits to be reaped.
fn is_gone(path: &Path) -> bool {
    has_ended(fs::read_to_string(path).unwrap().trim())
}

fn has_ended(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[tokio::test]
async fn a_command_tells_all_that_the_page_shows() {
    let house = shell(
        "pwd >&2; ls -A; echo '{\"progress\":0.5}'; echo '{\"log\":\"careful\",\"level\":\"warn\"}'; \
         echo \"plain $1 $2\"; mkdir $3/a; echo x > $3/a/b.txt; echo '{\"seq\":9,\"result\":1}'; \
         echo '{\"result\":{\"n\":1}}'",
    );
    let came = house.run(4, "one two").await;
    assert_eq!(came.value(), json!({"n": 1}));
    assert_eq!(came.files(), ["a/b.txt"]);
    assert!((came.cell.progress().unwrap().0 - 0.5).abs() < 1e-6);
    let log = came.log();
    assert!(log.contains("warn careful\n") && log.contains("info plain one two 320\n"), "{log}");
    assert!(log.contains("another item is ignored") && log.contains("/work/4-1/run\n"), "{log}");
    assert_eq!(shell("exit 0").run(1, "").await.value(), Value::Null);
}

#[tokio::test]
async fn a_command_fails_in_words() {
    for (script, kind, message, again) in [
        (
            "echo first >&2; echo 'no such thing' >&2; exit 3",
            "exit",
            "The command ended with exit code 3: no such thing",
            Again::Yes,
        ),
        ("exit 1", "exit", "The command ended with exit code 1.", Again::Yes),
        ("kill -9 $$", "signal", "The command ended with signal 9 (killed).", Again::Yes),
        ("echo '{\"error\":\"bad input\",\"retry\":false}'", "error", "bad input", Again::No),
        ("echo '{\"error\":\"later\"}'; exit 9", "error", "later", Again::Yes),
        ("ln -s /etc/passwd $3/p", "files", "The file \"p\" is a link: links are refused.", Again::No),
    ] {
        let came = shell(script).run(1, "").await;
        let error = came.error();
        assert_eq!((error.kind, error.message.as_str(), error.again), (kind, message, again), "{script}");
    }
    let house = house(InputKind::Line, Invocation::OneShot(vec!["no-such-program".to_owned()]));
    assert!(
        house
            .run(1, "")
            .await
            .error()
            .message
            .starts_with("The program \"no-such-program\" cannot be started")
    );
    let zero = shell("true").run(1, "a\0b").await;
    assert_eq!((zero.error().kind, zero.error().again), ("start", Again::No));
}

#[tokio::test]
async fn what_a_command_leaves_running_ends_with_it() {
    let house = shell("trap '' TERM; sleep 600 & echo $! > \"$1\"; echo '{\"result\":1}'");
    let path = house.path("child");
    let begun = Instant::now();
    let came = house.run(1, path.to_str().unwrap()).await;
    assert_eq!(came.value(), 1);
    assert!(begun.elapsed() < Duration::from_secs(5) && is_gone(&path));
    assert!(came.log().contains("held its output open"), "{}", came.log());
}

#[tokio::test]
async fn a_stop_ends_the_whole_group() {
    let house = shell(
        "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! > \"$1\"; while :; do sleep 1; done",
    );
    let path = house.path("child");
    let token = CancellationToken::new();
    let (run, _cell) = house.start(1, path.to_str().unwrap(), &token);
    let stopper = async {
        until(|| fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(tokio::time::timeout(PATIENCE, run), stopper);
    assert_eq!(outcome.unwrap().unwrap_err().kind, "cancelled");
    assert!(is_gone(&path));
}

#[tokio::test]
async fn one_worker_answers_item_after_item() {
    let house = python(
        1,
        "say(progress={'done': 1, 'total': 4, 'note': 'half'})\nprint('to the log', file=sys.stderr, flush=True)\n\
         open(item['out'] + '/a.txt', 'w').write('x')\nsay(file='a.txt')\n\
         say(seq=item['seq'] + 1, result='of another')\n\
         say(seq=item['seq'], result=[os.getpid(), item['input'], item['params']['width'], item['attempt'], os.listdir('.')])\n\
         print('rubbish', flush=True)",
    );
    let mut ids = std::collections::BTreeSet::new();
    for seq in 1..=20 {
        let came = house.run(seq, &format!("line {seq}\n{{seq}}")).await;
        let value = came.value();
        ids.insert(value[0].as_u64().unwrap());
        assert_eq!(
            value.as_array().unwrap()[1..],
            [json!(format!("line {seq}\n{{seq}}")), 320.into(), 1.into(), json!([])]
        );
        assert_eq!(came.files(), ["a.txt"]);
        assert_eq!(came.cell.progress().unwrap().1.as_deref(), Some("half"));
        assert!(came.log().contains("warn to the log"), "{}", came.log());
    }
    assert_eq!(ids.len(), 1, "one process did them all");
    house.tasks.close().await;
    let folders = fs::read_dir(house.path("work")).unwrap();
    assert!(folders.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with(WORKER_FOLDER)));
}

#[tokio::test]
async fn a_worker_that_dies_is_a_crash_and_is_replaced() {
    let house = python(
        2,
        "if item['input'] == 'die': os.kill(os.getpid(), signal.SIGKILL)\n\
         if item['input'] == 'leave': sys.exit(0)\n\
         if item['input'] == 'last': say(result=1); sys.exit(7)\n\
         if item['input'] == 'no': say(error='never', retry=False)\n\
         else: say(result=item['input'])",
    );
    assert_eq!(house.run(1, "a").await.value(), "a");
    for (line, message) in [
        ("die", "The worker ended with signal 9 (killed) before it had answered."),
        ("leave", "The worker ended with exit code 0 before it had answered."),
    ] {
        let came = house.run(2, line).await;
        assert_eq!((came.error().again, came.error().message.as_str()), (Again::Crashed, message));
        assert_eq!(house.run(3, "b").await.value(), "b");
    }
    assert_eq!(house.run(4, "last").await.value(), 1, "what it said before it left counts");
    let came = house.run(5, "no").await;
    assert_eq!((came.error().again, came.error().message.as_str()), (Again::No, "never"));
    assert_eq!(house.run(6, "c").await.value(), "c");
}

#[tokio::test]
async fn an_idle_worker_that_was_killed_costs_nothing() {
    let house = python(1, "say(result=os.getpid())");
    for seq in 1..=5 {
        let id = house.run(seq, "").await.value().as_i64().unwrap();
        let process = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        // While it dies it may still take what is written to it.
        until(|| has_ended(&id.to_string())).await;
    }
}

#[tokio::test]
async fn processes_that_die_at_once_do_not_spin() {
    let worker = |script: &str| {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        house(InputKind::Line, Invocation::Worker { argv, processes: 1 })
    };
    let house = worker("exit 5");
    let begun = Instant::now();
    for seq in 1..=2 {
        assert_eq!(house.run(seq, "").await.error().again, Again::Crashed);
    }
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn waiting_for_a_turn_takes_no_time_of_the_item() {
    let house = python(1, "time.sleep(0.2)\nsay(result=1)");
    let token = CancellationToken::new();
    let (mut first, first_cell) = house.start(1, "", &token);
    let (mut second, second_cell) = house.start(2, "", &token);
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    let runs = |cell: Arc<WorkCell>| async move {
        tokio::time::timeout(Duration::from_millis(20), cell.time_runs()).await.is_ok()
    };
    assert!(runs(first_cell).await && !runs(Arc::clone(&second_cell)).await);
    assert!(first.await.is_ok() && second.await.is_ok());
    assert!(runs(second_cell).await);
}

#[tokio::test]
async fn a_stopped_worker_is_ended_and_the_next_item_has_a_new_one() {
    let house = python(
        1,
        "if item['input']: open(item['input'], 'w').write(str(os.getpid()) + '\\n'); time.sleep(600)\nsay(result=1)",
    );
    let path = house.path("id");
    let token = CancellationToken::new();
    let (run, _cell) = house.start(1, path.to_str().unwrap(), &token);
    let stopper = async {
        until(|| fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(run, stopper);
    assert_eq!(outcome.unwrap_err().kind, "cancelled");
    assert!(is_gone(&path));
    assert_eq!(house.run(2, "").await.value(), 1);
}

#[tokio::test]
async fn answers_without_end_cost_the_item_alone() {
    let house = python(
        1,
        "if item['input']: sys.stdout.write('{\"result\":\"' + 'x' * 3_000_000 + '\"}\\n'); sys.stdout.flush()\n\
         say(result=1)",
    );
    let came = house.run(1, "long").await;
    assert_eq!((came.error().kind, came.error().again), ("answer", Again::No));
    assert_eq!(house.run(2, "").await.value(), 1);
}

#[tokio::test]
async fn long_lines_that_answer_nothing_are_log() {
    let worker = python(1, "sys.stdout.write('x' * 3_000_000 + '\\n')\nsay(result=1)");
    let came = worker.run(1, "").await;
    assert!(came.log().contains("xxx") && came.log().len() < 100_000);
    assert_eq!(came.value(), 1);
    let flood = "head -c 3000000 /dev/zero | tr '\\0' x; echo; head -c 3000000 /dev/zero >&2";
    let came = shell(&format!("{flood}; echo '{{\"result\":2}}'")).run(1, "").await;
    assert!(came.log().contains("xxx") && came.log().len() < 100_000);
    assert_eq!(came.value(), 2);
}

#[tokio::test]
async fn an_answer_that_is_no_json_fails_the_item_at_once() {
    let worker = python(
        1,
        "print({'nan': '{\"result\":{\"mean\":NaN}}', 'error': r'{\"error\":\"no K\\udcf6ln\",\"retry\":false}'}\
         .get(item['input'], '{\"result\":7}'), flush=True)",
    );
    let shell = shell(
        r#"case "$1" in nan) echo '{"result":{"mean":NaN}}';; error) echo '{"error":"no K\udcf6ln","retry":false}';;
           *) echo '{"result":7}';; esac"#,
    );
    for house in [worker, shell] {
        let came = house.run(1, "nan").await;
        assert_eq!((came.error().kind, came.error().again), ("answer", Again::No));
        assert!(came.error().message.contains("NaN") && came.log().contains("NaN"), "{:?}", came.error());
        let came = house.run(2, "error").await;
        assert_eq!((&*came.error().message, came.error().again), ("no K\u{fffd}ln", Again::No));
        assert_eq!(house.run(3, "").await.value(), 7);
    }
}

#[tokio::test]
async fn a_flood_can_be_stopped_and_is_bounded() {
    let worker = python(1, "while True: sys.stdout.write('y\\n' * 10_000); sys.stderr.write('n\\n')");
    for house in [shell("yes"), shell("yes >&2"), worker] {
        let token = CancellationToken::new();
        let (run, cell) = house.start(1, "", &token);
        let stopper = async {
            until(|| cell.log().0 > 100_000).await;
            token.cancel();
        };
        let (outcome, ()) =
            tokio::time::timeout(PATIENCE, async { tokio::join!(run, stopper) }).await.unwrap();
        assert_eq!(outcome.unwrap_err().kind, "cancelled");
        assert!(cell.log().1.len() < 100_000);
    }
}
