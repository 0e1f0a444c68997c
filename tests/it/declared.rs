//! What a declaration holds a task to, seen from outside: limits, secrets, a reload, and what reaches its processes.
//!
//! Each server here is started with a file of tasks of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{PATIENCE, TestServer, id, number};

/// A server whose file declares these tasks.
async fn start(tasks: &str, scripts: &[(&str, &str)], environment: &[(&str, &str)]) -> TestServer {
    let mut server = TestServer::prepare(&[]).await;
    std::fs::write(server.folder.path().join("milepost.toml"), tasks).unwrap();
    for (name, script) in scripts {
        std::fs::write(server.folder.path().join(name), script).unwrap();
    }
    assert!(server.spawn_with(environment).await, "{}", server.log());
    server
}

/// Submits lines to a task and waits for the end.
async fn run(server: &TestServer, task: &str, lines: &[&str]) -> Value {
    let body = json!({"task": task, "items": lines, "options": {"attempts_max": 1}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.finished(&batch).await
}

async fn item(server: &TestServer, batch: &Value, seq: u64) -> Value {
    server.get(&format!("/batches/{}/items/{seq}", id(batch))).await.ok()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A worker with `answer(item)` as its body; the item's line is `line`.
fn worker(body: &str) -> String {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "import json, os, sys, time\n\
         def say(**said): print(json.dumps({{'seq': item['seq'], **said}}), flush=True)\n\
         for text in sys.stdin:\n    item = json.loads(text); line = item['input']\n{body}"
    )
}

#[tokio::test]
async fn limits_of_a_task_end_its_items_in_words() {
    let tasks = r#"
[[task]]
name = "limited"
input = "line"
worker = ["python3", "limited.py"]
processes = 1
limits = { memory_bytes_max = 268_435_456, file_bytes_max = 4096, result_bytes_max = 100, lines_max = 50, output_bytes_max = 20_000, files_max = 2, files_bytes_max = 3000 }

[[task]]
name = "limited-command"
input = "line"
command = ["sh", "-c", "eval \"$1\"", "sh", "{line}", "{out}"]
limits = { memory_bytes_max = 268_435_456, file_bytes_max = 4096, result_bytes_max = 100, lines_max = 50, output_bytes_max = 20_000, files_max = 2, files_bytes_max = 3000 }
"#;
    let script = worker(
        r#"
if line == "memory":
    try: held = bytearray(600_000_000); say(result="held")
    except MemoryError: say(error="no memory", retry=False)
elif line == "file":
    try: open("big", "wb", 0).write(b"x" * 4096); open("big", "ab", 0).write(b"x"); say(result="written")
    except OSError as error: say(error=f"errno {error.errno}", retry=False)
elif line == "result": say(result="x" * 200)
elif line == "lines":
    while True: say(log="again")
elif line == "output": print("x" * 30_000, flush=True); say(result=1)
elif line == "count":
    for name in "abc": open(item["out"] + "/" + name, "w"); say(file=name)
    say(result=1)
elif line == "bytes":
    open(item["out"] + "/a", "w").write("x" * 3001); say(file="a"); say(result=1)
else: say(result=line)
"#,
    );
    let server = start(tasks, &[("limited.py", &script)], &[]).await;
    let cases = [
        ("memory", "no memory"),
        ("file", "errno 27"),
        ("result", "The result has 202 bytes; 100 are allowed."),
        ("lines", "The item wrote more than 50 lines."),
        ("output", "The item wrote more than 20000 bytes of output."),
        ("count", "The item left more than 2 files."),
        ("bytes", "The files of the item have 3001 bytes; 3000 are allowed."),
    ];
    let lines: Vec<&str> = cases.iter().map(|(line, _)| *line).chain(["fine"]).collect();
    let batch = run(&server, "limited", &lines).await;
    for (seq, (line, error)) in (1..).zip(cases) {
        let item = item(&server, &batch, seq).await;
        assert_eq!((&item["error"], &item["attempts"]), (&error.into(), &1.into()), "{line}: {item}");
    }
    assert_eq!(item(&server, &batch, lines.len() as u64).await["result"], "fine");

    let cases = [
        ("exec python3 -c 'bytearray(600000000)'", "exit code 1: MemoryError"),
        ("exec head -c 5000 /dev/zero > big", "signal 25 (file too large)"),
        ("printf '{\"result\":\"%0200d\"}' 0", "The result has 202 bytes; 100 are allowed."),
        ("yes", "The item wrote more than 50 lines."),
        ("yes >&2", "The item wrote more than 50 lines."),
        ("cat /dev/zero", "The item wrote more than 20000 bytes of output."),
        ("cd \"$2\"; touch a b c", "The item left more than 2 files."),
        ("head -c 3001 /dev/zero > \"$2/a\"", "The files of the item have 3001 bytes; 3000 are allowed."),
        ("exec no-such-program", "exit code 127"),
    ];
    let lines: Vec<&str> = cases.iter().map(|(line, _)| *line).chain(["echo '{\"result\":1}'"]).collect();
    let batch = run(&server, "limited-command", &lines).await;
    for (seq, (line, error)) in (1..).zip(cases) {
        let item = item(&server, &batch, seq).await;
        assert!(item["error"].as_str().is_some_and(|told| told.contains(error)), "{line}: {item}");
    }
    assert_eq!(item(&server, &batch, lines.len() as u64).await["result"], 1);
}

const SECRET: &str = "s3cret/\"välue\"";

#[tokio::test]
async fn secrets_reach_processes_and_nobody_else() {
    let tasks = r#"
[[task]]
name = "told"
input = "line"
worker = ["python3", "told.py"]
secrets = { KEY = { env = "OUR_KEY" }, TOKEN = { file = "token" } }
"#;
    let script = worker(
        r#"
key, token = os.environ["KEY"], os.environ["TOKEN"]
if line == "check": say(result=[len(key), len(token), "OUR_KEY" in os.environ])
print(key, file=sys.stderr, flush=True); print("plain", token, flush=True); say(log=key)
say(progress={"done": 1, "total": 2, "note": token})
if line == "error": say(error="denied: " + key, retry=False)
if line == "result": say(result={"key": key, "token": token, "ascii": True})
"#,
    );
    let token = "first-line-of-it\nsecond-line-of-it";
    let scripts = [("told.py", script.as_str()), ("token", &format!("{token}\n"))];
    let server = start(tasks, &scripts, &[("OUR_KEY", SECRET)]).await;
    let batch = run(&server, "told", &["check", "error", "result"]).await;
    let checked = item(&server, &batch, 1).await;
    assert_eq!(checked["result"], json!([SECRET.chars().count(), token.len(), false]));
    let failed = item(&server, &batch, 2).await;
    assert_eq!(failed["error"], "denied: ***");
    assert!(failed["log"].as_str().unwrap().contains("info plain ***\n"), "{failed}");
    let result = item(&server, &batch, 3).await;
    assert_eq!(result["result"], json!({"key": "***", "token": "***", "ascii": true}));
    let path = format!("/batches/{}", id(&batch));
    let mut shown = server.log();
    for part in ["/tasks", &path, &format!("{path}/items"), &format!("{path}/families")] {
        shown.push_str(&server.get(part).await.text);
    }
    for seq in 1..=3 {
        shown.push_str(&item(&server, &batch, seq).await.to_string());
    }
    for secret in ["s3cret", "first-line", "second-line"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let mut check = server.command(&["task", "check", "told", "--input", "error"]);
    let output = check.env("OUR_KEY", SECRET).output().await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("denied: ***") && !out.contains("s3cret") && !out.contains("first-line"), "{out}");
}

#[tokio::test]
async fn a_secret_that_is_missing_stops_the_start_by_its_name() {
    let tasks = "[[task]]\nname = \"told\"\ninput = \"line\"\ncommand = [\"true\"]\n\
                 secrets = { KEY = { env = \"OUR_KEY\" } }\n";
    let server = TestServer::bare(&[]);
    std::fs::write(server.folder.path().join("milepost.toml"), tasks).unwrap();
    let output = server.command(&["serve"]).env_remove("OUR_KEY").output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = "milepost.toml:1: task.secrets.KEY: the variable OUR_KEY is not set";
    assert!(!output.status.success() && told.contains(expected), "{told}");
    let listed = server.command(&["task", "list"]).env_remove("OUR_KEY").output().await.unwrap();
    assert!(listed.status.success(), "what is declared is listed all the same");
}

#[tokio::test]
async fn descriptors_of_whoever_started_the_server_reach_no_process() {
    let tasks = "[[task]]\nname = \"list\"\ninput = \"line\"\ncommand = [\"sh\", \"-c\", \"ls /proc/self/fd\"]\n\
                 [[task]]\nname = \"hold\"\ninput = \"line\"\nlimits = { file_bytes_max = 4096 }\n\
                 command = [\"sh\", \"-c\", \"ls /proc/self/fd\"]\n";
    let mut server = TestServer::prepare(&[]).await;
    std::fs::write(server.folder.path().join("milepost.toml"), tasks).unwrap();
    let script = "exec 9> held; exec \"$@\"";
    assert!(server.spawn_through(&["sh", "-c", script, "sh"]).await, "{}", server.log());
    let fd = format!("/proc/{}/fd/9", server.process());
    assert!(std::fs::read_link(fd).unwrap().ends_with("held"), "the server has it");
    for task in ["list", "hold"] {
        let batch = run(&server, task, &["x"]).await;
        let log = item(&server, &batch, 1).await["log"].as_str().unwrap().to_owned();
        // 3 is the folder that is being listed.
        assert_eq!(log, "info 0\ninfo 1\ninfo 2\ninfo 3\n", "{task}");
    }
}

fn titles(tasks: &Value) -> Vec<String> {
    let all = tasks["tasks"].as_array().unwrap().iter();
    let declared = all
        .filter(|task| !["checksum", "image", "csv-check", "demo"].contains(&task["name"].as_str().unwrap()));
    declared.map(|task| task["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_hangup_declares_the_tasks_anew_and_loses_no_work() {
    let script = worker(
        r#"
while line.startswith("wait") and not os.path.exists(os.path.join(item["params"]["home"], "go")): time.sleep(0.01)
say(result=[sys.argv[1], os.getpid()])
"#,
    );
    let task = |name: &str, word: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\ntitle = \"{name} {word}\"\ninput = \"line\"\nprocesses = 1\n\
             worker = [\"python3\", \"answer.py\", \"{word}\"]\n[task.params.home]\ntype = \"string\"\n"
        )
    };
    let first = task("same", "one") + &task("changed", "one") + &task("gone", "one");
    let server = start(&first, &[("answer.py", &script)], &[]).await;
    let file = server.folder.path().join("milepost.toml");
    let home = server.folder.path().to_str().unwrap().to_owned();
    let submit = async |task: &str, lines: &[&str]| {
        let options = json!({"concurrency": 2});
        let body = json!({"task": task, "items": lines, "params": {"home": home}, "options": options});
        server.post_json("/batches", &body).await.ok()
    };
    let same = server.finished(&submit("same", &["a"]).await).await;
    let changed = submit("changed", &["wait", "b", "c", "d"]).await;
    let gone = submit("gone", &["wait", "b", "c"]).await;
    // Of each two are in slots, of which one waits for the process.
    for batch in [&changed, &gone] {
        let running = async {
            while number(&server.get(&format!("/batches/{}", id(batch))).await.ok(), "running") < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, running).await.expect("it runs");
    }
    // What is wrong is refused, and the old stays.
    std::fs::write(&file, first.replace("title = \"same one\"", "titel = \"same\"")).unwrap();
    server.signal("HUP").await;
    until("refused", || server.log().contains("the old ones stay")).await;
    assert!(server.log().contains("milepost.toml:3: unknown key \"titel\""), "{}", server.log());
    assert_eq!(titles(&server.get("/tasks").await.ok()), ["same one", "changed one", "gone one"]);

    std::fs::write(&file, task("same", "one") + &task("changed", "two") + &task("added", "two")).unwrap();
    server.signal("HUP").await;
    until("declared anew", || server.log().contains("are declared anew")).await;
    assert_eq!(titles(&server.get("/tasks").await.ok()), ["same one", "changed two", "added two"]);
    std::fs::write(server.folder.path().join("go"), "").unwrap();
    let added = server.finished(&submit("added", &["x"]).await).await;
    assert_eq!(item(&server, &added, 1).await["result"][0], "two");
    let changed = server.finished(&changed).await;
    assert_eq!(changed["state"], "succeeded", "{changed}");
    for (seq, word) in (1..).zip(["one", "one", "two", "two"]) {
        let item = item(&server, &changed, seq).await;
        assert_eq!((&item["result"][0], &item["attempts"]), (&word.into(), &1.into()), "{item}");
    }
    let again = server.finished(&submit("same", &["b"]).await).await;
    let process = |item: Value| item["result"][1].clone();
    assert_eq!(process(item(&server, &again, 1).await), process(item(&server, &same, 1).await), "kept warm");
    // What was running of a task that is gone ends; the rest waits, with the reason.
    let path = format!("/batches/{}", id(&gone));
    let waits = async {
        loop {
            let batch = server.get(&path).await.ok();
            if batch["state"] == "paused" && number(&batch, "running") == 0 {
                return batch;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let paused = tokio::time::timeout(PATIENCE, waits).await.expect("it is paused");
    assert_eq!((number(&paused, "succeeded"), number(&paused, "pending")), (2, 1), "{paused}");
    assert!(paused["reason"].as_str().unwrap().contains("no task named \"gone\""), "{paused}");
    std::fs::write(&file, task("gone", "three")).unwrap();
    server.signal("HUP").await;
    until("declared once more", || server.log().matches("are declared anew").count() == 2).await;
    server.post(&format!("{path}/resume")).await.ok();
    assert_eq!(server.finished(&gone).await["state"], "succeeded");
    assert_eq!(item(&server, &gone, 3).await["result"][0], "three");
}

#[tokio::test]
async fn what_leaves_its_group_ends_soon_after_its_item() {
    let tasks = r#"
[[task]]
name = "leave"
input = "line"
command = ["sh", "-c", "setsid sh -c 'echo $$ > \"$0\"; exec sleep 600' \"$1\" > /dev/null 2>&1 < /dev/null & while [ ! -s \"$1\" ]; do sleep 0.01; done; [ \"$2\" = end ] || sleep 600", "sh", "{line}", "{how}"]
[task.params.how]
type = "string"
"#;
    let server = start(tasks, &[], &[]).await;
    let path = |name: &str| server.folder.path().join(name);
    let submit = async |name: &str, how: &str, options: Value| {
        let items = [path(name).to_str().unwrap().to_owned()];
        let body = json!({"task": "leave", "items": items, "params": {"how": how}, "options": options});
        server.post_json("/batches", &body).await.ok()
    };
    let runs = |path: &Path| {
        let process = std::fs::read_to_string(path).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        !process.trim().is_empty() && !stat.is_empty() && !stat.contains(") Z ")
    };
    let succeeded = submit("succeeded", "end", json!({})).await;
    assert_eq!(server.finished(&succeeded).await["state"], "succeeded");
    let timed_out = submit("timed", "stay", json!({"timeout_seconds": 1, "attempts_max": 1})).await;
    assert_eq!(server.finished(&timed_out).await["state"], "failed");
    let cancelled = submit("cancelled", "stay", json!({})).await;
    until("started", || runs(&path("cancelled"))).await;
    server.post(&format!("/batches/{}/cancel", id(&cancelled))).await.ok();
    server.finished(&cancelled).await;
    for name in ["succeeded", "timed", "cancelled"] {
        assert!(path(name).is_file());
        until("ended", || !runs(&path(name))).await;
    }
    assert!(server.log().contains("ended what had left the group of its process"), "{}", server.log());
}

#[tokio::test]
async fn hostile_lines_are_one_argument_byte_for_byte() {
    let tasks = r#"
[[task]]
name = "argument"
input = "line"
command = ["sh", "-c", "printf %s \"$1\" > \"$2/line\"; exit $(($# - 3))", "sh", "{line}", "{out}", "{word}"]
[task.params.word]
type = "string"
default = ""
"#;
    let server = start(tasks, &[], &[]).await;
    let pieces = [
        "-",
        "--",
        "'",
        "\"",
        "$(id)",
        "`id`",
        "{line}",
        "{{seq}}",
        "\\",
        "\n",
        "\r",
        "\t",
        "\u{1b}[2J",
        "é",
        "\u{202e}",
        "\u{feff}",
        "😀",
        "*",
        "?",
        "~",
        "#",
        ";",
        "|",
        "&",
        "<",
        ">",
        " ",
        "=",
        "%00",
        "%s",
        "\u{7f}",
    ];
    let texts: Vec<String> = (0..400)
        .map(|at| (0..1 + at % 5).map(|n| pieces[(at * 7 + n * 13) % pieces.len()]).collect())
        .collect();
    let batch = server.post_json("/batches", &json!({"task": "argument", "items": texts})).await.ok();
    assert_eq!(server.finished(&batch).await["state"], "succeeded");
    for (seq, text) in (1..).zip(&texts) {
        let file = server.get(&format!("/batches/{}/items/{seq}/files/line", id(&batch))).await;
        assert_eq!(&file.text, text);
    }
    let body = json!({"task": "argument", "items": ["x"], "params": {"word": "a\0b"}});
    server.post_json("/batches", &body).await.problem(422, "invalid");
    let nul = run(&server, "argument", &["a\0b"]).await;
    let told = item(&server, &nul, 1).await["error"].as_str().unwrap().to_owned();
    assert!(told.contains("an argument holds the character NUL"), "{told}");
}
