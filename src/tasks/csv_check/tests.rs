//! Verdicts of `csv-check`, row by row, and what declarations are refused.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::registry::Registry;
use super::super::task::Again;
use super::*;
use crate::protocol::BatchId;

/// The verdict as the engine gets it: empty if valid, else the message.
async fn verdicts(params: Value, records: &[&str]) -> Vec<String> {
    let registry = Registry::default().with(CsvCheck);
    let (_, ready) = registry.prepare("csv-check", &Json::from_value(&params)).unwrap().unwrap();
    let mut verdicts = Vec::new();
    for (seq, record) in (1..).zip(records) {
        let input = ItemInput::Value(Json::parse(record).unwrap());
        let item = Item { batch: BatchId::from_u128(1), seq, generation: 1, attempt: 1, input };
        let context = TaskContext::new(Arc::default(), CancellationToken::new(), "none".into());
        verdicts.push(match ready.run(item, context).await {
            Ok(result) => {
                assert_eq!(result.as_str(), r#"{"valid":true}"#);
                String::new()
            }
            Err(fault) => {
                assert_eq!((fault.kind, fault.again), ("invalid", Again::No));
                fault.message
            }
        });
    }
    verdicts
}

fn refused(params: Value) -> String {
    let registry = Registry::default().with(CsvCheck);
    match registry.prepare("csv-check", &Json::from_value(&params)).unwrap() {
        Ok(_) => panic!("{params} is taken"),
        Err(faults) => faults.join("; "),
    }
}

#[tokio::test]
async fn every_record_is_valid_without_columns() {
    let records = [r#"{"a":"1"}"#, "{}", r#""text""#, "7", "[1]", "null"];
    let expected = "expected a record: a JSON object or a CSV row";
    assert_eq!(verdicts(json!({}), &records).await, ["", "", expected, expected, expected, expected]);
}

#[tokio::test]
async fn reasons_come_in_the_order_of_the_record() {
    let params = json!({"columns": {
        "id": "integer",
        "amount": {"type": "number", "min": 0, "max": 99.5},
        "code": {"min_length": 2, "max_length": 3, "pattern": "[A-Z]+", "one_of": ["AB", "ABC"]},
        "note": {"required": false, "max_length": 3},
    }});
    let records = [
        r#"{"id":"1","amount":"99.5","code":"AB","note":""}"#,
        r#"{"id":1,"amount":1e1,"code":"ABC","other":[]}"#,
        r#"{"amount":"abc","id":"1.5","code":"AB","note":"äöü"}"#,
        r#"{"id":"","amount":"-1","code":"abcd","note":"four"}"#,
        r#"{"note":null,"id":"7"}"#,
        r#"{"id":{},"amount":[],"code":"\u0041B"}"#,
        r#"{"id":"x","id":"2","amount":"0","code":"AB"}"#,
        r#"{"id":" 2","amount":"99.51","code":" "}"#,
    ];
    assert_eq!(
        verdicts(params, &records).await,
        [
            "",
            "",
            r#"amount: expected a number, found "abc"; id: expected a whole number, found "1.5""#,
            "id: a value is required; amount: expected at least 0, found \"-1\"; \
             code: expected at most 3 characters, found 4; code: expected a match of [A-Z]+, found \"abcd\"; \
             code: expected one of \"AB\", \"ABC\", found \"abcd\"; note: expected at most 3 characters, found 4",
            "amount: a value is required; code: a value is required",
            "id: expected a whole number, found an object; amount: expected a number, found an array",
            "",
            "id: expected a whole number, found \" 2\"; amount: expected at most 99.5, found \"99.51\"; \
             code: expected at least 2 characters, found 1; code: expected a match of [A-Z]+, found \" \"; \
             code: expected one of \"AB\", \"ABC\", found \" \"",
        ]
    );
}

#[tokio::test]
async fn bounds_are_exact_and_patterns_match_the_whole() {
    let params = json!({"columns": {
        "big": {"type": "integer", "required": false, "min": i64::MAX - 1},
        "day": {"type": "date", "required": false, "min": "2024-01-01", "max": "2024-12-31"},
        "at": {"type": "datetime", "required": false, "max": "2024-01-01T00:00:00Z"},
        "either": {"required": false, "pattern": "a|bc"},
    }});
    let records = [
        r#"{"big":"9223372036854775806","day":"2024-12-31","at":"2024-01-01T01:00:00+01:00","either":"bc"}"#,
        r#"{"big":"9223372036854775805"}"#,
        r#"{"day":"2025-01-01","at":"2024-01-01T00:00:00.000000001Z"}"#,
        r#"{"either":"abc"}"#,
        r#"{"either":"a\n"}"#,
    ];
    let found = verdicts(params, &records).await;
    assert_eq!(found[0], "");
    assert_eq!(found[1], r#"big: expected at least 9223372036854775806, found "9223372036854775805""#);
    assert_eq!(
        found[2],
        "day: expected at most 2024-12-31, found \"2025-01-01\"; \
         at: expected at most 2024-01-01T00:00:00Z, found \"2024-01-01T00:00:00.000000001Z\""
    );
    assert_eq!(found[3], r#"either: expected a match of a|bc, found "abc""#);
    assert_eq!(found[4], r#"either: expected a match of a|bc, found "a\n""#);
}

#[tokio::test]
async fn other_columns_and_many_reasons() {
    let params = json!({"columns": {"a": "text"}, "no_other_columns": true});
    let wide = format!("{{{}}}", (0..60).map(|at| format!("\"x{at}\":1")).collect::<Vec<_>>().join(","));
    let found = verdicts(params, &[r#"{"z":"1","a":"b"}"#, &wide]).await;
    assert_eq!(found[0], "z: no such column is declared");
    assert!(
        found[1].starts_with("x0: no such column") && found[1].ends_with("; and 11 more"),
        "{}",
        found[1]
    );
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000));
    let found = verdicts(json!({"columns": {"a": "integer"}}), &[&long]).await;
    assert_eq!(found[0], format!("a: expected a whole number, found \"{}…\"", "x".repeat(40)));
}

#[test]
fn declarations_are_checked() {
    for (column, part) in [
        (json!("int"), "int"),
        (json!(7), "columns/a"),
        (json!({"typ": "integer"}), "typ"),
        (json!({"type": "integer", "min": 0.5}), "columns/a/min: expected a whole number"),
        (json!({"type": "integer", "min": 2, "max": 1}), "columns/a/min: expected no more than max"),
        (json!({"type": "date", "max": "2024-02-30"}), "columns/a/max: expected a date"),
        (json!({"type": "text", "min": 1}), "columns/a/min: only integer"),
        (json!({"min_length": 3, "max_length": 2}), "columns/a/min_length"),
        (json!({"pattern": "("}), "columns/a/pattern: not a regular expression"),
        (json!({"pattern": "a)|(?:b"}), "columns/a/pattern: not a regular expression"),
        (json!({"pattern": "(?:[a-z]{1000}){1000}"}), "columns/a/pattern: the expression is too large"),
        (json!({"one_of": []}), "one_of"),
    ] {
        let fault = refused(json!({"columns": {"a": column}}));
        assert!(fault.contains(part), "{column}: {fault}");
    }
    assert!(refused(json!({"colums": {}})).contains("colums"));
}

#[test]
fn the_schema_says_what_is_possible() {
    let registry = Registry::default().with(CsvCheck);
    let schema = registry.info("csv-check").unwrap().params.to_value();
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["properties"]["columns"]["default"], json!({}));
    assert_eq!(schema["properties"]["no_other_columns"]["default"], json!(false));
    let column = &schema["properties"]["columns"]["additionalProperties"];
    assert_eq!(column["properties"]["type"]["enum"].as_array().unwrap().len(), value::ColumnKind::ALL.len());
    let (filled, _) = registry.prepare("csv-check", &Json::default()).unwrap().unwrap();
    assert_eq!(filled.to_value(), json!({"columns": {}, "no_other_columns": false}));
}

#[test]
fn rules_that_every_row_passes_are_told() {
    let idle = |params: Value| {
        let registry = Registry::default().with(CsvCheck);
        let (_, ready) = registry.prepare("csv-check", &Json::from_value(&params)).unwrap().unwrap();
        ready.idle()
    };
    for nothing in [
        json!({}),
        json!({"columns": {}}),
        json!({"columns": {"a": {"required": false}, "b": {"type": "text", "required": false}}}),
    ] {
        assert!(
            idle(nothing.clone()).is_some_and(|reason| reason.starts_with("Nothing would be checked: ")),
            "{nothing}"
        );
    }
    for something in [
        json!({"no_other_columns": true}),
        json!({"columns": {"a": "text"}}),
        json!({"columns": {"a": {"required": false}, "b": {"type": "integer", "required": false}}}),
        json!({"columns": {"a": {"required": false, "max_length": 3}}}),
        json!({"columns": {"a": {"required": false, "pattern": "x"}}}),
        json!({"columns": {"a": {"required": false, "one_of": ["x"]}}}),
    ] {
        assert_eq!(idle(something.clone()), None, "{something}");
    }
}

#[tokio::test]
async fn what_is_foreseen_is_what_comes() {
    let params = json!({"columns": {"age": "integer", "email": {"type": "email", "required": false}}});
    let records = [r#"{"age":"41"}"#, r#"{"age":"abc","email":"x"}"#, r#"{"email":"a@b.c"}"#, "7"];
    let registry = Registry::default().with(CsvCheck);
    let (_, ready) = registry.prepare("csv-check", &Json::from_value(&params)).unwrap().unwrap();
    let foreseen =
        records.map(|record| ready.foresee(&Json::parse(record).unwrap()).unwrap().err().unwrap_or_default());
    assert_eq!(foreseen.to_vec(), verdicts(params, &records).await);
    assert!(
        foreseen[0].is_empty()
            && foreseen[1].contains("age: expected a whole number, found \"abc\"; email: ")
    );
}
