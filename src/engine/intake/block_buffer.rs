//! The block buffer of an upload: items in on one side, whole blocks out on the other.
//!
//! Holds what has come and is not committed, bounded. Items leave in the order in which they came, whole.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::engine::flow::NamedFile;
use crate::store::NewBlock;

/// Lines of a block.
const BLOCK_LINES: u32 = 1_024;
/// Bytes from which on a block is full.
const BLOCK_BYTES: usize = 256 * 1024;
/// Full blocks that wait for their commit at most; beyond, the reading of the body waits.
const BLOCKS_WAITING_MAX: usize = 16;
/// Bytes of small files from which on a block is full: they are stored together.
const BLOCK_HELD_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of small files that wait to be stored at most; beyond, the reading of the body waits.
const HELD_BYTES_MAX: usize = 2 * BLOCK_HELD_BYTES;
/// Bytes of a file's line beside its name, which is made when the file is stored.
const FILE_LINE_BYTES: usize = 256;

/// What has come and is not committed.
#[derive(Default)]
pub struct BlockBuffer {
    contents: Mutex<Contents>,
    /// Wakes the block writer: there may be something to write.
    added: Notify,
    /// Wakes the upload: there may be room again.
    written: Notify,
}

#[derive(Default)]
struct Contents {
    ndjson: Vec<u8>,
    count: u32,
    /// Bytes that the lines of files in the block that is being filled will have, about.
    line_bytes: usize,
    /// Bytes of small files in the block that is being filled.
    filling_held_bytes: usize,
    full: Vec<NewBlock>,
    files: Vec<NamedFile>,
    /// Bytes of all small files here.
    held_bytes: usize,
    intent: Intent,
}

/// What is to become of the buffer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Intent {
    /// More may come.
    #[default]
    Open,
    /// What is here is the last.
    Last,
    /// The rest is not wanted, or cannot be written.
    Dropped,
}

impl BlockBuffer {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room; false where nothing is written any more. Cancel-safe.
    pub async fn room(&self) -> bool {
        loop {
            {
                let contents = self.lock();
                if contents.intent != Intent::Open {
                    return false;
                }
                if contents.full.len() < BLOCKS_WAITING_MAX && contents.held_bytes < HELD_BYTES_MAX {
                    return true;
                }
            }
            self.written.notified().await;
        }
    }

    /// Adds one item.
    pub fn add(&self, json: &str) {
        let mut contents = self.lock();
        // Between its tokens JSON may hold line breaks; inside strings it cannot.
        let plain = |byte: u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        if json.bytes().any(|byte| plain(byte) != byte) {
            contents.ndjson.extend(json.bytes().map(plain));
        } else {
            contents.ndjson.extend_from_slice(json.as_bytes());
        }
        contents.ndjson.push(b'\n');
        self.added_one(contents);
    }

    /// Adds one item: a file, whose line is made when it is stored.
    pub fn add_file(&self, file: NamedFile) {
        let mut contents = self.lock();
        let held = file.sealed.held_bytes();
        contents.line_bytes += file.name.len() + FILE_LINE_BYTES;
        contents.filling_held_bytes += held;
        contents.held_bytes += held;
        contents.files.push(file);
        self.added_one(contents);
    }

    fn added_one(&self, mut contents: MutexGuard<'_, Contents>) {
        contents.count += 1;
        let first = contents.count == 1;
        let full = contents.count >= BLOCK_LINES
            || contents.ndjson.len() + contents.line_bytes >= BLOCK_BYTES
            || contents.filling_held_bytes >= BLOCK_HELD_BYTES;
        if full {
            contents.cut();
        }
        drop(contents);
        if first || full {
            self.added.notify_one();
        }
    }

    /// What is here is the last.
    pub fn close(&self) {
        let mut contents = self.lock();
        if contents.intent == Intent::Open {
            contents.intent = Intent::Last;
        }
        drop(contents);
        self.added.notify_one();
    }

    /// Files of a block that could not be written.
    pub fn give_back(&self, files: Vec<NamedFile>) {
        self.lock().files.extend(files);
    }

    /// Keys of files whose items were not written. To be asked when nothing is written any more.
    pub fn left_files(&self) -> Vec<String> {
        self.lock().files.drain(..).map(|file| file.sealed.stored.key).collect()
    }

    /// Nothing more is to be written.
    pub fn discard(&self) {
        self.lock().intent = Intent::Dropped;
        self.added.notify_one();
        self.written.notify_one();
    }
}

impl Contents {
    /// Ends the block that is being filled.
    fn cut(&mut self) {
        (self.line_bytes, self.filling_held_bytes) = (0, 0);
        if self.count > 0 {
            self.full
                .push(NewBlock { count: mem::take(&mut self.count), ndjson: mem::take(&mut self.ndjson) });
        }
    }
}

/// What the block writer does next.
pub enum Step {
    /// Nothing is here.
    Wait,
    /// A block is being filled.
    WaitForMore,
    /// These blocks; in those of files the lines are still to be made, of these files in order.
    Write(Vec<NewBlock>, Vec<NamedFile>),
    /// It has ended.
    End,
}

/// How long the block that is being filled has waited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Age {
    Young,
    Ripe,
}

impl BlockBuffer {
    /// What comes next; takes what is to be written.
    pub fn step(&self, age: Age) -> Step {
        let mut contents = self.lock();
        match contents.intent {
            Intent::Dropped => return Step::End,
            Intent::Last => contents.cut(),
            Intent::Open if age == Age::Ripe => contents.cut(),
            Intent::Open => {}
        }
        if !contents.full.is_empty() {
            // Files of items in the block that is being filled come with it: the rows are keyed by seq.
            let blocks = mem::take(&mut contents.full);
            let filling = usize::try_from(contents.count).unwrap_or(usize::MAX).min(contents.files.len());
            let keep = contents.files.len() - filling;
            let later = contents.files.split_off(keep);
            let files = mem::replace(&mut contents.files, later);
            contents.held_bytes = contents.filling_held_bytes;
            return Step::Write(blocks, files);
        }
        match (contents.intent, contents.count) {
            (Intent::Last | Intent::Dropped, _) => Step::End,
            (Intent::Open, 0) => Step::Wait,
            (Intent::Open, _) => Step::WaitForMore,
        }
    }
}

impl BlockBuffer {
    /// Waits until a block is full or the last has come; what only adds to the block that is being filled does not end the wait.
    pub async fn until_ended(&self) {
        loop {
            {
                let contents = self.lock();
                if contents.intent != Intent::Open || !contents.full.is_empty() {
                    return;
                }
            }
            self.added.notified().await;
        }
    }

    /// Waits until something comes.
    pub async fn until_added(&self) {
        self.added.notified().await;
    }

    /// There is room again.
    pub fn set_written(&self) {
        self.written.notify_one();
    }
}
