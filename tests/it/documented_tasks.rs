//! Every block of docs/tasks.md, run as it stands there, and the Python of `examples/python`.
//!
//! What is documented works as documented.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::support::{TestServer, id};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of the document: language and text.
fn blocks() -> Vec<(String, String)> {
    let document = std::fs::read_to_string(root().join("docs/tasks.md")).unwrap();
    let mut blocks = Vec::new();
    let mut rest = document.as_str();
    while let Some((_, opened)) = rest.split_once("\n```") {
        let (language, text) = opened.split_once('\n').unwrap();
        let (text, after) = text.split_once("\n```").expect("an end of the block");
        blocks.push((language.to_owned(), format!("{text}\n")));
        rest = after;
    }
    blocks
}

fn milepost(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    command.args(arguments).current_dir(folder).env_remove("MILEPOST_CONFIG").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_block_of_the_document_runs() {
    let folder = tempfile::tempdir().unwrap();
    let executables = Path::new(env!("CARGO_BIN_EXE_milepost")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(PathBuf::from(executables))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let (mut scripts, mut declarations, mut lines) = (0, 0, 0);
    for (language, block) in blocks() {
        match language.as_str() {
            "sh" => {
                let mut command = Command::new("bash");
                command.args(["-euo", "pipefail", "-c", &block]).current_dir(folder.path());
                let output = command.env("PATH", &path).env_remove("MILEPOST_CONFIG").output().unwrap();
                let out = text(&output.stdout);
                assert!(output.status.success(), "{block}\n{out}{}", text(&output.stderr));
                assert!(out.contains("result: {\"text\":\"HELLO\"}"), "{out}");
                assert!(block.lines().count() <= 10, "from nothing to a running task in ten lines");
                scripts += 1;
            }
            "toml" => {
                let inner = tempfile::tempdir().unwrap();
                std::fs::write(inner.path().join("milepost.toml"), &block).unwrap();
                let output = milepost(inner.path(), &["task", "list"]);
                assert!(output.status.success(), "{block}\n{}", text(&output.stderr));
                for name in block.lines().filter_map(|line| line.strip_prefix("name = \"")) {
                    let name = name.split('"').next().unwrap();
                    assert!(text(&output.stdout).lines().any(|line| line.starts_with(name)), "{name}");
                }
                declarations += 1;
            }
            "json" => {
                let documented: Value = serde_json::from_str(&block).unwrap();
                let output = milepost(folder.path(), &["task", "check", "shout", "--input", "the line"]);
                let out = text(&output.stdout);
                let line = out.lines().find_map(|line| line.trim().strip_prefix("in: ")).unwrap();
                let handed: Value = serde_json::from_str(line).unwrap();
                let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
                assert_eq!(names(&documented), names(&handed));
                lines += 1;
            }
            other => panic!("a block of {other:?} that no test runs:\n{block}"),
        }
    }
    assert!(scripts > 0 && declarations > 2 && lines > 0);
}

#[test]
fn the_executable_prints_the_file_of_the_examples() {
    let output = milepost(root(), &["task", "python"]);
    let file = std::fs::read_to_string(root().join("examples/python/milepost_task.py")).unwrap();
    assert_eq!(text(&output.stdout), file);
}

#[test]
fn the_python_of_the_examples_passes_its_own_tests() {
    let mut command = Command::new("python3");
    command.args(["-m", "unittest", "test_milepost_task"]).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.current_dir(root().join("examples/python")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("Ran "), "{}", text(&output.stderr));
}

/// A worker of every kind of answer, by `milepost_task.py`.
const ODD: &str = r#"
import os
from milepost_task import Fail, File, Item, Retry, task

@task
def odd(item: Item) -> object:
    print("printed", flush=True)
    os.write(1, b"written\n")
    item.progress(1, 2, "half")
    if item.input == "nan": return {"mean": float("nan")}
    if item.input == "set": return {1, 2}
    if item.input == "surrogate": return "K\udcf6ln"
    if item.input == "fail": raise Fail("bad K\udcf6ln")
    if item.input == "retry" and item.attempt == 1: raise Retry("again")
    if item.input == "odd": raise ValueError("odd")
    item.file("a/b.txt").write_text(item.input)
    return [item.input, item.attempt, item.params["word"]]

odd.run()
"#;

#[tokio::test]
async fn a_function_in_python_is_a_worker_of_a_server() {
    let mut server = TestServer::prepare(&[]).await;
    let folder = server.folder.path().to_owned();
    let tasks = "[[task]]\nname = \"odd\"\ninput = \"line\"\nworker = [\"python3\", \"odd.py\"]\nprocesses = 2\n\
                 [task.params.word]\ntype = \"string\"\ndefault = \"w\"\n";
    std::fs::write(folder.join("milepost.toml"), tasks).unwrap();
    std::fs::write(folder.join("odd.py"), ODD).unwrap();
    std::fs::copy(root().join("examples/python/milepost_task.py"), folder.join("milepost_task.py")).unwrap();
    server.spawn().await;
    let lines = ["plain", "nan", "set", "surrogate", "fail", "retry", "odd", "é\u{2028}\n😀"];
    let options = json!({"attempts_max": 2, "retry_base_ms": 10});
    let body = json!({"task": "odd", "items": lines, "options": options});
    let batch = server.finished(&server.post_json("/batches", &body).await.ok()).await;
    let mut items = Vec::new();
    for seq in 1..=lines.len() {
        items.push(server.get(&format!("/batches/{}/items/{seq}", id(&batch))).await.ok());
    }
    assert_eq!(items[0]["result"], json!(["plain", 1, "w"]));
    assert_eq!(items[0]["files"][0]["name"], "a/b.txt");
    let log = items[0]["log"].as_str().unwrap();
    assert!(log.contains("info printed\n") && log.contains("warn written\n"), "{log}");
    for (at, error, attempts) in [
        (1, "Out of range float values are not JSON compliant", 1),
        (2, "Object of type set is not JSON serializable", 1),
        (3, "surrogates not allowed", 1),
        (4, "bad K\\udcf6ln", 1),
        (6, "ValueError: odd", 2),
    ] {
        let item = &items[at];
        assert!(item["error"].as_str().is_some_and(|told| told.contains(error)), "{item}");
        assert_eq!(item["attempts"], attempts, "{item}");
    }
    assert_eq!(items[5]["result"], json!(["retry", 2, "w"]));
    assert!(items[6]["log"].as_str().unwrap().contains("Traceback"), "{}", items[6]);
    assert_eq!(items[7]["result"], json!([lines[7], 1, "w"]));
}

#[test]
fn many_samples_are_checked_and_nothing_a_terminal_obeys_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = "[[task]]\nname = \"say\"\ninput = \"line\"\ncommand = [\"sh\", \"-c\", \
                 \"printf '%s\\\\033[31m\\\\n' \\\"$1\\\"; [ \\\"$1\\\" != bad ]\", \"sh\", \"{line}\"]\n\
                 [[task]]\nname = \"row\"\ninput = \"record\"\ncommand = [\"echo\", \"{column:a}\"]\n\
                 [[task]]\nname = \"size\"\ninput = \"file\"\ncommand = [\"wc\", \"-c\", \"{file}\"]\n";
    std::fs::write(folder.path().join("milepost.toml"), tasks).unwrap();
    std::fs::write(folder.path().join("lines.txt"), "\u{feff}one\n\nbad\nthree").unwrap();
    std::fs::write(folder.path().join("rows.csv"), "a;b\n1;x\n2;\"y\nz\"\n").unwrap();
    let run = |arguments: &[&str]| {
        let output = milepost(folder.path(), &[&["task", "check"], arguments].concat());
        (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let (code, out, told) =
        run(&["say", "--input", "-x", "--input", "\u{1b}]0;title\u{7}", "--lines", "lines.txt"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("\n4 of 5 succeeded, 1 failed, in ") && out.contains("item 5: three\n"), "{out}");
    assert!(told.contains("1 of 5 sample items did not succeed: 4"), "{told}");
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    assert!(out.contains("out: one\u{241b}[31m") && out.contains("\u{241b}]0;title\u{2407}"), "{out}");
    let (code, out, _) = run(&["row", "--csv", "rows.csv", "--input", "{\"a\":3}"]);
    assert!(code == Some(0) && out.contains("3 of 3 succeeded, 0 failed"), "{out}");
    let (code, out, _) = run(&["size", "lines.txt", "rows.csv"]);
    assert!(
        code == Some(0) && out.contains("item 2: rows.csv\n") && out.contains("2 of 2 succeeded"),
        "{out}"
    );
    for (arguments, expected) in [
        (&["say"][..], "no samples: give some"),
        (&["say", "lines.txt"], "the task takes no files"),
        (&["say", "--csv", "rows.csv"], "--csv rows.csv: the task takes no records"),
        (&["row", "--lines", "lines.txt"], "--lines lines.txt: line 1: expected a JSON object"),
        (&["size", "none.txt"], "none.txt: No such file"),
        (&["none", "--input", "x"], "there is no task named \"none\""),
        (&["say", "--input", "x", "--param", "word"], "--param word: expected NAME=VALUE"),
    ] {
        let (code, _, told) = run(arguments);
        assert!(code == Some(1) && told.contains(expected), "{arguments:?}: {told}");
    }
}
