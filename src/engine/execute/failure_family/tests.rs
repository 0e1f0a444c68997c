//! What is of one family, and what must not be.

use super::*;
use crate::protocol::{InputKind, Json};
use crate::store::Source;

fn line(text: &str) -> InputSample {
    InputSample::new(Source::Blocks, InputKind::Line, &Json::string(text))
}

fn file(name: &str) -> InputSample {
    let json =
        format!(r#"{{"key":"00ab","name":{},"bytes":1,"type":"image/png"}}"#, Json::string(name).as_str());
    InputSample::new(Source::Blocks, InputKind::File, &Json::parse(&json).unwrap())
}

fn record(json: &str) -> InputSample {
    InputSample::new(Source::Blocks, InputKind::Record, &Json::parse(json).unwrap())
}

fn nothing() -> InputSample {
    InputSample::new(Source::Generated, InputKind::Line, &Json::default())
}

fn forms(messages: &[(&str, InputSample)]) -> Vec<String> {
    messages.iter().map(|(message, input)| normal_form(message, input)).collect()
}

#[track_caller]
fn assert_one(messages: &[(&str, InputSample)]) {
    let forms = forms(messages);
    assert!(forms.iter().all(|form| *form == forms[0]), "{forms:?}");
}

#[test]
fn details_do_not_split_a_family() {
    for (a, b) in [
        ("line 4: bad value", "line 1234: bad value"),
        ("line 4: bad value", "line 1,234: bad value"),
        ("cannot open /tmp/a.png: gone", "cannot open /var/x/b.png: gone"),
        (r"cannot open C:\tmp\a.png: gone", r"cannot open D:\b.png: gone"),
        ("no user \"ada\" here", "no user \"bob the third\" here"),
        ("no user 'ada' here", "no user 'bob' here"),
        ("no user 'ada' here", "no user 'o'brian' here"),
        ("kein Benutzer „ada“ da", "kein Benutzer „bob“ da"),
        ("pas d'utilisateur « ada »", "pas d'utilisateur « bob »"),
        ("id 0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b lost", "id 0298a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0c lost"),
        ("key deadbeef01 lost", "key 0badcafe77 lost"),
        ("key x7Kd9aQ2bb lost", "key p3Lm8Zw0cc lost"),
        ("at 0x7ffe10", "at 0xdead"),
        ("took 1.5s", "took 22.75s"),
        ("took 1.5s", "took 2s"),
        ("no mailbox anna@example.com", "no mailbox bob@mail.example.org"),
        ("cannot reach db1.example.com:5432", "cannot reach cache.internal:6379"),
        ("cannot reach 10.0.0.1:80", "cannot reach 192.168.100.200:8080"),
        ("cannot reach 2001:db8::1", "cannot reach fe80::1:2"),
        ("GET https://a.example/x?y=(1): refused", "GET http://b.example/: refused"),
        ("expired 2026-01-31T09:41:00Z", "expired 2025-12-01T00:00:00.123+01:00"),
        ("expired Sat Nov 28 07:48:15 UTC 2026", "expired Mon Jan 5 17:00:00 UTC 2025"),
        ("expired 31.01.2026", "expired 1.2.2025"),
        ("cannot write thumb_anna.webp", "cannot write big-bob.webp"),
        ("٣ صفوف", "١٢ صفوف"),
        ("3行目が不正です", "1024行目が不正です"),
    ] {
        assert_one(&[(a, nothing()), (b, nothing())]);
    }
}

#[test]
fn what_an_item_brought_does_not_split_a_family() {
    assert_one(
        &["anna.jpg", "bob.jpg", "carla.jpg", "dieter.jpg"].map(|name| ("cannot find it", line(name))),
    );
    for messages in [
        [("cannot open anna", line("anna")), ("cannot open dieter", line("dieter"))],
        [("cannot open anna.jpg", line("anna.jpg")), ("cannot open bob", line("bob.jpg"))],
        [("anna: no such album", file("2026/anna.tar.gz")), ("bob: no such album", file("x/bob.tar.gz"))],
        [("cannot write anna.out", file("anna.jpg")), ("cannot write carla.out", file("carla.jpg"))],
        [("ANNA is unknown", line("Anna")), ("Zoë is unknown", line("Zoë"))],
        [
            ("no room for Schmidt", record(r#"{"id":"1","name":"Anna Schmidt"}"#)),
            ("no room for Weber", record(r#"{"id":"2","name":"Bob Weber"}"#)),
        ],
        [
            ("nobody called Anna Schmidt", record(r#"{"who":{"name":"Anna Schmidt"}}"#)),
            ("nobody called Bob", record(r#"{"who":{"name":"Bob"}}"#)),
        ],
        [("写真を開けません", file("写真")), ("花火を開けません", file("花火"))],
        [("cannot open say \"hi\".txt", file("say \"hi\".txt")), ("cannot open it's.txt", file("it's.txt"))],
        [("cannot open a", line("a")), ("cannot open bcd", line("bcd"))],
        [
            ("cannot open file: no such file or directory", line("file")),
            ("cannot open other: no such file or directory", line("other")),
        ],
        [("a file cannot be opened: a", line("a")), ("a file cannot be opened: b", line("b"))],
    ] {
        assert_one(&messages);
    }
}

#[test]
fn three_hundred_names_are_one_family() {
    let names: Vec<String> = (0..300_u32)
        .map(|at| {
            (0..9)
                .map(|place| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> (3 * place)) as u8 % 26))
                .collect()
        })
        .collect();
    let families: std::collections::BTreeSet<FamilyId> =
        names.iter().map(|name| family("t", "k", &format!("cannot open {name}"), &line(name)).0).collect();
    assert_eq!(families.len(), 1);
}

#[test]
fn causes_stay_apart() {
    let same_input = |name: &str| [line(name), file(name), record(&format!(r#"{{"a":"{name}"}}"#))];
    let pairs = [
        ("cannot decode", "cannot open"),
        ("it isn't there", "it isn't here"),
        ("anna.jpg: permission denied", "anna.jpg: no such file"),
        ("permission denied", "no such file"),
        ("I/O error", "read/write error"),
        ("java.io.FileNotFoundException: x", "java.lang.NullPointerException: x"),
        ("exit code 1", "exit code 127"),
        ("HTTP 404", "HTTP 503"),
        (r#"{"error":"permission denied"}"#, r#"{"error":"no such file"}"#),
        ("name: a value is missing", "age: a value is missing"),
        ("写真を開けません", "写真を読めません"),
        ("the file is empty", "the line is empty"),
    ];
    for (a, b) in pairs {
        for name in ["a", "file", "no", "permission denied", "open", "anna.jpg", "error", "e", "the"] {
            for input in same_input(name) {
                let (a, b) = (normal_form(a, &input), normal_form(b, &input));
                assert_ne!(a, b, "{name}");
            }
        }
    }
    assert_ne!(family("t", "io", "x", &nothing()).0, family("t", "decode", "x", &nothing()).0);
    assert_ne!(family("a", "io", "x", &nothing()).0, family("b", "io", "x", &nothing()).0);
}

#[test]
fn short_and_common_inputs_eat_no_words() {
    for (message, input, form) in [
        ("a file is gone", line("a"), "a file is gone"),
        ("no such file", line("file"), "no such file"),
        ("the plane has landed", line("plan"), "the plane has landed"),
        ("permission denied", line("permission"), "permission denied"),
        (
            "a damaged chair was sent",
            record(r#"{"text":"one damaged chair that nobody wanted to have"}"#),
            "a damaged chair was sent",
        ),
    ] {
        assert_eq!(normal_form(message, &input), form);
    }
}

#[test]
fn work_is_bounded() {
    let long = "anna ".repeat(100_000);
    let wide: Vec<String> = (0..1_000).map(|at| format!("\"k{at}\":\"value{at}x\"")).collect();
    let wide = record(&format!("{{{}}}", wide.join(",")));
    assert!(normal_form(&long, &wide).len() <= COMPARED_BYTES_MAX);
    assert_eq!(normal_form(&long, &line(&long)), normal_form(&long, &nothing()));
}

#[test]
fn messages_are_kept_raw_and_short() {
    assert_eq!(family("t", "k", "line 4: bad", &nothing()).1, "line 4: bad");
    assert_eq!(family("t", "k", &"ä".repeat(999), &nothing()).1.chars().count(), MESSAGE_CHARS_MAX + 1);
}
