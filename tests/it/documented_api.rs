//! docs/api.md, run as it stands there: every block, in order, in one shell, against a real server.
//!
//! A block of `text` is what the block of `sh` before it prints. Needs curl and Python.

use std::path::Path;

use tokio::process::Command;

use super::support::{PATIENCE, TestServer};

/// The blocks of the document in order: their language, and what is in them.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let fences: Vec<&str> = document.split("```").collect();
    fences.iter().skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

#[tokio::test]
async fn every_block_prints_what_stands_below_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let document = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&document);
    let (mut script, mut expected) = ("set -euo pipefail\n".to_owned(), String::new());
    for (at, (language, text)) in blocks.iter().enumerate() {
        match *language {
            "sh" => script.push_str(&format!("echo '-- block {at}'\n{text}")),
            "text" => {}
            other => panic!("block {at}: nobody runs {other:?}"),
        }
        if *language == "sh" {
            let printed = blocks.get(at + 1).filter(|(language, _text)| *language == "text");
            expected.push_str(&format!("-- block {at}\n{}", printed.map_or("", |(_, text)| text)));
        }
    }
    let server = TestServer::start().await;
    let run = Command::new("bash")
        .args(["-c", &script])
        .current_dir(server.folder.path())
        .env("MILEPOST_URL", &server.base)
        .env("MILEPOST_TOKEN", &server.token)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("it ends").unwrap();
    let (printed, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed, expected, "{complained}");
    assert!(output.status.success(), "{complained}");
    assert!(blocks.len() >= 16, "{}", blocks.len());
}
