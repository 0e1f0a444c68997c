//! Whether an SQLite database is whole, looked at before it is worked on; and whether it is there at all.
//!
//! A database of which pages were lost answers most questions, and some of them wrongly. So it is not worked on.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::{self, Error as Driver};

use super::driver_error;
use crate::store::error::StoreError;

/// How long a start after a stop that was not clean looks at most: about a gigabyte of an ordinary disk. What was not
/// looked at by then counts as whole.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// The same after a clean one.
const LOOK_CLEAN_MAX: Duration = Duration::from_secs(1);
/// Steps of the look between two looks at the clock.
const STEPS: i32 = 1_000;
/// Faults that are named.
const FAULTS_MAX: usize = 3;
/// SQLite was told to stop.
const INTERRUPTED: u32 = 9;
/// Folders that the files of contents lie in are named by so many hexadecimal digits.
const SHELF_DIGITS: usize = 2;
/// What to do, whatever is wrong.
const ADVICE: &str =
    "Put back a copy from before (the database, its -wal file and the folder of files as one)";

/// How the process before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStop {
    /// As it should; or there was none.
    Clean,
    /// By a crash or a power cut.
    Unclean,
}

/// Looks at the pages of the database and how they hang together.
pub(super) async fn check(writer: &DatabaseConnection, stop: LastStop) -> Result<(), StoreError> {
    let begun = Instant::now();
    let most = match stop {
        LastStop::Clean => LOOK_CLEAN_MAX,
        LastStop::Unclean => LOOK_MAX,
    };
    let looked = look(writer, begun + most).await;
    let seconds = begun.elapsed().as_secs_f64();
    match looked {
        Ok(faults) if faults.is_empty() => {
            if stop == LastStop::Unclean {
                tracing::info!(
                    seconds,
                    "the last stop was not clean: the database was looked at and is whole"
                );
            }
            Ok(())
        }
        Ok(faults) => Err(damaged(&faults.join("; "))),
        Err(Driver::Database(answer)) if is_kind(answer.code().as_deref(), &[INTERRUPTED]) => {
            if stop == LastStop::Unclean {
                tracing::warn!(
                    seconds,
                    "the last stop was not clean: the database is too large to be looked at wholly in this time; in what \
                     was looked at nothing is wrong"
                );
            }
            Ok(())
        }
        Err(error) => Err(sea_orm::DbErr::Query(sea_orm::RuntimeErr::SqlxError(error.into())).into()),
    }
}

async fn look(writer: &DatabaseConnection, until: Instant) -> Result<Vec<String>, Driver> {
    let mut connection = writer.get_sqlite_connection_pool().acquire().await?;
    connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < until);
    let text = format!("PRAGMA quick_check({FAULTS_MAX})");
    let found = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(text)).fetch_all(&mut *connection).await;
    connection.lock_handle().await?.remove_progress_handler();
    let mut faults = found?;
    faults.retain(|line| line != "ok");
    Ok(faults)
}

/// True where an answer of SQLite is of one of these kinds: the low byte of its code.
fn is_kind(code: Option<&str>, kinds: &[u32]) -> bool {
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| kinds.contains(&(code & 0xff)))
}

/// What is said of a damaged database.
pub(super) fn damaged(what: &str) -> StoreError {
    let what = what.lines().collect::<Vec<_>>().join(" ");
    StoreError::Damaged(format!(
        "the database is damaged: {what}. {ADVICE}; or save what can be read of it with `sqlite3 DATABASE .recover`"
    ))
}

/// Refuses to begin anew where there are files of a database that is not there.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn refuse_missing(database: &Path, files: &Path) -> Result<(), StoreError> {
    let what = match std::fs::metadata(database) {
        Ok(file) if file.len() > 0 => return Ok(()),
        Ok(_empty) => "is empty",
        Err(_missing) => "is not there",
    };
    if !holds_contents(files) {
        return Ok(());
    }
    let (database, files) = (database.display(), files.display());
    Err(StoreError::Damaged(format!(
        "the database {database} {what}, and {files} holds files of one: with a new database they would be lost. {ADVICE}; \
         to begin anew, move {files} away first"
    )))
}

/// True where a content is in one of the shelves.
fn holds_contents(files: &Path) -> bool {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_shelf =
        |name: &str| name.len() == SHELF_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    entries(files)
        .filter(|shelf| shelf.file_name().to_str().is_some_and(is_shelf))
        .any(|shelf| entries(&shelf.path()).next().is_some())
}

/// True where SQLite says that what it reads is no database, or a broken one.
pub(super) fn is_damage(error: &sea_orm::DbErr) -> bool {
    const CORRUPT: u32 = 11;
    const NOT_A_DATABASE: u32 = 26;
    match driver_error(error) {
        // Codes of Postgres have five characters.
        Some(Driver::Database(answer)) => {
            let code = answer.code();
            let code = code.as_deref().filter(|code| code.len() < 5);
            is_kind(code, &[CORRUPT, NOT_A_DATABASE])
        }
        _ => false,
    }
}
