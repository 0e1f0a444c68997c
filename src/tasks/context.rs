//! What a running item may use: progress, log, files, and the question whether it is still wanted.
//!
//! Reporting progress costs two atomic stores and wakes nobody; the log is bounded.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::protocol::Seq;

/// Bytes of log kept per attempt by default: beyond, the oldest lines go and a mark says how many bytes.
pub const LOG_BYTES_MAX: usize = 64 * 1024;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the curious.
    Info,
    /// Something odd.
    Warn,
    /// Something wrong.
    Error,
}

impl LogLevel {
    /// As it stands at the start of a line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What is shared between a running item and the engine.
#[derive(Debug, Default)]
pub struct WorkCell {
    /// Part done, as the bits of an `f32`.
    fraction: AtomicU32,
    /// Grows with every report: what a reader compares to see that something is new.
    reports: AtomicU64,
    /// The attempt's folder was made, or it was tried.
    has_folder: AtomicBool,
    /// The item waits for its turn at something scarce: its time does not run yet.
    waits: AtomicBool,
    /// Told once it no longer waits.
    goes: Notify,
    /// Held only to push or copy a few lines: never across an await.
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    note: Option<String>,
    log: String,
    /// Bytes that were dropped at the front of `log`.
    log_dropped: u64,
    files: Vec<(String, PathBuf)>,
}

impl WorkCell {
    /// Part done, 0 to 1; none if never reported.
    #[must_use]
    pub fn progress(&self) -> Option<(f64, Option<String>)> {
        if self.reports() == 0 {
            return None;
        }
        let fraction = f64::from(f32::from_bits(self.fraction.load(Ordering::Relaxed)));
        Some((fraction, self.words.lock().unwrap_or_else(PoisonError::into_inner).note.clone()))
    }

    /// Reports so far.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reports.load(Ordering::Acquire)
    }

    /// True once the item has asked for its folder: it may be there.
    #[must_use]
    pub fn has_folder(&self) -> bool {
        self.has_folder.load(Ordering::Acquire)
    }

    /// Resolves once the item's time runs. Cancel-safe.
    pub async fn time_runs(&self) {
        while self.waits.load(Ordering::Acquire) {
            self.goes.notified().await;
        }
    }

    /// The log's tail and the offset of its first byte in the whole log.
    #[must_use]
    pub fn log(&self) -> (u64, String) {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        (words.log_dropped, words.log.clone())
    }

    /// Files that the item has left so far: name and where it was written.
    #[must_use]
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).files.clone()
    }
}

/// What a running item may use. Cheap to clone; may go to a blocking thread.
#[derive(Clone, Debug)]
pub struct TaskContext {
    cell: Arc<WorkCell>,
    cancel: CancellationToken,
    /// Folder of this attempt for files; made on first use.
    out: Out,
    time_limit: Duration,
    witness: Option<Witness>,
}

/// Hears what passes between a running item and its process, line by line: for somebody who looks on. What it does
/// not take in time it does not hear.
pub type Witness = Sender<String>;

/// Time limit of a context that was told none.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// The folder of an attempt: its path is made when it is asked for, which quick items never do.
#[derive(Clone, Debug)]
enum Out {
    Folder(Arc<PathBuf>),
    Attempt { prefix: Arc<str>, seq: Seq, attempt: u32 },
}

impl Out {
    fn path(&self) -> PathBuf {
        match self {
            Self::Folder(path) => path.as_path().to_owned(),
            Self::Attempt { prefix, seq, attempt } => PathBuf::from(format!("{prefix}{seq}-{attempt}")),
        }
    }
}

impl TaskContext {
    /// A context for one attempt; `out` is a folder of its own that need not exist yet.
    #[must_use]
    pub fn new(cell: Arc<WorkCell>, cancel: CancellationToken, out: PathBuf) -> Self {
        Self { cell, cancel, out: Out::Folder(Arc::new(out)), time_limit: TIME_LIMIT, witness: None }
    }

    /// As [`TaskContext::new`], with the folder `{prefix}{seq}-{attempt}`.
    #[must_use]
    pub fn of_attempt(
        cell: Arc<WorkCell>,
        cancel: CancellationToken,
        prefix: &Arc<str>,
        seq: Seq,
        attempt: u32,
    ) -> Self {
        let out = Out::Attempt { prefix: Arc::clone(prefix), seq, attempt };
        Self { cell, cancel, out, time_limit: TIME_LIMIT, witness: None }
    }

    /// Says how long the attempt may take; to hold it to that is the caller's.
    #[must_use]
    pub fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Lets `witness` hear what passes between the item and its process.
    #[must_use]
    pub fn witnessed(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// How long the attempt may take.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// Sends a line to the witness, if there is one; one that has gone away or falls behind is no fault.
    pub fn send_witness(&self, line: impl FnOnce() -> String) {
        if let Some(witness) = &self.witness {
            let _gone_or_behind = witness.try_send(line());
        }
    }

    /// Says that the item waits for its turn at something scarce: before the first await, because later its time runs.
    pub fn wait_turn(&self) {
        self.cell.waits.store(true, Ordering::Release);
    }

    /// Says that its turn has come: its time runs from now on.
    pub fn turn_came(&self) {
        self.cell.waits.store(false, Ordering::Release);
        self.cell.goes.notify_one();
    }

    /// Folder of this attempt; it need not exist.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.out.path()
    }

