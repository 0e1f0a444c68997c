//! Tasks that are the operator's own processes, seen from outside.
//!
//! What happens to a process costs its item an attempt, and never the truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::support::{PATIENCE, TestServer, assert_sums, id, number};

/// How often a process of a task is killed.
const KILLS: u32 = 20;
/// Items of the batch whose processes are killed.
const ITEMS: usize = 1_500;

const WORKER: &str = r#"
import json, os, signal, sys, time
for line in sys.stdin:
    item = json.loads(line)
    word = item["input"]
    with open(os.path.join(item["params"]["home"], "worker-" + str(os.getpid())), "w"): pass
    if word == "poison": os.kill(os.getpid(), signal.SIGKILL)
    if word == "bad": print(json.dumps({"error": "bad word", "retry": False}), flush=True); continue
    if word == "file":
        open(os.path.join(item["out"], "a.txt"), "w").write("kept")
        print(json.dumps({"file": "a.txt"}), flush=True)
    time.sleep(item["params"]["ms"] / 1000)
    print(json.dumps({"seq": item["seq"], "result": {"word": word}}), flush=True)
"#;

const TASKS: &str = r#"
[[task]]
name = "shell"
input = "line"
command = ["sh", "-c", "printf '%s' \"$1\" > \"$2/line\"; echo \"$3\"; echo \"{\\\"progress\\\":0.5}\"; exit $4", "sh", "{line}", "{out}", "{seq}", "{code}"]
[task.params.code]
type = "integer"
default = 0

[[task]]
name = "stubborn"
input = "line"
command = ["sh", "-c", "trap '' TERM; (trap '' TERM; echo $$ > \"$1\"; while :; do sleep 1; done) & while :; do sleep 1; done", "sh", "{line}"]

[[task]]
name = "words"
input = "line"
worker = ["python3", "words.py"]
processes = 4
[task.params.home]
type = "string"
[task.params.ms]
type = "integer"
default = 0
"#;

/// A server with the tasks above.
async fn start() -> TestServer {
    let mut server = TestServer::start().await;
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    std::fs::write(server.folder.path().join("words.py"), WORKER).unwrap();
    server.kill().await;
    server.spawn().await;
    server
}

async fn submit(server: &TestServer, task: &str, params: Value, options: Value, items: &[String]) -> Value {
    let body = json!({"task": task, "params": params, "options": options, "items": items});
    server.post_json("/batches", &body).await.ok()
}

async fn item(server: &TestServer, batch: &Value, seq: u64) -> Value {
    server.get(&format!("/batches/{}/items/{seq}", id(batch))).await.ok()
}

fn outcomes(item: &Value) -> Vec<&str> {
    let history = item["history"].as_array().unwrap();
    history.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect()
}

fn home(server: &TestServer) -> Value {
    server.folder.path().to_str().unwrap().into()
}

