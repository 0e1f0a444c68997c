//! Many rows in one statement, in either dialect: rows that are inserted, and lists of keys, texts or ranges by which rows
//! are found.
//!
//! The texts are few, so they stay prepared.

use sea_orm::{ConnectionTrait, DbBackend, Value};
use serde::Serialize;

use super::run;
use crate::store::error::StoreError;

/// Values in one statement (SQLite allows 32,766).
const BINDS_MAX: usize = 30_000;
/// Rows of one statement with a placeholder per value at most.
const BULK_ROWS_MAX: usize = 512;
/// Rows of one statement with a placeholder per column at most.
const COLUMN_ROWS_MAX: usize = 4_096;

/// Inserts many rows: `head` is the text up to `VALUES`, `tail` what follows (an upsert, or nothing).
///
/// On SQLite rows go in statements of 1 to 16, 32, 64 … rows, so that their texts are few and stay prepared. On
/// Postgres they go by column, as `unnest` of one array each: one text, whatever the number of rows.
pub(crate) async fn insert_many<C: ConnectionTrait>(
    connection: &C,
    head: &str,
    tail: &str,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let Some(first) = rows.first() else { return Ok(()) };
    if connection.get_database_backend() == DbBackend::Postgres {
        if let Some(kinds) = first.iter().map(array_type).collect::<Option<Vec<_>>>() {
            return insert_columns(connection, head, tail, &kinds, rows).await;
        }
        return insert_tuples(connection, head, tail, Marks::From(1), rows).await;
    }
    // SQLite looks a numbered placeholder up among all before it: thousands of them cost their square.
    insert_tuples(connection, head, tail, Marks::Plain, rows).await
}

async fn insert_tuples<C: ConnectionTrait>(
    connection: &C,
    head: &str,
    tail: &str,
    marks: Marks,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let mut rows = rows.into_iter();
    while let Some(first) = rows.as_slice().first() {
        let width = first.len();
        let most = rows.len().min(BULK_ROWS_MAX).min(BINDS_MAX / width.max(1));
        let size = if most <= 16 { most } else { 1 << most.ilog2() };
        let text = format!("{head} VALUES {} {tail}", tuples(size, width, marks));
        run(connection, &text, rows.by_ref().take(size).flatten().collect()).await?;
    }
    Ok(())
}

async fn insert_columns<C: ConnectionTrait>(
    connection: &C,
    head: &str,
    tail: &str,
    kinds: &[&str],
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let arrays: Vec<String> =
        kinds.iter().enumerate().map(|(at, kind)| format!("${}::{kind}[]", at + 1)).collect();
    let text = format!("{head} SELECT * FROM unnest({}) {tail}", arrays.join(", "));
    for rows in rows.chunks(COLUMN_ROWS_MAX) {
        let mut columns = vec![String::from("{"); kinds.len()];
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                if column.len() > 1 {
                    column.push(',');
                }
                push_element(column, value)?;
            }
        }
        let values = columns.into_iter().map(|column| Value::from(column + "}")).collect();
        run(connection, &text, values).await?;
    }
    Ok(())
}

/// The type of an array of such values in Postgres; none for bytes, which would double on the way.
fn array_type(value: &Value) -> Option<&'static str> {
    match value {
        Value::BigInt(_) => Some("bigint"),
        Value::String(_) => Some("text"),
        Value::Bool(_) => Some("boolean"),
        Value::Double(_) => Some("double precision"),
        _ => None,
    }
}

/// Writes a value as an element of an array's text.
///
/// The form: <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>. The driver's arrays hold no nulls.
fn push_element(array: &mut String, value: &Value) -> Result<(), StoreError> {
    use std::fmt::Write as _;
    let written = match value {
        Value::BigInt(Some(number)) => write!(array, "{number}"),
        Value::Double(Some(number)) => write!(array, "{number}"),
        Value::Bool(Some(flag)) => write!(array, "{flag}"),
        Value::String(Some(text)) => {
            push_quoted(array, text);
            Ok(())
        }
        Value::BigInt(None) | Value::Double(None) | Value::Bool(None) | Value::String(None) => {
            write!(array, "NULL")
        }
        other => return Err(StoreError::Invariant(format!("no column holds {other:?} in bulk"))),
    };
    written.expect("writing to a text never fails");
    Ok(())
}

fn push_quoted(array: &mut String, text: &str) {
    array.push('"');
    let mut plain = 0;
    // Postgres stores no NUL in text.
    for (at, mark) in text.match_indices(['"', '\\', '\0']) {
        array.push_str(&text[plain..at]);
        if mark == "\0" {
            array.push('\u{fffd}');
            plain = at + 1;
        } else {
            array.push('\\');
            plain = at;
        }
    }
    array.push_str(&text[plain..]);
    array.push('"');
}

