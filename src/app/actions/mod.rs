//! Server functions: the pages' thin doors to the service.
//!
//! A body is caller, one call, error. Functions that forms post to work without scripts: they answer with a redirect
//! to where they came from, errors in its query.

#[cfg(feature = "ssr")]
mod door;

mod access;
mod act;
mod bulk;
mod load;
mod schedules;
mod share;
mod submit;
mod webhooks;

pub use access::{
    Account, AddPerson, ChangePassword, ChangePerson, CreateToken, EndSession, ResetPassword, RevokeToken,
    load_account, load_audit, load_password_link, load_people, load_sign_in_provider,
};
pub use act::{ActOn, DrainNode, PatchBatch, RetryItems, SealBatch, SetTheme};
pub use bulk::{AbortAct, ActOnBatches, BulkLine, load_bulk_acts};
pub use load::{
    load_acts, load_batch, load_batches, load_counts, load_families, load_first_link, load_folders,
    load_item, load_items, load_me, load_nodes, load_parent, load_pulse, load_related, load_settings,
    load_strip, load_tasks, load_window,
};
pub use schedules::{ActOnSchedule, SaveSchedule, load_schedules};
pub use share::{
    RevokeShare, ShareBatch, load_share_links, load_shared, load_shared_families, load_shared_items,
    load_shared_strip,
};
pub use submit::{LookAtCsv, RunDemo, SubmitForm};
pub use webhooks::{Redeliver, RotateWebhookSecret, load_deliveries, load_delivery, load_webhook_secret};

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};

use crate::protocol::{ApiError, ErrorCode};

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            // What was sent, as the server found it.
            ServerFnErrorErr::Args(why) | ServerFnErrorErr::MissingArg(why) => {
                Self::malformed(format!("What was sent is not what is expected here: {why}."))
            }
            // The browser's own words for it tell people nothing, and differ from one to the next.
            ServerFnErrorErr::Request(_) => Self::no_answer(),
            ServerFnErrorErr::Deserialization(_) | ServerFnErrorErr::Response(_) => Self::new(
                ErrorCode::NoAnswer,
                "The answer could not be read: it broke off, or something between here and the server gave it.",
            ),
            ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::ServerError(_)
            | ServerFnErrorErr::Serialization(_) => Self::internal(),
        }
    }
}
