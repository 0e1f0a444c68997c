//! What a database of an earlier version becomes when it is opened.

use sea_orm::{ConnectionTrait as _, Database};
use sea_orm_migration::MigratorTrait as _;

use super::*;
use crate::store::migration::Migrator;

/// Batches of a database of step 5: state, whether private, owner, failed items, deleted, options, tokens at `START`.
const BATCHES: [(&str, bool, &str, i64, bool, &str, f64); 6] = [
    ("pending", false, "ada", 0, false, r#"{"rate_per_s":2.0}"#, 0.0),
    ("running", false, "ada", 2, false, "{}", 0.0),
    ("failed", true, "ada", 1, false, "{}", 0.0),
    ("succeeded", true, "bob", 0, false, "{}", 0.0),
    ("succeeded", false, "bob", 0, false, "{}", 0.0),
    ("cancelled", false, "bob", 0, true, "{}", 0.0),
];

async fn what_was_there_is_counted_and_comes_due(on: On) {
    let folder = tempfile::tempdir().unwrap();
    let Some(url) = on.database(folder.path()) else { return };
    let before = if on == On::Sqlite { format!("{url}?mode=rwc") } else { url.clone() };
    let old = Database::connect(before).await.unwrap();
    Migrator::up(&old, Some(5)).await.unwrap();
    for (at, (state, private, owner, failed, deleted, options, tokens)) in BATCHES.into_iter().enumerate() {
        let text = format!(
            "INSERT INTO batches (uuid, name, task, input, source, params, options, owner, private, state, generation, \
             sealed, columns, result_columns, total, next_seq, running, retrying, succeeded, failed, cancelled, \
             cell_items, rev, finishes, deleted, priority, rate_tokens, rate_at, served, created_at) VALUES \
             ('{}', 'old', 'demo', 'line', 'generated', '{{}}', '{options}', '{owner}', {private}, '{state}', 1, TRUE, \
             '[]', '[]', 9, 1, 0, 0, 0, {failed}, 0, 1, 1, 0, {deleted}, 0, {tokens}, {START}, 0, {START})",
            BatchId::from_u128(at as u128)
        );
        old.execute_unprepared(&text).await.unwrap();
    }
    old.close().await.unwrap();
    let bench = Bench::open_at(folder, url).await;
    for (name, sees_all, all, active, finished, with_failures) in
        [("ada", false, 4, 2, 2, 2), ("bob", false, 4, 2, 2, 1), ("eve", true, 5, 2, 3, 2)]
    {
        let counts = bench.store.counts(&Viewer::of(name.to_owned(), sees_all)).await.unwrap();
        let seen = (counts.all, counts.active, counts.finished, counts.with_failures);
        assert_eq!(seen, (all, active, finished, with_failures), "{name}");
    }
    assert_eq!(bench.store.next_due().await.unwrap(), Some(Timestamp(START + 501)), "half a second an item");
    let first = bench.claim("a", 1, 1).await.unwrap();
    assert_eq!(first.batch.state, crate::protocol::BatchState::Running);
    assert!(first.batch.options.rate_per_s.is_none(), "the other has to wait");
    bench.pass(501);
    assert!(bench.claim("a", 1, 1).await.unwrap().batch.options.rate_per_s.is_some());
}

#[tokio::test]
async fn what_was_there_is_counted_and_comes_due_on_sqlite() {
    what_was_there_is_counted_and_comes_due(On::Sqlite).await;
}

#[tokio::test]
async fn what_was_there_is_counted_and_comes_due_on_postgres() {
    what_was_there_is_counted_and_comes_due(On::Postgres).await;
}