/// How placeholders are written.
#[derive(Clone, Copy)]
enum Marks {
    /// `?`
    Plain,
    /// `$n`, counted from a number.
    From(usize),
}

/// `($1,$2),($3,$4)`: `count` tuples of `width` placeholders.
fn tuples(count: usize, width: usize, marks: Marks) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(count * width * 6);
    for at in 0..count * width {
        text.push_str(match at {
            0 => "(",
            at if at % width == 0 => "),(",
            _ => ",",
        });
        match marks {
            Marks::Plain => text.push('?'),
            Marks::From(first) => write!(text, "${}", first + at).expect("writing to a text never fails"),
        }
    }
    text.push(')');
    text
}

/// Elements of one list at most: as many rows as a statement that locks or changes them takes in one go.
pub(crate) const LIST_MAX: usize = 4_096;

/// What follows a column of keys, to be in the list that is bound as `$at` (see [`list_value`]).
///
/// A list is one value, JSON as text, so its statement has one text however long it is, and stays prepared. On Postgres
/// it becomes an array, for which rows are looked up by their key whatever the figures about the table say; a join with
/// the list would be planned by them, and of a batch that has just come there are none.
pub(crate) fn in_keys<C: ConnectionTrait>(connection: &C, at: usize) -> String {
    match connection.get_database_backend() {
        DbBackend::Postgres => {
            format!(
                "= ANY (ARRAY(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(${at} AS json))))"
            )
        }
        _ => format!("IN (SELECT value FROM json_each(${at}))"),
    }
}

/// As [`in_keys`], of texts.
pub(crate) fn in_texts<C: ConnectionTrait>(connection: &C, at: usize) -> String {
    match connection.get_database_backend() {
        DbBackend::Postgres => format!("= ANY (ARRAY(SELECT json_array_elements_text(CAST(${at} AS json))))"),
        _ => format!("IN (SELECT value FROM json_each(${at}))"),
    }
}

/// `FROM …`: for each range `asked` of the list that is bound as `$2`, the rows `found` of a table for which `condition`
/// holds. It is on both, and to be looked up by a key of the table. A row that several ranges find comes as often.
///
/// The list always comes first. Left to themselves, both databases take a table of which they have no figures for the
/// shorter one, and compare each of its rows with each range.
pub(crate) fn found_for_each<C: ConnectionTrait>(connection: &C, table: &str, condition: &str) -> String {
    const ENDS: &str =
        "(SELECT CAST(value ->> 0 AS BIGINT) AS first, CAST(value ->> 1 AS BIGINT) AS last FROM ";
    match connection.get_database_backend() {
        DbBackend::Postgres => format!(
            "FROM {ENDS} json_array_elements(CAST($2 AS json))) AS asked \
             CROSS JOIN LATERAL (SELECT * FROM {table} AS found WHERE {condition} OFFSET 0) AS found"
        ),
        _ => format!("FROM {ENDS} json_each($2)) AS asked CROSS JOIN {table} AS found WHERE {condition}"),
    }
}

/// Whether rows that are found may be taken away before the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// They may.
    Free,
    /// Nobody takes them away: who is about to is passed over, who comes later waits.
    Held,
}

/// For each text of the list that is bound as `$1`, the text and `wanted` of one row whose `column` is that text; null, or
/// no row, where there is none. `column` is to be the first of an index.
pub(crate) fn one_for_each<C: ConnectionTrait>(
    connection: &C,
    table: &str,
    (column, wanted): (&str, &str),
    hold: Hold,
) -> String {
    let one = format!("SELECT {wanted} AS wanted FROM {table} WHERE {column} = asked.value LIMIT 1");
    match connection.get_database_backend() {
        DbBackend::Postgres => {
            let held = if hold == Hold::Held { "FOR KEY SHARE SKIP LOCKED" } else { "" };
            format!(
                "SELECT asked.value, found.wanted FROM json_array_elements_text(CAST($1 AS json)) AS asked \
                 CROSS JOIN LATERAL ({one} {held}) AS found"
            )
        }
        // Whoever writes is the only one.
        _ => format!("SELECT asked.value, ({one}) FROM json_each($1) AS asked"),
    }
}

/// A list as the one value that it is bound as: keys, texts, or pairs of first and last.
pub(crate) fn list_value<T: Serialize>(list: &[T]) -> Value {
    serde_json::to_string(list).expect("numbers and texts always print").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_quotes_and_backslashes() {
        let mut array = String::new();
        for value in
            [Value::from(r#"a"b\c"#), Value::from(Option::<String>::None), Value::from("NULL"), 7_i64.into()]
        {
            array.push(',');
            push_element(&mut array, &value).unwrap();
        }
        assert_eq!(array, r#","a\"b\\c",NULL,"NULL",7"#);
    }
}
