//! `milepost run`, as somebody at a shell or a script has it: what comes in by files, pipes and CSV becomes a batch,
//! each item once, whatever happens to the connection.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::support::forwarder::Forwarder;
use super::support::{PATIENCE, TestServer, number};

/// What a command has come to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// `milepost` with the admin's token, talking to `url`.
fn command(server: &TestServer, url: &str, arguments: &[&str]) -> Command {
    let mut command = server.command(arguments);
    command
        .env("MILEPOST_URL", url)
        .env("MILEPOST_TOKEN", &server.token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn ended(mut child: Child) -> Ended {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    drop(child.stdin.take());
    let mut ended = Ended { code: None, out: String::new(), err: String::new() };
    let reading = async {
        let read = tokio::join!(out.read_to_string(&mut ended.out), err.read_to_string(&mut ended.err));
        read.0.unwrap();
        read.1.unwrap();
        child.wait().await.unwrap().code()
    };
    let code = timeout(PATIENCE, reading).await.expect("it ends");
    Ended { code, ..ended }
}

async fn asked(server: &TestServer, arguments: &[&str]) -> Ended {
    ended(command(server, &server.base, arguments).spawn().unwrap()).await
}

/// The batch that was printed by its id.
async fn batch(server: &TestServer, ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    server.get(&format!("/batches/{}", ended.out.trim())).await.ok()
}

fn write(server: &TestServer, name: &str, content: impl AsRef<[u8]>) {
    let path = server.folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn files_and_folders_become_items_by_name() {
    let server = TestServer::start().await;
    write(&server, "photos/a.txt", "first");
    write(&server, "photos/b/say \"hi\"\n50%22.txt", "odd");
    write(&server, "single.txt", "single");
    write(&server, "photos/empty", "");
    let run =
        asked(&server, &["run", "--task", "checksum", "photos", "single.txt", "--wait", "--json"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let rows: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = rows.last().unwrap();
    assert_eq!((last["name"].as_str(), number(last, "succeeded")), (Some("a.txt and 3 more"), 4));
    let inputs = server.inputs(last).await;
    let names: Vec<_> = inputs.iter().map(|input| input["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4);
    for name in ["photos/a.txt", "photos/empty", "single.txt"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let bytes: u64 = inputs.iter().map(|input| input["bytes"].as_u64().unwrap()).sum();
    assert_eq!(bytes, 5 + 3 + 6);
}

#[tokio::test]
async fn items_run_before_a_slow_pipe_has_ended() {
    let server = TestServer::start().await;
    let arguments = ["run", "--task", "demo", "--lines", "-", "--wait", "--json"];
    let mut child = command(&server, &server.base, &arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    input.write_all(b"one\r\n\ntwo\npart of ").await.unwrap();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a state").unwrap().expect("it goes on");
        let row: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(row["sealed"], false);
        if number(&row, "succeeded") == 2 {
            break;
        }
    }
    input.write_all("three\nfür".as_bytes()).await.unwrap();
    drop(input);
    let mut last = Value::Null;
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.expect("an end").unwrap() {
        last = serde_json::from_str(&line).unwrap();
    }
    assert_eq!((last["state"].as_str(), number(&last, "total")), (Some("succeeded"), 4));
    assert_eq!(server.inputs(&last).await, ["one", "two", "part of three", "für"].map(Value::from));
}

#[tokio::test]
async fn a_csv_comes_back_with_its_columns() {
    let server = TestServer::start().await;
    // As a German spreadsheet writes "Unicode text": UTF-16, parted by semicolons, a line end inside a cell.
    let text = "name;age\r\n\"Jürgen;\r\nZoë\";7\r\nEve;x\r\n";
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    write(&server, "people.csv", utf16);
    let columns = "columns={\"age\":\"integer\"}";
    let run =
        asked(&server, &["run", "--task", "csv-check", "--param", columns, "--csv", "people.csv", "--wait"])
            .await;
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(!run.out.contains('\u{1b}') && run.out.contains("1 succeeded, 1 failed"), "{run:?}");
    let csv = asked(&server, &["results", "1", "--format", "csv"]).await;
    let expected = "name,age,milepost_seq,milepost_state,milepost_error,valid\n\
                    \"Jürgen;\r\nZoë\",7,1,succeeded,,true\n\
                    Eve,x,2,failed,\"age: expected a whole number, found \"\"x\"\"\",\n";
    assert_eq!((csv.code, csv.out.as_str()), (Some(0), expected));
    // To a file by its ending, whole, and readable as the shell would have it.
    let failed = asked(&server, &["results", "1", "--failed", "-o", "failed.csv"]).await;
    assert_eq!(failed.code, Some(0), "{failed:?}");
    let kept = fs::read_to_string(server.folder.path().join("failed.csv")).unwrap();
    assert_eq!(kept.lines().count(), 2, "{kept}");
}

/// Lines that never come twice, enough for many requests.
fn many_lines(count: usize) -> String {
    (0..count).map(|line| format!("{line:0>60}\n")).collect()
}

#[tokio::test]
async fn an_upload_goes_on_after_cuts_and_kills_and_nothing_comes_twice() {
    let mut server = TestServer::start().await;
    let forwarder = Forwarder::before(&server).await;
    let arguments = ["run", "--task", "demo", "--lines", "-", "--name", "cut", "--give-up", "120"];
    let mut child = command(&server, &forwarder.base, &arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let (lines, pieces) = (many_lines(400_000), 10);
    for (at, piece) in lines.as_bytes().chunks(lines.len() / pieces).enumerate() {
        input.write_all(piece).await.unwrap();
        match at {
            // A connection breaks while a request is under way.
            2 | 5 | 8 => forwarder.cut(),
            4 => {
                forwarder.shut();
                server.kill().await;
                server.spawn().await;
                forwarder.aim(&server);
            }
            _ => {}
        }
    }
    drop(input);
    let run = ended(child).await;
    let batch = batch(&server, &run).await;
    assert_eq!((number(&batch, "total"), batch["sealed"].as_bool()), (400_000, Some(true)), "{run:?}");
    server.finished(&batch).await;
    let text = asked(&server, &["results", batch["id"].as_str().unwrap(), "--format", "ndjson"]).await.out;
    let inputs: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["input"].as_str().unwrap().to_owned())
        .collect();
    assert!(inputs.iter().map(String::as_str).eq(lines.lines()), "in order, each once");
    assert_eq!(inputs.iter().collect::<BTreeSet<_>>().len(), 400_000);
}

#[tokio::test]
async fn an_input_that_does_not_come_whole_cancels_its_batch() {
    let server = TestServer::start().await;
    write(&server, "bad.csv", "a,b\n1,2\n3,\"never closed\n");
    let run = asked(
        &server,
        &["run", "--task", "csv-check", "--param", "columns={\"a\":\"text\"}", "--csv", "bad.csv"],
    )
    .await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("never closed") && run.err.contains("line 3"), "{run:?}");
    assert!(run.err.contains("nothing was submitted"), "{run:?}");
    assert_eq!(server.named("bad.csv").await, None, "no item of it had come");
    // A line that the server refuses is named as the input counts it.
    let deep = "[".repeat(200) + &"]".repeat(200);
    write(&server, "deep.ndjson", format!("1\n\n2\n{deep}\n"));
    let run = asked(&server, &["run", "--task", "demo", "--ndjson", "deep.ndjson"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("line 4"), "{run:?}");
}

#[tokio::test]
async fn wrong_input_in_every_argument_says_what_was_expected() {
    let server = TestServer::start().await;
    write(&server, "lines.txt", "a\nb\n");
    fs::create_dir(server.folder.path().join("empty")).unwrap();
    let task = ["run", "--task", "demo", "--lines", "lines.txt"];
    let with = |more: &[&'static str]| -> Vec<&str> { task.iter().chain(more).copied().collect() };
    for (arguments, words) in [
        (vec!["run"], "--task <NAME>"),
        (vec!["run", "--task", "demo"], "--lines <FILE|->"),
        (with(&["--csv", "lines.txt"]), "cannot be used with"),
        (
            vec!["run", "--task", "nope", "--lines", "lines.txt"],
            "expected one of checksum, image, csv-check, demo",
        ),
        (vec!["run", "--task", "demo", "--lines", "none.txt"], "none.txt cannot be read: No such file"),
        (vec!["run", "--task", "demo", "--lines", "empty"], "empty cannot be read"),
        (vec!["run", "--task", "checksum", "empty"], "there is no file"),
        (vec!["run", "--task", "checksum", "none.png"], "none.png cannot be read: No such file"),
        (vec!["run", "--task", "checksum", "--lines", "lines.txt"], "takes files"),
        (vec!["run", "--task", "csv-check", "--lines", "lines.txt"], "takes records"),
        (vec!["run", "--task", "demo", "lines.txt"], "takes lines"),
        (with(&["--param", "steps"]), "expected K=V"),
        (with(&["--param", "steps=many"]), "--param steps: expected integer"),
        (with(&["--param", "stepz=1"]), "is no parameter of demo; it has: duration_ms"),
        (with(&["--param", "fail_rate=7"]), "fail_rate"),
        (with(&["--option", "concurency=1"]), "concurency"),
        (with(&["--option", "concurrency=0"]), "concurrency"),
        (with(&["--option", "open=true"]), "--option open"),
        (with(&["--encoding", "ebcdic"]), "expected the name of an encoding"),
        (with(&["--delimiter", ";"]), "--delimiter goes with --csv"),
        (with(&["--give-up", "0"]), "1.."),
        (with(&["--url", "localhost:3000"]), "http://HOST"),
        (vec!["show", "nope"], "the id of a batch, or its number"),
        (vec!["show", "77"], "there is no batch #77"),
        (vec!["show", "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"], "no such batch"),
        (vec!["list", "--state", "done"], "active, finished"),
        (vec!["list", "--limit", "0"], "1.."),
        (vec!["retry", "1", "--state", "pending"], "expected failed or cancelled"),
        (vec!["retry", "1", "--seq", "0"], "1.."),
        (vec!["results", "1", "--format", "xml"], "csv, ndjson, zip"),
        (vec!["results", "1", "-o", "none/there.csv"], "none/there.csv cannot be written"),
        (vec!["results", "1", "-o", "empty"], "is a folder"),
        (vec!["completions", "tcsh"], "bash"),
        (vec!["man", "runn"], "expected one of"),
    ] {
        let said = asked(&server, &arguments).await;
        assert_eq!(said.code, Some(1), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
    }
}

#[tokio::test]
async fn batches_are_listed_shown_and_acted_on() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "name": "a name", "params": {"fail_rate": 1}, "options": {"attempts_max": 1},
        "items": {"count": 3}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.finished(&batch).await;
    let list = asked(&server, &["list", "--state", "failures"]).await;
    let cells: Vec<&str> = list.out.trim_end().split('\t').collect();
    assert_eq!((list.code, cells.len()), (Some(0), 10), "{list:?}");
    assert_eq!(&cells[..7], ["1", "a name", "demo", "failed", "3", "3", "3"]);
    let listed = asked(&server, &["list", "--json", "--limit", "1"]).await;
    let row: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(row["id"], batch["id"]);
    let show = asked(&server, &["show", "1"]).await;
    assert!(show.out.contains("3 failed") && !show.out.contains('\u{1b}'), "{show:?}");
    let retry = asked(&server, &["retry", "#1", "--seq", "1,3", "--json"]).await;
    assert_eq!(retry.code, Some(0), "{retry:?}");
    server.finished(&batch).await;
    let open = json!({"task": "demo", "options": {"open": true}, "items": []});
    server.post_json("/batches", &open).await.ok();
    for (act, state) in [("pause", "paused"), ("resume", "pending"), ("cancel", "cancelled")] {
        let acted = asked(&server, &[act, "2", "--json"]).await;
        assert_eq!(acted.code, Some(0), "{act}: {acted:?}");
        assert_eq!(serde_json::from_str::<Value>(&acted.out).unwrap()["state"], state, "{act}");
    }
    let again = asked(&server, &["pause", "2"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[tokio::test]
async fn a_token_is_kept_once_it_was_tried() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TestServer::start().await;
    let home = server.folder.path().join("home");
    let call = |arguments: &[&str], input: Option<String>| {
        let mut command = command(&server, &server.base, arguments);
        command.env_remove("MILEPOST_TOKEN").env_remove("XDG_CONFIG_HOME").env("HOME", &home);
        async move {
            let mut child = command.spawn().unwrap();
            if let Some(input) = input {
                child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
            }
            ended(child).await
        }
    };
    let none = call(&["list"], None).await;
    assert!(none.code == Some(1) && none.err.contains("milepost login"), "{none:?}");
    let wrong = call(&["login"], Some("mp_wrong".to_owned())).await;
    assert!(wrong.code == Some(1) && !wrong.err.contains("mp_wrong"), "{wrong:?}");
    let login = call(&["login"], Some(format!("{}\n", server.token))).await;
    assert!(login.code == Some(0) && !login.out.contains(&server.token), "{login:?}");
    let file = home.join(".config/milepost/credentials.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(call(&["list"], None).await.code, Some(0));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = call(&["list"], None).await;
    assert!(open.code == Some(1) && open.err.contains("chmod 600"), "{open:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(call(&["logout"], None).await.code, Some(0));
    assert_eq!(call(&["list"], None).await.code, Some(1));
}

#[tokio::test]
async fn no_server_is_said_soon_and_by_its_exit_code() {
    let server = TestServer::start().await;
    let gone =
        ended(command(&server, "http://127.0.0.1:9", &["list", "--give-up", "1"]).spawn().unwrap()).await;
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert!(gone.err.contains("lost contact with http://127.0.0.1:9"), "{gone:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = asked(&server, &["completions", shell]).await;
        assert!(script.out.contains("milepost") && script.out.contains("results"), "{shell}");
    }
    let page = asked(&server, &["man", "token", "create"]).await;
    assert!(page.out.starts_with(".ie") && page.out.contains("Makes a token"), "{page:?}");
}

#[tokio::test]
async fn the_python_example_submits_and_waits() {
    let server = TestServer::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python/submit.py");
    write(&server, "a.txt", "first");
    let run = async |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).current_dir(server.folder.path());
        command.env("MILEPOST_URL", &server.base).env("MILEPOST_TOKEN", &server.token);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ended(command.spawn().unwrap()).await
    };
    let lines = run(&["--task", "demo", "--params", "{\"steps\": 1}", "one", "two"]).await;
    assert_eq!(lines.code, Some(0), "{lines:?}");
    let batch: Value = serde_json::from_str(&lines.out).unwrap();
    assert_eq!((batch["state"].as_str(), number(&batch, "succeeded")), (Some("succeeded"), 2));
    let files = run(&["--task", "checksum", "--files", "a.txt"]).await;
    assert_eq!(files.code, Some(0), "{files:?}");
    let failing = run(&["--task", "demo", "--params", "{\"fail_rate\": 1}", "one"]).await;
    assert_eq!(failing.code, Some(2), "{failing:?}");
    let unknown = run(&["--task", "nope", "one"]).await;
    assert!(unknown.code == Some(1) && unknown.err.contains("unknown_task"), "{unknown:?}");
}
