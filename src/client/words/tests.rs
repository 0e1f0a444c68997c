//! Words and figures, by example.

use super::*;
use crate::protocol::BatchId;

fn batch(total: u64, succeeded: u64, failed: u64) -> Batch {
    Batch {
        id: BatchId::from_u128(1),
        number: 1,
        name: "b".into(),
        task: "demo".into(),
        params: Json::default(),
        owner: "ada".into(),
        parent: None,
        schedule: None,
        state: BatchState::Running,
        reason: None,
        sealed: true,
        expected: None,
        rev: 1,
        total,
        pending: total - succeeded - failed,
        running: 0,
        retrying: 0,
        succeeded,
        failed,
        cancelled: 0,
        rate_per_s: None,
        eta_ms: None,
        created_at: Timestamp(0),
        start_at: None,
        started_at: None,
        finished_at: None,
        rested_ms: 0,
        retry: None,
    }
}

#[test]
fn numbers_read_well() {
    assert_eq!(thousands(0), "0");
    assert_eq!(thousands(999), "999");
    assert_eq!(thousands(1_000_000), "1,000,000");
    assert_eq!(counted(1, "item"), "1 item");
    assert_eq!(counted(2, "family"), "2 families");
    assert_eq!(counted(2, "batch"), "2 batches");
    assert_eq!(rate(41.2), "41/s");
    assert_eq!(rate(0.42), "0.4/s");
    assert_eq!(rate(0.05), "3.0/min");
    assert_eq!(bytes(999), "999 B");
    assert_eq!(bytes(1_834), "1.8 kB");
    assert_eq!(bytes(12_400_000), "12 MB");
}

#[test]
fn times_read_well() {
    assert_eq!(duration(812), "812 ms");
    assert_eq!(duration(4_200), "4.2 s");
    assert_eq!(duration(200_000), "3 min 20 s");
    assert_eq!(duration(7_200_000), "2 h");
    assert_eq!(eta((870_000, 1_140_000)), "14–19 min");
    assert_eq!(eta((500, 1_500)), "under 2 s");
    assert_eq!(eta((100, 9_000)), "about 9 s");
    assert_eq!(absolute(Timestamp(1_769_852_460_123)), "2026-01-31 09:41:00 UTC");
    assert_eq!(relative(Timestamp(0), Timestamp(40_000)), "40 s ago");
    assert_eq!(relative(Timestamp(180_000), Timestamp(0)), "in 3 min");
}

#[test]
fn percent_is_never_100_before_the_end() {
    assert_eq!(percent(&batch(1_000_000, 999_999, 0)).unwrap(), "99.9 %");
    assert_eq!(percent(&batch(50_000, 12_400, 10)).unwrap(), "24.8 %");
    let mut done = batch(3, 3, 0);
    assert_eq!(percent(&done).unwrap(), "99.9 %");
    done.state = BatchState::Succeeded;
    assert_eq!(percent(&done).unwrap(), "100 %");
    done.sealed = false;
    assert_eq!(percent(&done), None);
    assert_eq!(percent(&batch(0, 0, 0)), None);
}

#[test]
fn a_cancelled_batch_says_how_much_of_it_was_run() {
    let mut cancelled = batch(3_000, 70, 6);
    (cancelled.cancelled, cancelled.pending, cancelled.state) = (2_924, 0, BatchState::Cancelled);
    assert_eq!(percent(&cancelled).unwrap(), "2.5 %");
    let mut failed = batch(40, 0, 40);
    failed.state = BatchState::Failed;
    assert_eq!(batch_state(&failed), "failed");
}

#[test]
fn percent_does_not_rise_with_a_retry() {
    let before = per_mille(batch(100, 60, 40).ended(), 100);
    assert!(per_mille(batch(100, 60, 0).ended(), 100) < before);
}

#[test]
fn outlook_says_its_ground() {
    let mut running = batch(10, 1, 0);
    assert_eq!(outlook(&running), "waiting for a slot");
    running.running = 2;
    assert_eq!(outlook(&running), "too early to say when");
    running.eta_ms = Some((870_000, 1_140_000));
    assert_eq!(outlook(&running), "done in 14–19 min");
    running.state = BatchState::Paused;
    running.reason = Some("budget".into());
    assert_eq!(outlook(&running), "paused: too many failures; resume to go on");
}

