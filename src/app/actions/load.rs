//! What pages read.
//!
//! Reads only.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::protocol::{
    ApiError, Batch, BatchActEntry, BatchCounts, BatchId, BatchPage, BatchQuery, BatchSettings, FamilyPage,
    FolderList, ItemDetail, ItemPage, ItemQuery, Me, NodePage, ParentBatch, PulseBucket, RelatedBatches, Rev,
    Seq, Strip, TaskPage,
};

/// Who is signed in.
#[server(input = Json)]
pub async fn load_me() -> Result<Me, ApiError> {
    let (service, caller) = super::door::open().await?;
    Ok(service.me(&caller))
}

/// Tasks that can be run.
#[server(input = Json)]
pub async fn load_tasks() -> Result<TaskPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.tasks(&caller)
}

/// Folders of the server whose files may be items; none for whoever may not submit.
#[server(input = Json)]
pub async fn load_folders() -> Result<FolderList, ApiError> {
    let (service, caller) = super::door::open().await?;
    Ok(service.folders(&caller).unwrap_or_default())
}

/// Nodes.
#[server(input = Json)]
pub async fn load_nodes() -> Result<NodePage, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.nodes(&caller).await
}

/// Batches, newest first, with the course of those under way, and without their parameters: the list shows none, and
/// they may be long.
#[server(input = Json)]
pub async fn load_batches(query: BatchQuery) -> Result<BatchPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    let mut page = super::door::page(service.batch_list(&caller, &query).await)?;
    page.batches.iter_mut().for_each(|batch| batch.params = super::door::unsaid());
    Ok(page)
}

/// How many batches of each kind.
#[server(input = Json)]
pub async fn load_counts() -> Result<BatchCounts, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.batch_counts(&caller).await
}

/// One batch, without its parameters, by what the address says; its absence is the page's.
#[server(input = Json)]
pub async fn load_batch(batch: String) -> Result<Batch, ApiError> {
    let (service, caller) = super::door::open().await?;
    let batch = super::door::page(super::door::named("batch", &batch))?;
    let batch = super::door::page(service.batch(&caller, batch).await)?;
    Ok(Batch { params: super::door::unsaid(), ..batch })
}

/// The batches around one.
#[server(input = Json)]
pub async fn load_related(batch: BatchId) -> Result<RelatedBatches, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.related(&caller, batch).await
}

/// The batch from which a new one is to come, by what the address says; none where there is no such batch.
#[server(input = Json)]
pub async fn load_parent(batch: String) -> Result<Option<ParentBatch>, ApiError> {
    let (service, caller) = super::door::open().await?;
    match super::door::named("batch", &batch) {
        Ok(batch) => service.parent(&caller, batch).await,
        Err(_no_batch) => Ok(None),
    }
}

/// How a batch is run, and what may be done now.
#[server(input = Json)]
pub async fn load_settings(batch: BatchId) -> Result<BatchSettings, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.batch_settings(&caller, batch).await
}

/// Items by filter, of long values the start.
#[server(input = Json)]
pub async fn load_items(batch: BatchId, query: ItemQuery) -> Result<ItemPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    let mut page = service.items(&caller, batch, &query).await?;
    page.items.iter_mut().for_each(crate::protocol::ItemRow::shorten);
    Ok(page)
}

/// Items of a window, both ends included, of long values the start: as a live window tells them.
#[server(input = Json)]
pub async fn load_window(batch: BatchId, from: Seq, to: Seq) -> Result<ItemPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    let mut page = service.window(&caller, batch, from, to).await?;
    page.items.iter_mut().for_each(crate::protocol::ItemRow::shorten);
    Ok(page)
}

/// One item, by what the address says; its absence is the page's.
#[server(input = Json)]
pub async fn load_item(batch: BatchId, seq: String) -> Result<ItemDetail, ApiError> {
    let (service, caller) = super::door::open().await?;
    let seq = super::door::page(super::door::named("item", &seq))?;
    super::door::page(service.item(&caller, batch, seq).await)
}

/// Whether the one-time sign-in link with `code` can sign in; nobody is asked who they are, and nothing is used up.
#[server(input = Json)]
pub async fn load_first_link(code: String) -> Result<(), ApiError> {
    super::door::page(super::door::service()?.people().check_first_link(&code).await)
}

/// Families of failures.
#[server(input = Json)]
pub async fn load_families(batch: BatchId) -> Result<FamilyPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.families(&caller, batch).await
}

/// The strip.
#[server(input = Json)]
pub async fn load_strip(batch: BatchId) -> Result<Strip, ApiError> {
    let (service, caller) = super::door::open().await?;
    let (rev, cells) = service.strip(&caller, batch).await?;
    Ok(Strip { rev, cells })
}

/// The time buckets.
#[server(input = Json)]
pub async fn load_pulse(batch: BatchId) -> Result<(Rev, Vec<PulseBucket>), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.pulse(&caller, batch).await
}

/// What was asked of a batch.
#[server(input = Json)]
pub async fn load_acts(batch: BatchId) -> Result<Vec<BatchActEntry>, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.batch_acts(&caller, batch).await
}
