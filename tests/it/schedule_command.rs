//! `milepost schedule`, as somebody at a shell or a script has it.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::support::{TestServer, id};

/// Exit code, standard output, standard error.
type Ended = (Option<i32>, String, String);

async fn asked(server: &TestServer, arguments: &[&str], input: &str) -> Ended {
    let mut command = server.command(arguments);
    command.env("MILEPOST_URL", &server.base).env("MILEPOST_TOKEN", &server.token);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn well(server: &TestServer, arguments: &[&str], input: &str) -> String {
    let ended = asked(server, arguments, input).await;
    assert_eq!(ended.0, Some(0), "{arguments:?}: {ended:?}");
    ended.1
}

/// The sentence with which it was refused.
async fn refused(server: &TestServer, arguments: &[&str], input: &str) -> String {
    let ended = asked(server, arguments, input).await;
    assert!(matches!(ended.0, Some(1 | 2)), "{arguments:?}: {ended:?}");
    assert_eq!(ended.1, "", "{arguments:?}");
    ended.2
}

#[tokio::test]
async fn a_schedule_from_add_to_delete() {
    let server = TestServer::start().await;
    let batch =
        server.post_json("/batches", &json!({"task": "demo", "name": "Two", "items": ["a", "b"]})).await;
    let (batch, number) = (batch.ok(), batch.ok()["number"].to_string());
    let add = ["schedule", "add", "--cron", "30 2 * * MON-FRI", "--time-zone", "Europe/Berlin"];
    let made: Value = serde_json::from_str(
        &well(
            &server,
            &[&add[..], &["--from", &number, "--window", "22:00-06:00", "--overlap", "queue", "--json"]]
                .concat(),
            "",
        )
        .await,
    )
    .unwrap();
    assert_eq!(
        (&made["name"], &made["from_batch"], &made["items"]),
        (&json!("Two"), &batch["id"], &json!(2))
    );
    assert_eq!(made["window"], json!({"from": "22:00", "until": "06:00"}));
    let body = r#"{"task":"demo","items":{"count":3}}"#;
    let nightly = [&add[..], &["--batch", "-", "--name", "Nightly", "--paused"]].concat();
    let text = well(&server, &nightly, body).await;
    assert!(text.contains("schedule   Nightly\n") && text.contains("next       paused\n"), "{text}");

    let rows = well(&server, &["schedule", "list"], "").await;
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((rows.len(), rows[0][0], rows[1][0]), (2, "Nightly", "Two"));
    assert_eq!((rows[0][3], rows[1][8]), ("paused", id(&made)));
    assert!(rows[1][3].contains(" 02:30 +0"), "{rows:?}");
    let lines = well(&server, &["schedule", "list", "--json", "--limit", "1"], "").await;
    let line: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(line["name"], "Nightly");

    let ran = well(&server, &["schedule", "run", "Nightly"], "").await;
    let ran = server.get(&format!("/batches/{}", ran.trim_end())).await.ok();
    assert_eq!((&ran["total"], &ran["schedule"]), (&json!(3), &line["id"]));
    let text = well(&server, &["schedule", "show", "Nightly"], "").await;
    assert!(text.contains(&format!("#{}", ran["number"])), "{text}");
    let resumed = well(&server, &["schedule", "resume", "Nightly", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&resumed).unwrap()["paused"], false);
    well(&server, &["schedule", "pause", id(&made)], "").await;
    assert_eq!(server.get(&format!("/schedules/{}", id(&made))).await.ok()["paused"], true);
    assert_eq!(well(&server, &["schedule", "delete", "Nightly"], "").await, "");

    assert!(refused(&server, &["schedule", "show", "Nightly"], "").await.contains("no schedule"));
    let again = [&add[..], &["--from", &number]].concat();
    well(&server, &again, "").await;
    assert!(refused(&server, &["schedule", "run", "Two"], "").await.contains("several"));
    for (arguments, words) in [
        (vec!["schedule", "add", "--cron", "60 * * * *", "--from", number.as_str()], "0 to 59"),
        (vec!["schedule", "add", "--cron", "@daily"], "--from"),
        (vec!["schedule", "add", "--cron", "@daily", "--from", "999"], "#999"),
        (
            vec!["schedule", "add", "--cron", "@daily", "--from", number.as_str(), "--window", "22:00"],
            "22:00-06:00",
        ),
        (vec!["schedule", "add", "--cron", "@daily", "--batch", "-"], "JSON"),
        (vec!["schedule", "add", "--cron", "@daily", "--batch", "nowhere.json"], "nowhere.json"),
    ] {
        let sentence = refused(&server, &arguments, "[").await;
        assert!(sentence.contains(words), "{arguments:?}: {sentence}");
    }
    assert_eq!(server.get("/schedules").await.ok()["schedules"].as_array().unwrap().len(), 2);
}
