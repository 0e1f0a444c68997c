//! How much one item may say, and the words for an item that says more.
//!
//! All of it fails at once: the same item would say as much again.

use crate::protocol::limits;
use crate::tasks::task::TaskError;

/// Bounds of what one attempt may say. The defaults are what holds where a task says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Bytes of the result as JSON, 1 to 1,048,576. 1,048,576.
    pub result_bytes_max: u64,
    /// Lines on standard output, and as many on standard error. 1,000,000.
    pub lines_max: u64,
    /// Bytes on standard output, and as many on standard error. 268,435,456 (256 MiB).
    pub output_bytes_max: u64,
    /// Files, 0 to 10,000. 1,000.
    pub files_max: u64,
    /// Bytes of all files together. 17,179,869,184 (16 GiB).
    pub files_bytes_max: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            result_bytes_max: limits::ITEM_BYTES_MAX as u64,
            lines_max: 1_000_000,
            output_bytes_max: 256 * 1024 * 1024,
            files_max: 1_000,
            files_bytes_max: 16 * 1024 * 1024 * 1024,
        }
    }
}

impl OutputLimits {
    /// Refuses a result of more bytes than allowed.
    ///
    /// # Errors
    /// Size and limit.
    pub fn check_result(&self, bytes: usize) -> Result<(), TaskError> {
        let most = self.result_bytes_max;
        if bytes as u64 <= most {
            return Ok(());
        }
        Err(TaskError::input("result", format!("The result has {bytes} bytes; {most} are allowed.")))
    }
}

/// What is left of lines and bytes of one stream of an item.
#[derive(Clone, Copy, Debug)]
pub(in crate::tasks::command) struct Quota {
    limits: OutputLimits,
    lines: u64,
    bytes: u64,
}

impl Quota {
    pub fn new(limits: OutputLimits) -> Self {
        Self { limits, lines: 0, bytes: 0 }
    }

    /// Counts what was read.
    ///
    /// # Errors
    /// Which limit was passed, as a sentence.
    pub fn count(&mut self, lines: u64, bytes: usize) -> Result<(), String> {
        self.lines += lines;
        self.bytes += bytes as u64;
        let OutputLimits { lines_max, output_bytes_max, .. } = self.limits;
        if self.lines > lines_max {
            return Err(format!("The item wrote more than {lines_max} lines."));
        }
        if self.bytes > output_bytes_max {
            return Err(format!("The item wrote more than {output_bytes_max} bytes of output."));
        }
        Ok(())
    }
}