    /// Says how far the item is, 0 to 1; values outside are held to that.
    pub fn progress(&self, fraction: f64) {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        #[expect(clippy::cast_possible_truncation, reason = "a fraction for a bar needs no 64 bits")]
        self.cell.fraction.store((fraction as f32).to_bits(), Ordering::Relaxed);
        self.cell.reports.fetch_add(1, Ordering::Release);
    }

    /// Says what is being done, in a few words.
    pub fn note(&self, note: &str) {
        self.cell.words.lock().unwrap_or_else(PoisonError::into_inner).note = Some(note.to_owned());
        self.cell.reports.fetch_add(1, Ordering::Release);
    }

    /// Adds a line to the log; beyond [`LOG_BYTES_MAX`] the oldest lines go.
    pub fn log(&self, level: LogLevel, line: &str) {
        let mut words = self.cell.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.log.push_str(level.word());
        words.log.push(' ');
        words.log.extend(line.chars().take(LOG_BYTES_MAX / 8).map(|c| if c == '\n' { ' ' } else { c }));
        words.log.push('\n');
        if words.log.len() > LOG_BYTES_MAX {
            let over = words.log.len() - LOG_BYTES_MAX;
            let cut = words.log.as_bytes()[over..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(over, |at| over + at + 1);
            words.log.drain(..cut);
            words.log_dropped += cut as u64;
        }
        drop(words);
        self.cell.reports.fetch_add(1, Ordering::Release);
    }

    /// True once the item is no longer wanted: time is up, or the batch was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Resolves once the item is no longer wanted. Cancel-safe.
    pub async fn until_cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Makes the folder of this attempt, and answers its absolute path. Whoever runs the item removes it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make_folder(&self) -> std::io::Result<PathBuf> {
        let folder = std::path::absolute(self.folder())?;
        self.cell.has_folder.store(true, Ordering::Release);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Takes the empty folder `spare` for that of this attempt, and answers its absolute path.
    ///
    /// # Errors
    /// What the file system says: there may be something of that name.
    pub(super) fn rename_folder(&self, spare: &Path) -> std::io::Result<PathBuf> {
        let folder = std::path::absolute(self.folder())?;
        self.cell.has_folder.store(true, Ordering::Release);
        std::fs::rename(spare, &folder)?;
        Ok(folder)
    }

    /// Says that the folder of this attempt, in which nothing is, is no longer the attempt's: who runs the item has
    /// none to remove.
    pub(super) fn release_folder(&self) -> PathBuf {
        self.cell.has_folder.store(false, Ordering::Release);
        self.folder()
    }

    /// Leaves a file that is already in the attempt's folder, under `name`; the caller has made sure that it is a
    /// plain file and that `name` leads nowhere else.
    pub fn leave_file(&self, name: String, path: PathBuf) {
        let mut words = self.cell.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.files.retain(|(taken, _)| *taken != name);
        words.files.push((name, path));
    }

    /// Leaves a file with this content. `name` is one path component. Blocks while it writes: a task that leaves large files
    /// writes them into its folder from a thread of its own.
    ///
    /// # Errors
    /// What the file system says, or `InvalidInput` for a name that is no plain file name.
    pub fn write_file(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        let plain =
            Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains(['\0', '\\']);
        if !plain {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "a file name without folders is expected",
            ));
        }
        let folder = self.folder();
        self.cell.has_folder.store(true, Ordering::Release);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        std::fs::write(&path, content)?;
        self.leave_file(name.to_owned(), path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(out: PathBuf) -> (Arc<WorkCell>, TaskContext) {
        let cell = Arc::new(WorkCell::default());
        (Arc::clone(&cell), TaskContext::new(cell, CancellationToken::new(), out))
    }

    #[test]
    fn log_keeps_its_tail() {
        let (cell, context) = context(PathBuf::new());
        for line in 0..20_000 {
            context.log(LogLevel::Info, &format!("line {line}"));
        }
        let (dropped, log) = cell.log();
        assert!(log.len() <= LOG_BYTES_MAX && dropped > 0);
        assert!(log.starts_with("info line ") && log.ends_with("info line 19999\n"));
    }

    #[test]
    fn files_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (cell, context) = context(folder.path().join("out"));
        for bad in ["../a", "/etc/passwd", "a/b", "", "..", "a\\b"] {
            assert!(context.write_file(bad, b"x").is_err(), "{bad}");
        }
        context.write_file("a.txt", b"x").unwrap();
        assert_eq!(cell.files(), [("a.txt".to_owned(), folder.path().join("out/a.txt"))]);
    }
}