#[test]
fn texts_are_the_same_by_html_and_by_script() {
    assert_eq!(shown(""), "");
    assert_eq!(shown("\0"), "␀");
    assert_eq!(shown("a\r\nb\rc\n\0"), "a\nb\nc\n␀");
    assert_eq!(shown("\u{202e}abc"), "\u{202e}abc");
    let long = "😀".repeat(TEXT_CHARS_MAX + 1);
    let cut = shown(&long);
    assert_eq!(cut.chars().count(), TEXT_CHARS_MAX + 1);
    assert!(cut.ends_with("😀…") && cut.encode_utf16().count() < 65_536);
    assert_eq!(shortened("\0"), "␀");
}

#[test]
fn nothing_in_a_name_turns_it_around() {
    assert_eq!(name("photo\u{202e}gnp.exe"), "photo\u{fffd}gnp.exe");
    assert_eq!(name("a\nb\u{2066}c\0"), "a\u{fffd}b\u{fffd}c␀");
    assert_eq!(name("שלום 照片.png"), "שלום 照片.png");
    let file = Json::parse(r#"{"name":"a\u202eb","bytes":3}"#).unwrap();
    assert_eq!(input(&file), "a\u{fffd}b");
}

#[test]
fn an_escaped_text_opens_and_closes_no_element() {
    for text in ["</title><script>", "&lt;/title&gt;", "<!--", "a & b"] {
        let escaped = escaped(text);
        assert!(!escaped.contains(['<', '>']), "{escaped}");
        assert_eq!(escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), text);
    }
}

#[test]
fn names_become_segments() {
    assert_eq!(path_segment("a/b c?.png"), "a%2Fb%20c%3F.png");
}

#[test]
fn inputs_are_named() {
    let file = Json::parse(r#"{"name":"a/b.png","bytes":3,"type":"image/png"}"#).unwrap();
    assert_eq!(input(&file), "a/b.png");
    assert_eq!(input(&Json::string("line")), "line");
    assert_eq!(input(&Json::parse(r#"{"a":"x","b":2}"#).unwrap()), "x · 2");
    assert_eq!(input(&Json::parse("41").unwrap()), "41");
}

#[test]
fn a_retry_says_what_it_has_come_to() {
    let mut batch = batch(2_000, 1_952, 7);
    assert_eq!(retried(&batch, None), "");
    let (items, at) = (1_048, Timestamp(0));
    let mut retry = BatchRetry { by: "ada".into(), at, items, succeeded: 1_041, failed: 4, cancelled: 0 };
    batch.retry = Some(retry.clone());
    let words = "Retry of 1,048 by ada, 2 min ago: 1,041 succeeded · 4 failed again · 3 to go";
    assert_eq!(retried(&batch, Some(Timestamp(120_000))), words);
    let words = "Retry of 1,048 by ada, 1970-01-01 00:00:00 UTC: 1,041 succeeded · 4 failed again · 3 to go";
    assert_eq!(retried(&batch, None), words);
    (retry.failed, retry.cancelled) = (0, 7);
    assert_eq!(retry_ends(&retry), "1,041 succeeded · 7 cancelled");
    (retry.succeeded, retry.cancelled, retry.by) = (0, 0, String::new());
    batch.retry = Some(retry);
    assert_eq!(retried(&batch, Some(at)), "Retry of 1,048, just now: 0 succeeded · 1,048 to go");
}

#[test]
fn what_of_an_upload_came_is_said() {
    let mut upload = Batch { sealed: false, expected: Some(600), ..batch(64, 64, 0) };
    assert_eq!(outlook(&upload), "64 of 600 came");
    assert_eq!(shortfall(&upload), None);
    upload.sealed = true;
    assert_eq!(shortfall(&upload).unwrap(), "64 of 600 items came; what came is run.");
    upload.state = BatchState::Succeeded;
    upload.reason = Some(Batch::UPLOAD_STOPPED.into());
    assert_eq!(shortfall(&upload).unwrap(), "The upload stopped after 64 of 600 items; what came was run.");
    upload.state = BatchState::Cancelled;
    assert_eq!(shortfall(&upload), None);
    let whole = Batch { expected: Some(64), ..batch(64, 64, 0) };
    assert_eq!((came(&whole), shortfall(&whole)), (None, None));
}
