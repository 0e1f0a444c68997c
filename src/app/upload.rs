//! Files on their way from this tab to the server.
//!
//! The queue and its progress, filled by drops on any page and by New batch. A file is sent once; after any cut the
//! server's total says where to go on. Sending is `sender.js`, which is loaded for it; while the server renders nothing is
//! done.
//!
//! With scripts a batch of files is made open, filled in groups, six at once, and sealed: each group is one request, so that a
//! cut costs a few groups. A large file comes in pieces; after a reload the same files go on where they stopped. Anything else
//! is the form itself, posted as it stands.

use leptos::prelude::*;

pub use super::browser::upload::{
    accept_drops, ask_before_leaving, clear, csv_head, remove, send, take_input,
};

/// Files held by one tab; more are left out, and the page says so.
pub const FILES_MAX: usize = 200_000;

/// Files of more bytes come in pieces.
pub const LARGE_BYTES: u64 = 8 * 1024 * 1024;

/// What a form's items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadContent {
    /// The queue's files.
    Queue,
    /// What the form itself holds.
    Form,
}

/// A file in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedFile {
    /// Name as it will be called: with its folder, if it came with one.
    pub name: String,
    /// Size.
    pub bytes: u64,
}

impl QueuedFile {
    /// True where it comes in pieces.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.bytes > LARGE_BYTES
    }

    /// True where it is taken for a zip, by its name.
    #[must_use]
    pub fn is_zip(&self) -> bool {
        let name = self.name.as_bytes();
        name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b".zip")
    }
}

/// How far the sending is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum UploadPhase {
    /// Nothing is being sent.
    #[default]
    Idle,
    /// Under way.
    Sending,
    /// Cut; goes on by itself.
    Waiting {
        /// In so many seconds.
        seconds: u32,
    },
    /// Given up, with the reason.
    Refused(String),
}

/// The queue of this tab as signals.
#[derive(Clone, Copy)]
pub struct Upload {
    /// Files in order; item n is the n-th.
    pub entries: RwSignal<Vec<QueuedFile>>,
    /// How far the sending is.
    pub phase: RwSignal<UploadPhase>,
    /// Files that the server has.
    pub done: RwSignal<usize>,
    /// True once files were left out: there are more than [`FILES_MAX`].
    pub left_out: RwSignal<bool>,
    /// True where the files in a zip are to be items, not the zip.
    pub unpack: RwSignal<bool>,
    /// Bytes that were sent.
    pub sent_bytes: RwSignal<u64>,
    /// Files whose content is that of one before them, as far as they were compared.
    pub equal: RwSignal<u64>,
    /// The batch that the files are added to, by its id; none for a new one.
    pub into: RwSignal<Option<String>>,
}

impl Upload {
    /// Puts an empty queue into the context of the root component: it outlives pages.
    pub fn provide() {
        provide_context(Self::empty());
    }

    fn empty() -> Self {
        Self {
            entries: RwSignal::new(Vec::new()),
            phase: RwSignal::new(UploadPhase::Idle),
            done: RwSignal::new(0),
            left_out: RwSignal::new(false),
            unpack: RwSignal::new(false),
            sent_bytes: RwSignal::new(0),
            equal: RwSignal::new(0),
            into: RwSignal::new(None),
        }
    }

    /// True while something is being sent.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.phase.with(|phase| matches!(phase, UploadPhase::Sending | UploadPhase::Waiting { .. }))
    }
}

/// The queue of this tab.
#[must_use]
pub fn use_upload() -> Upload {
    use_context::<Upload>().unwrap_or_else(Upload::empty)
}
