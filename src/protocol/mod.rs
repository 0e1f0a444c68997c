//! What crosses the wire, on both sides: the words of Milepost as types.
//!
//! ```text
//! ids, json, time   the atoms        state   who may follow whom
//! batch, bulk, retry, item, task, schedule,
//! webhook, access, share,
//! upload, folder    the nouns        error   what a client may learn
//! topic, row        what is heard live       frame, client_frame  how it is said     binary  its compact codec
//! limits            every bound of the wire    schema  how the atoms are described, on the server
//! text              characters that nobody sees    default_name   what a batch is called that nobody has named
//! ```
//!
//! This room knows no tokio, leptos or sea-orm, and does no input or output.

pub mod access;
pub mod batch;
pub mod binary;
mod bulk;
pub mod client_frame;
pub mod default_name;
pub mod error;
pub mod folder;
pub mod frame;
pub mod ids;
pub mod item;
mod item_order;
pub mod json;
#[cfg(not(all(feature = "hydrate", not(feature = "ssr"))))]
pub mod letter_case;
#[cfg(all(feature = "hydrate", not(feature = "ssr")))]
#[path = "browser_letter_case.rs"]
pub mod letter_case;
pub mod limits;
mod pulse;
pub mod related;
mod retry;
pub mod row;
pub mod schedule;
#[cfg(feature = "ssr")]
mod schema;
pub mod share;
pub mod sign_in_refusal;
pub mod state;
pub mod strip;
pub mod task;
pub mod text;
pub mod time;
pub mod topic;
pub mod upload;
pub mod webhook;

pub use access::{
    AccessToken, AuditEntry, AuditPage, AuditQuery, IssuedToken, LoginSession, NewPerson, NewToken,
    PasswordChange, Person, PersonLink, PersonPage, PersonPatch, Scope, SessionPage, SignInBy, TokenPage,
};
pub use batch::{
    Batch, BatchCounts, BatchPage, BatchPatch, BatchQuery, BatchSettings, Budget, CancelRequest, NewBatch,
    Options, RetryRequest, Running, ThenOn,
};
pub use bulk::{BulkAct, BulkActPage, BulkQuery, BulkReason, BulkRefusal, BulkState, NewBulkAct};
pub use client_frame::ClientFrame;
pub use error::{ApiError, ErrorCode};
pub use folder::{FolderFile, FolderList, FolderName, FolderPage};
pub use frame::{CloseCode, Codec, ServerFrame, WelcomeLimits, Whole};
pub use ids::{BatchId, BulkActId, FamilyId, NodeId, ParseError, Rev, ScheduleId, Seq};
pub use item::{
    AttemptRow, Family, FamilyPage, FileRow, ItemDetail, ItemLive, ItemPage, ItemProgress, ItemQuery,
    ItemRow, LogPart, StripCell,
};
pub use item_order::{ItemCursor, ItemSort};
pub use json::{Json, Object};
pub use pulse::{BatchActEntry, PulseBucket, SPARK_BARS_MAX, SparkBar};
pub use related::{ParentBatch, RelatedBatch, RelatedBatches};
pub use retry::BatchRetry;
pub use row::{Key, Row};
pub use schedule::{
    NewSchedule, Overlap, RunWindow, Schedule, ScheduleAct, SchedulePage, SchedulePatch, SchedulePreview,
    ScheduleTiming, ScheduledBatch, TimeOfDay,
};
pub use share::{IssuedShareLink, NewShareLink, ShareLink, ShareLinkPage, SharedBatch};
pub use sign_in_refusal::SignInRefusal;
pub use state::{AttemptOutcome, BatchAct, BatchState, ItemState, Move};
pub use strip::Strip;
pub use task::{InputKind, Me, Node, NodePage, NodeState, PersonRole, Role, SlotWork, TaskInfo, TaskPage};
pub use time::Timestamp;
pub use topic::Topic;
pub use upload::{NewUpload, UploadStatus};
pub use webhook::{
    DeliveryAttempt, DeliveryDetail, DeliveryId, DeliveryPage, DeliveryQuery, DeliveryState, WebhookDelivery,
    WebhookSecret,
};
