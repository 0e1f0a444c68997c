//! The whole API by a fuzzer: schemathesis over the served document, as admin, operator and viewer.
//!
//! No answer of 5xx, none with a status, content type, header or body that the document does not name, no method taken
//! that is not there. Needs Python with one package (`scripts/tools fuzz`); `MILEPOST_TEST_FUZZ=off` leaves it out.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::support::TestServer;

/// Seconds that the fuzzer may try each caller.
const SECONDS: u32 = 45;
/// Longest wait for it: it ends what it has begun.
const PATIENCE: Duration = Duration::from_mins(5);
/// Requests to one operation in one phase, at most.
const EXAMPLES: u32 = 20;
/// 413 refuses as well as the others: a list may be longer than its bound. Of a body with items, the query says what its
/// kind needs; what is said of another kind is not read. Of a piece of an upload, the bytes are the whole body, and a header that nobody
/// knows is no fault.
const SETTINGS: &str = r#"
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
[[operations]]
include-operation-id = ["createBatch", "appendItems", "addPiece"]
checks.negative_data_rejection.enabled = false
"#;
/// What the document cannot say in a schema, such as which tasks there are, is no fault; who may come in is tried
/// elsewhere.
const UNCHECKED: &str = "positive_data_acceptance,ignored_auth";

#[tokio::test]
async fn the_document_says_all_that_is_answered() {
    if std::env::var("MILEPOST_TEST_FUZZ").is_ok_and(|wish| wish == "off") {
        assert!(
            std::env::var_os("CI").is_none(),
            "MILEPOST_TEST_FUZZ=off: nothing is left out where CI is set"
        );
        return;
    }
    // The same cases each time, so that a failure can be repeated; FUZZ_SEED tries others.
    let seed = std::env::var("FUZZ_SEED").unwrap_or_else(|_unset| "1".to_owned());
    // target/debug/milepost, whatever the target folder is called.
    let target = Path::new(env!("CARGO_BIN_EXE_milepost")).ancestors().nth(2).expect("a target folder");
    let server = TestServer::start().await;
    std::fs::write(server.folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    for role in ["admin", "operator", "viewer"] {
        let token = if role == "admin" { server.token.clone() } else { server.make_token(role, role).await };
        let run = Command::new(target.join("schemathesis"))
            .arg("run")
            .arg(format!("{}/api/openapi.json", server.base))
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--seed", &seed])
            .args(["--max-time", &SECONDS.to_string(), "--max-examples", &EXAMPLES.to_string()])
            .args([
                "--exclude-checks",
                UNCHECKED,
                "--warnings",
                "off",
                "--no-shrink",
                "--continue-on-failure",
            ])
            // A drained node works no more, and a live connection is no answer that ends.
            .args(["--exclude-operation-id", "drainNode", "--exclude-tag", "live"])
            .current_dir(server.folder.path())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, run).await.expect("it ends");
        let output = output.unwrap_or_else(|fault| panic!("schemathesis: {fault}: run scripts/tools fuzz"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "as {role}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Test cases:"), "as {role}: it tried something: {said}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
