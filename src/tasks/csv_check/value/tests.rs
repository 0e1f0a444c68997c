//! What each type of a column takes and refuses, as a table.

use super::*;

/// What each type takes, and what it does not.
const TABLE: [(ColumnKind, &[&str], &[&str]); 8] = [
    (ColumnKind::Text, &["", " ", "x"], &[]),
    (
        ColumnKind::Integer,
        &["0", "-0", "+7", "007", "9223372036854775807", "-9223372036854775808"],
        &["", "+", " 1", "1 ", "1.0", "1e3", "9223372036854775808", "1_000", "1,000", "٣", "0x1"],
    ),
    (
        ColumnKind::Number,
        &["0", "-1", "+1.5", "1e3", "1E-3", "1.25e+2", "007.50", "1e-400"],
        &["", ".5", "5.", "1e", "1e+", "1e400", "-1e400", "inf", "NaN", "1,5", "1 ", "+-1", "1.5.2", "1e1.5"],
    ),
    (
        ColumnKind::Boolean,
        &["true", "FALSE", "Yes", "no", "1", "0"],
        &["", "t", "y", "2", "on", " true", "01"],
    ),
    (
        ColumnKind::Date,
        &["2024-02-29", "0001-01-01", "9999-12-31", "2000-02-29"],
        &[
            "2023-02-29",
            "1900-02-29",
            "2024-2-29",
            "24-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-04-31",
            "0000-01-01",
            "2024/01/01",
            "2024-01-01 ",
            "2024-01-01T00:00:00Z",
            "+024-01-01",
        ],
    ),
    (
        ColumnKind::Datetime,
        &[
            "2024-02-29T00:00:00Z",
            "2024-02-29t23:59:59z",
            "2024-01-01T00:00:00.123456789012+05:30",
            "2024-01-01T00:00:00-00:00",
            "2024-01-01T00:00:00.5-23:59",
        ],
        &[
            "2024-02-29 00:00:00Z",
            "2024-02-30T00:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T00:60:00Z",
            "2024-02-29T23:59:60Z",
            "2024-02-29T00:00:00",
            "2024-02-29T00:00Z",
            "2024-02-29T00:00:00.Z",
            "2024-02-29T00:00:00+24:00",
            "2024-02-29T00:00:00+0100",
            "2024-02-29T00:00:00Zx",
            "2024-02-29",
            "2024-02-29T00:00:00ö",
            "2024-02-2öT00:00:00Z",
            "2024-02-29T0000:00Z",
        ],
    ),
    (
        ColumnKind::Email,
        &["a@b", "a.b+c@example.com", "a..b@x-y.org", "!#$%&'*+/=?^_`{|}~-@x.y"],
        &[
            "",
            "a",
            "@b",
            "a@",
            "a@b.",
            "a@.b",
            "a@-b",
            "a@b-",
            "a b@c",
            "a@b@c",
            "ä@b",
            "a@b_c",
            "a@b c",
            "a@ü..org",
        ],
    ),
    (
        ColumnKind::Url,
        // Chromium's field of type `url` takes these, and none of the others but `ftp://a` and the trimmed ones.
        &[
            "http://a",
            "HTTPS://example.com:8080/x?y#z",
            "https://[::1]:80/",
            "http://a?b",
            "http://a./ä",
            "http://127.0.0.1:0",
            "https://münchen.example/",
            "https://example.com/ä?q=ö",
            "http://user:p@h",
            "http:/a",
            "http:a",
            "http://a:",
            "http://a/b c",
            "http://a..b",
            "http://0x7f.1/",
            "http://ex%61mple.com/",
        ],
        &[
            "",
            "a",
            "//a",
            "http://",
            "http:///",
            "ftp://a",
            "http://a b",
            "http://a:65536",
            "http://a:8x",
            "http://[::1",
            "http://[x]",
            "http://[::1]x",
            "http://a:+80",
            "http://1.2.3.4.5",
            "http://256.1.1.1",
            "http://a<b",
            "http://a%00b",
            " http://a",
            "http://a\n",
            "http://a\t/b",
        ],
    ),
];

#[test]
fn types_take_and_refuse() {
    for (kind, good, bad) in TABLE {
        for text in good {
            assert!(read(kind, text).is_some(), "{kind:?} takes {text:?}");
        }
        for text in bad {
            assert!(read(kind, text).is_none(), "{kind:?} refuses {text:?}");
        }
    }
}

#[test]
fn times_compare_as_instants() {
    let at = |text: &str| parse_instant(text).unwrap();
    assert_eq!(at("1970-01-01T00:00:00Z"), 0);
    assert_eq!(at("2026-01-31T10:41:00.123+01:00"), 1_769_852_460_123_000_000);
    assert!(at("1969-12-31T23:59:59.999999999Z") == -1);
    assert!(at("2024-01-01T00:00:00-01:00") > at("2024-01-01T00:59:59Z"));
}

#[test]
fn every_type_has_its_name() {
    for (name, kind) in ColumnKind::ALL {
        assert_eq!(serde_json::from_value::<ColumnKind>(name.into()).unwrap(), kind);
    }
}
