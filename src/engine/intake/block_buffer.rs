//! The block that forms: items on one side, whole blocks on the other.
//!
//! Owns what has come and is not committed, and its bound. Filled by the intake, emptied by the committer. Invariant:
//! items leave in the order in which they came, whole. Deliberately writes nothing.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::{FileRecord, NewBlock};

/// Lines of a block.
const BLOCK_LINES: u32 = 1_024;
/// Bytes from which on a block is full.
const BLOCK_BYTES: usize = 256 * 1024;
/// Full blocks that wait for their commit at most; beyond, the reading of the body waits.
const BLOCKS_WAITING_MAX: usize = 16;

/// What has come and is not committed.
#[derive(Default)]
pub struct Forming {
    parts: Mutex<Parts>,
    /// The committer may have something to do.
    come: Notify,
    /// The intake may go on.
    gone: Notify,
}

#[derive(Default)]
struct Parts {
    ndjson: Vec<u8>,
    count: u32,
    full: Vec<NewBlock>,
    files: Vec<FileRecord>,
    end: End,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// What is here is the last.
    Last,
    /// The rest is not wanted, or cannot be written.
    Dropped,
}

impl Forming {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room; false where nothing is written any more. Cancel-safe.
    pub async fn room(&self) -> bool {
        loop {
            {
                let parts = self.lock();
                if parts.end != End::Open {
                    return false;
                }
                if parts.full.len() < BLOCKS_WAITING_MAX {
                    return true;
                }
            }
            self.gone.notified().await;
        }
    }

    /// Adds one item.
    pub fn add(&self, json: &str, file: Option<FileRecord>) {
        let mut parts = self.lock();
        // Between its tokens JSON may hold line breaks; inside strings it cannot.
        let plain = |byte: u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        if json.bytes().any(|byte| plain(byte) != byte) {
            parts.ndjson.extend(json.bytes().map(plain));
        } else {
            parts.ndjson.extend_from_slice(json.as_bytes());
        }
        parts.ndjson.push(b'\n');
        parts.count += 1;
        parts.files.extend(file);
        let first = parts.count == 1;
        let full = parts.count >= BLOCK_LINES || parts.ndjson.len() >= BLOCK_BYTES;
        if full {
            parts.cut();
        }
        drop(parts);
        if first || full {
            self.come.notify_one();
        }
    }

    /// What is here is the last.
    pub fn close(&self) {
        let mut parts = self.lock();
        if parts.end == End::Open {
            parts.end = End::Last;
        }
        drop(parts);
        self.come.notify_one();
    }

    /// Files of a block that could not be written.
    pub fn give_back(&self, files: Vec<FileRecord>) {
        self.lock().files.extend(files);
    }

    /// Keys of files whose items were not written. To be asked when nothing is written any more.
    pub fn left_files(&self) -> Vec<String> {
        self.lock().files.drain(..).map(|file| file.key).collect()
    }

    /// Nothing more is to be written.
    pub fn drop_rest(&self) {
        self.lock().end = End::Dropped;
        self.come.notify_one();
        self.gone.notify_one();
    }
}

impl Parts {
    /// Ends the block that forms.
    fn cut(&mut self) {
        if self.count > 0 {
            self.full
                .push(NewBlock { count: mem::take(&mut self.count), ndjson: mem::take(&mut self.ndjson) });
        }
    }
}

/// What the committer does next.
pub enum Step {
    /// Nothing is here.
    Wait,
    /// Something forms that is not full.
    WaitForMore,
    /// This.
    Write(Vec<NewBlock>, Vec<FileRecord>),
    /// It has ended.
    End,
}

/// How long the forming block has waited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Age {
    Young,
    Ripe,
}

impl Forming {
    /// What comes next; takes what is to be written.
    pub fn step(&self, age: Age) -> Step {
        let mut parts = self.lock();
        match parts.end {
            End::Dropped => return Step::End,
            End::Last => parts.cut(),
            End::Open if age == Age::Ripe => parts.cut(),
            End::Open => {}
        }
        if !parts.full.is_empty() {
            // Files of items that still form come with their block: the rows are keyed by seq.
            let blocks = mem::take(&mut parts.full);
            let forming = usize::try_from(parts.count).unwrap_or(usize::MAX).min(parts.files.len());
            let keep = parts.files.len() - forming;
            let later = parts.files.split_off(keep);
            let files = mem::replace(&mut parts.files, later);
            return Step::Write(blocks, files);
        }
        match (parts.end, parts.count) {
            (End::Last | End::Dropped, _) => Step::End,
            (End::Open, 0) => Step::Wait,
            (End::Open, _) => Step::WaitForMore,
        }
    }
}

impl Forming {
    /// Waits until a block is full or the last has come; what only adds to the forming block does not end the wait.
    pub async fn until_ended(&self) {
        loop {
            {
                let parts = self.lock();
                if parts.end != End::Open || !parts.full.is_empty() {
                    return;
                }
            }
            self.come.notified().await;
        }
    }

    /// Waits until something comes.
    pub async fn until_come(&self) {
        self.come.notified().await;
    }

    /// There is room again.
    pub fn written(&self) {
        self.gone.notify_one();
    }
}