/// True while something runs in the group of which a script has written the id.
fn runs(path: &Path) -> bool {
    let group = std::fs::read_to_string(path).unwrap().trim().to_owned();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.len() > 2 && fields[2] == group && !matches!(fields[0], "Z" | "X")
    })
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn commands_get_values_whole_and_leave_files() {
    let server = start().await;
    let tasks = server.get("/tasks").await.ok();
    let shell = tasks["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "shell").unwrap();
    assert_eq!(
        (&shell["title"], &shell["params"]["properties"]["code"]["default"]),
        (&"Shell".into(), &0.into())
    );
    let hostile = ["-n", "a b", "$(id)", "{seq}", "\"'`", "*", "; exit 3", "line\nbreak"].map(str::to_owned);
    let batch = submit(&server, "shell", json!({}), json!({}), &hostile).await;
    let done = server.finished(&batch).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    for (seq, text) in (1..).zip(&hostile) {
        let file = server.get(&format!("/batches/{}/items/{seq}/files/line", id(&batch))).await;
        assert_eq!(&file.text, text);
        assert!(item(&server, &batch, seq).await["log"].as_str().unwrap().contains(&format!("info {seq}\n")));
    }
    let options = json!({"attempts_max": 2, "retry_base_ms": 10});
    let batch = submit(&server, "shell", json!({"code": 3}), options, &hostile[..1]).await;
    server.finished(&batch).await;
    let failed = item(&server, &batch, 1).await;
    assert_eq!(
        (&failed["error"], outcomes(&failed)),
        (&"The command ended with exit code 3.".into(), vec!["failed"; 2])
    );
    server
        .post_json("/batches", &json!({"task": "shell", "params": {"code": "x"}, "items": ["a"]}))
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn time_limit_and_cancel_end_the_whole_group() {
    let server = start().await;
    let path = |name: &str| server.folder.path().join(name);
    let line = |name: &str| path(name).to_str().unwrap().to_owned();
    let options = json!({"timeout_seconds": 1, "attempts_max": 1});
    let timed = submit(&server, "stubborn", json!({}), options, &[line("timed")]).await;
    let done = server.finished(&timed).await;
    assert_eq!(done["state"], "failed");
    assert_eq!(outcomes(&item(&server, &timed, 1).await), ["timed_out"]);
    assert!(!runs(&path("timed")));
    let cancelled = submit(&server, "stubborn", json!({}), json!({}), &[line("cancelled")]).await;
    until("started", || std::fs::read_to_string(path("cancelled")).is_ok_and(|text| text.ends_with('\n')))
        .await;
    assert!(runs(&path("cancelled")));
    server.post(&format!("/batches/{}/cancel", id(&cancelled))).await.ok();
    assert_eq!(server.finished(&cancelled).await["state"], "cancelled");
    assert!(!runs(&path("cancelled")));
}

#[tokio::test]
async fn a_killed_server_leaves_no_process_behind() {
    let mut server = start().await;
    let path = server.folder.path().join("group");
    let batch = submit(&server, "stubborn", json!({}), json!({}), &[path.to_str().unwrap().to_owned()]).await;
    until("started", || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
    server.kill().await;
    assert!(runs(&path), "nobody has ended it yet");
    let old = server.folder.path().join("old");
    std::fs::rename(&path, &old).unwrap();
    server.spawn().await;
    assert!(!runs(&old));
    let now = server.get(&format!("/batches/{}", id(&batch))).await.ok();
    assert_sums(&now);
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    server.finished(&batch).await;
    assert_eq!(item(&server, &batch, 1).await["state"], "cancelled");
}

#[tokio::test]
async fn killed_workers_cost_attempts_and_never_the_truth() {
    let server = start().await;
    let words: Vec<String> = (1..=ITEMS).map(|number| format!("word {number}")).collect();
    let params = json!({"home": home(&server), "ms": 4});
    let batch =
        submit(&server, "words", params, json!({"retry_base_ms": 10, "attempts_max": 10}), &words).await;
    let mut random = StdRng::seed_from_u64(11);
    let mut killed = 0;
    let deadline = Instant::now() + PATIENCE;
    while killed < KILLS {
        assert!(Instant::now() < deadline, "only {killed} could be killed");
        tokio::time::sleep(Duration::from_millis(random.random_range(10..60))).await;
        let names = std::fs::read_dir(server.folder.path()).unwrap().flatten();
        let marks: Vec<_> =
            names.filter(|entry| entry.file_name().to_string_lossy().starts_with("worker-")).collect();
        let Some(mark) = marks.get(random.random_range(0..marks.len().max(1))) else { continue };
        let process = mark.file_name().to_string_lossy()["worker-".len()..].to_owned();
        std::fs::remove_file(mark.path()).unwrap();
        let done = std::process::Command::new("kill")
            .args(["-9", &process])
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        killed += u32::from(done.success());
        assert_sums(&server.get(&format!("/batches/{}", id(&batch))).await.ok());
    }
    let done = server.finished(&batch).await;
    assert_eq!(number(&done, "succeeded") + number(&done, "failed"), ITEMS as u64);
    let (mut lost, rows) = (0, server.rows(&batch).await);
    assert_eq!(rows.len(), ITEMS);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(number(row, "seq"), at as u64 + 1, "each once, in order");
        let attempts = number(row, "attempts");
        if row["state"] == "succeeded" {
            assert_eq!(row["result"]["word"], words[at].as_str(), "the answer is its own");
        }
        if attempts > 1 {
            let whole = item(&server, &batch, at as u64 + 1).await;
            let crashes = outcomes(&whole).iter().filter(|outcome| **outcome == "lost").count() as u64;
            assert_eq!(crashes, if row["state"] == "failed" { attempts } else { attempts - 1 }, "{whole}");
            assert!(row["state"] == "succeeded" || crashes >= 3, "{whole}");
            lost += crashes;
        }
    }
    assert!(lost > 0 && lost <= u64::from(killed), "{lost} attempts were lost to {killed} kills");
}

#[tokio::test]
async fn an_item_that_kills_its_worker_is_set_aside() {
    let server = start().await;
    let mut words = vec!["good".to_owned(); 60];
    (words[20], words[40], words[50]) = ("poison".to_owned(), "bad".to_owned(), "file".to_owned());
    let params = json!({"home": home(&server)});
    let batch = submit(&server, "words", params, json!({"retry_base_ms": 10}), &words).await;
    let done = server.finished(&batch).await;
    assert_eq!((number(&done, "succeeded"), number(&done, "failed")), (58, 2), "{done}");
    let poison = item(&server, &batch, 21).await;
    assert_eq!((outcomes(&poison), &poison["family"]), (vec!["lost"; 3], &"poison".into()), "{poison}");
    assert!(poison["error"].as_str().unwrap().contains("signal 9 (killed)"), "{poison}");
    let bad = item(&server, &batch, 41).await;
    assert_eq!((&bad["error"], outcomes(&bad)), (&"bad word".into(), vec!["failed"]));
    let file = server.get(&format!("/batches/{}/items/51/files/a.txt", id(&batch))).await;
    assert_eq!(file.text, "kept");
    let families = server.get(&format!("/batches/{}/families", id(&batch))).await.ok();
    let counts: BTreeMap<_, _> = families["families"]
        .as_array()
        .unwrap()
        .iter()
        .map(|family| (family["id"].as_str().unwrap(), number(family, "count")))
        .collect();
    assert_eq!(counts.get("poison"), Some(&1), "{families}");
}

#[tokio::test]
async fn a_task_can_be_tried_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("milepost.toml"), TASKS).unwrap();
    std::fs::write(folder.path().join("words.py"), WORKER).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_milepost"));
        let output = command
            .args(arguments)
            .current_dir(folder.path())
            .env_remove("MILEPOST_CONFIG")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, listed, _) = run(&["task", "list"]);
    assert!(code == Some(0) && listed.contains("shell\tline\tShell\n"), "{listed}");
    let (code, out, _) = run(&["task", "check", "shell", "--input", "a b", "--param", "code=4"]);
    for line in
        ["$ sh -c ", "'a b'", "out: {\"progress\":0.5}", "ended: exit code 4", "failed after", "file:"]
    {
        assert_eq!(out.contains(line), line != "file:", "{line} in {out}");
    }
    assert_eq!(code, Some(1));
    let home = format!("home={}", folder.path().display());
    let (code, out, _) = run(&["task", "check", "words", "--input", "file", "--param", &home]);
    for line in ["$ python3 ", "in: {\"v\":1,", "result: {\"word\": \"file\"}", "file: a.txt (4 bytes)"] {
        assert!(out.contains(line), "{line} in {out}");
    }
    assert_eq!(code, Some(0));
    std::fs::write(folder.path().join("milepost.toml"), TASKS.replace("{line}", "{lines}")).unwrap();
    let (code, _, told) = run(&["serve"]);
    assert!(
        code == Some(1) && told.contains("milepost.toml:5: task.command: unknown placeholder {lines}"),
        "{told}"
    );
}

#[test]
fn the_examples_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (arguments, result) in [
        (&["word-count", "--input", "milepost.toml"][..], "result: {\"lines\":"),
        (&["greet", "--input", "{\"name\":\"Ada\"}"][..], "result: {\"greeting\": \"Hello, Ada!\"}"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_milepost"));
        let command = command.args(["task", "check"]).args(arguments).current_dir(&folder);
        let output = command.env_remove("MILEPOST_CONFIG").output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && out.contains(result) && out.contains("file: "), "{out}");
    }
}
