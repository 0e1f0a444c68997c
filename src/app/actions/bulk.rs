//! Acts over many batches: what pages read of them, and what people ask.
//!
//! Each is answered with the lines that the page shows, in words: how far the acts of the caller have come. Plain posts end
//! with a redirect to where they came from.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::protocol::{ApiError, BatchAct, BulkActId};

/// One act as a page shows it: its id, what it says, to how many batches it has come, of how many, and whether it goes on.
pub type BulkLine = (String, String, u64, u64, bool);

/// The caller's own that run or have ended a moment ago, newest first; none for whoever may ask for none.
#[server(input = Json)]
pub async fn load_bulk_acts() -> Result<Vec<BulkLine>, ApiError> {
    let (service, caller) = super::door::open().await?;
    super::door::bulk_lines(&service, &caller).await
}

/// Acts on the batches that `batches` lists with commas, in the background.
#[server]
pub async fn act_on_batches(act: BatchAct, batches: String) -> Result<Vec<BulkLine>, ApiError> {
    let (service, caller) = super::door::open().await?;
    let new = crate::protocol::NewBulkAct { act, batches: super::door::batches(&batches)? };
    service.begin_bulk_act(&caller, &new).await?;
    super::door::done("many").await;
    super::door::bulk_lines(&service, &caller).await
}

/// Ends an act over many where it is.
#[server]
pub async fn abort_act(act: BulkActId) -> Result<Vec<BulkLine>, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.abort_bulk_act(&caller, act).await?;
    super::door::done("abort").await;
    super::door::bulk_lines(&service, &caller).await
}
