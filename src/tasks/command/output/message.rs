//! What a line of a process says.

use crate::protocol::Json;
use crate::tasks::context::LogLevel;
use crate::tasks::task::Again;

/// What a line says; one may say several things.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tasks::command) enum Message {
    Progress {
        fraction: Option<f64>,
        note: Option<String>,
    },
    Log {
        level: LogLevel,
        text: String,
    },
    File(String),
    Result(Json),
    Error {
        text: String,
        again: Again,
    },
    /// An answer that cannot be taken as it stands: why.
    Refused(String),
    /// No object of ours: a line of log.
    Plain(String),
    /// Of another item: the line.
    Other(String),
}
