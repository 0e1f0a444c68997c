//! The clients of docs/protocol.md, run as they stand there: against a real server that is killed and started again.
//!
//! Needs Python with one package and Node.js (`scripts/tools clients`); `MILEPOST_TEST_CLIENTS=off` leaves it out.
//! What is documented works as documented.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::support::{PATIENCE, TestServer, id, number};

/// Lines of a documented client at most: it is an example, not a library.
const LINES_MAX: usize = 45;

/// The first block of `language` in the document.
fn documented(language: &str) -> String {
    let document = std::fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let (_, block) = document.split_once(&format!("\n```{language}\n")).expect("a client in the document");
    let (text, _) = block.split_once("\n```").expect("an end of the client");
    assert!(text.lines().count() <= LINES_MAX, "{} lines of {language}", text.lines().count());
    text.to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `scripts/tools clients` has put the way to Python.
fn python() -> PathBuf {
    // target/debug/milepost, whatever the target folder is called.
    let target = Path::new(env!("CARGO_BIN_EXE_milepost")).ancestors().nth(2).expect("a target folder");
    target.join("python")
}

/// Runs a client over a kill of the server in the middle of its batch.
async fn watches_to_the_end(file: &str, language: &str, program: &Path, arguments: &[&str]) {
    if std::env::var("MILEPOST_TEST_CLIENTS").is_ok_and(|wish| wish == "off") {
        assert!(
            std::env::var_os("CI").is_none(),
            "MILEPOST_TEST_CLIENTS=off: nothing is left out where CI is set"
        );
        return;
    }
    let mut server = TestServer::start().await;
    let script = server.folder.path().join(file);
    std::fs::write(&script, documented(language)).unwrap();
    let batch = server.demo(1_500, json!({"duration_ms": 20})).await;
    let mut client = Command::new(program)
        .args(arguments)
        .arg(&script)
        .arg(id(&batch))
        .env("MILEPOST_URL", &server.base)
        .env("MILEPOST_TOKEN", &server.token)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|fault| panic!("{}: {fault}: run scripts/tools clients", program.display()));
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let (mut last, mut revs) = (String::new(), Vec::new());
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            revs.push(line.split(' ').next().unwrap().parse::<u64>().unwrap());
            last = line;
            if revs.len() == 3 {
                server.kill().await;
                server.spawn_again().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the client ends");
    assert!(client.wait().await.unwrap().success());
    let truth = server.finished(&batch).await;
    assert_eq!(last, format!("{} succeeded 1500 of 1500", number(&truth, "rev")));
    assert!(revs.len() > 3 && revs.is_sorted(), "rev never goes back: {revs:?}");
}

#[tokio::test]
async fn the_client_in_python_watches_to_the_end() {
    watches_to_the_end("client.py", "python", &python(), &[]).await;
}

#[tokio::test]
async fn the_client_in_javascript_watches_to_the_end() {
    let arguments = ["--no-warnings", "--experimental-websocket"];
    watches_to_the_end("client.mjs", "js", Path::new("node"), &arguments).await;
}
