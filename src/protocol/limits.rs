//! Bounds of the wire, each with its unit and what happens beyond it.
//!
//! Nothing that a client can grow is without a bound here or in the configuration.

/// Rows of a list when the caller does not say.
pub const PAGE_ROWS_DEFAULT: u32 = 100;
/// Rows of a list at most; a larger `limit` is clamped.
pub const PAGE_ROWS_MAX: u32 = 500;
/// Items in one live window; a larger one is answered with the error `too_large`.
pub const WINDOW_ITEMS_MAX: u64 = 500;
/// Bytes of an input, result or error in a live window; of a longer one the start is told, as a string with a mark.
pub const WINDOW_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Subscriptions of one connection; one more is answered with the error `too_many`.
pub const SUBSCRIPTIONS_MAX: usize = 200;
/// Messages a client may send in a second; more close the connection with 4429.
pub const CLIENT_MESSAGES_PER_SECOND_MAX: u32 = 100;
/// Bytes of one message from a client by default; a larger one closes the connection with 1009.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Finished batches in the topic `batches`, newest first; all unfinished ones are in it as well.
pub const LISTED_BATCHES_MAX: usize = 200;
/// Work of slots shown on a node's card; more is left out.
pub const SLOT_WORK_SHOWN_MAX: usize = 64;
/// Characters of a batch's name; a longer one is refused as `invalid`.
pub const NAME_CHARS_MAX: usize = 200;
/// Batches named in one act over many; more are refused as `too_large`.
pub const BULK_BATCHES_MAX: usize = 1_000;
/// Acts over many that run at once for one person; one more is refused as `too_many`.
pub const BULK_ACTS_PER_PERSON_MAX: u64 = 10;
/// Acts over many that run at once in all; one more is refused as `too_many`.
pub const BULK_ACTS_MAX: u64 = 50;
/// Ended acts over many that are kept of one person; of more the oldest go.
pub const BULK_ACTS_KEPT_MAX: u64 = 200;
/// Seqs named in one retry; more are refused as `too_large`.
pub const RETRY_SEQS_MAX: usize = 10_000;
/// Bytes of one line, row or JSON item; a longer one is refused with its line number.
pub const ITEM_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the parameters of a batch, which are part of its row; more are refused as `too_large`.
pub const PARAMS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep a JSON item or parameter may nest; a deeper one is refused, because many readers of JSON stop there.
pub const JSON_DEPTH_MAX: usize = 100;
/// Columns of a CSV; more are refused.
pub const COLUMNS_MAX: usize = 1_000;
/// Schedules of one person; one more is refused as `invalid`.
pub const SCHEDULES_PER_OWNER_MAX: u32 = 100;
/// Bytes of the batch that a schedule saves; more are refused as `too_large`.
pub const SCHEDULE_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Items of a batch whose inputs a schedule takes over: they are copied with each run. More are refused as `too_large`.
pub const SCHEDULE_ITEMS_MAX: u64 = 1_000_000;
/// Files among them, each with a row of its own. More are refused as `too_large`.
pub const SCHEDULE_FILES_MAX: u64 = 100_000;
/// Runs to come that one schedule names.
pub const SCHEDULE_NEXT_RUNS: usize = 5;
