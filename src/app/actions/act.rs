//! What people do to batches and nodes.
//!
//! Plain posts end with a redirect (to where they came from, unless said).

use leptos::prelude::*;

use crate::protocol::{ApiError, Batch, BatchAct, BatchId, FamilyId, ItemState};

/// Pause, resume, cancel, delete. After a delete the list is shown.
#[server]
pub async fn act_on(batch: BatchId, act: BatchAct) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.act(&caller, batch, act).await?;
    super::door::done(act.as_str()).await;
    if act == BatchAct::Delete {
        leptos_axum::redirect("/");
    }
    Ok(())
}

/// Runs failed items again: all, those of a family, those in a state, or those that `seqs` lists with commas.
#[server]
pub async fn retry_items(
    batch: BatchId,
    family: Option<FamilyId>,
    state: Option<ItemState>,
    seq: Option<u64>,
    seqs: Option<String>,
) -> Result<Batch, ApiError> {
    let (service, caller) = super::door::open().await?;
    let seqs = super::door::seqs(seq, seqs.as_deref())?;
    let request = crate::protocol::RetryRequest { family, seqs, states: state.map(|state| vec![state]) };
    let batch = service.retry(&caller, batch, &request).await?;
    super::door::done(BatchAct::Retry.as_str()).await;
    Ok(batch)
}

/// Name, concurrency, priority; an empty field changes nothing.
#[server]
pub async fn patch_batch(
    batch: BatchId,
    name: Option<String>,
    concurrency: Option<String>,
    priority: Option<String>,
) -> Result<Batch, ApiError> {
    let (service, caller) = super::door::open().await?;
    let name = name.filter(|name| !name.trim().is_empty());
    let concurrency = super::door::number("Slots", concurrency)?;
    let priority = super::door::number("Priority", priority)?;
    let patch = crate::protocol::BatchPatch { name, concurrency, priority };
    let batch = service.patch(&caller, batch, &patch).await?;
    super::door::done("change").await;
    Ok(batch)
}

/// Says that no more items come to an open batch.
#[server]
pub async fn seal_batch(batch: BatchId) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.seal(&caller, batch).await?;
    super::door::done("seal").await;
    Ok(())
}

/// Stops a node from taking work.
#[server]
pub async fn drain_node(node: String) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.drain_node(&caller, &node).await?;
    super::door::done("drain").await;
    Ok(())
}

/// Light, dark, or (empty) what the system says.
#[server]
pub async fn set_theme(theme: String) -> Result<(), ApiError> {
    let known = ["light", "dark"].contains(&theme.as_str());
    super::door::remember(crate::app::theme::COOKIE, if known { &theme } else { "" });
    Ok(())
}
