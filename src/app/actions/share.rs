//! What the page of a share link reads, and how links are made and revoked.
//!
//! The secret of the link says who asks; whether somebody is signed in besides does not count.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::protocol::{ApiError, BatchId, FamilyPage, ItemPage, Seq, ShareLinkPage, SharedBatch, Strip};

/// What a link shows first; its absence is the page's.
#[server(input = Json)]
pub async fn load_shared(secret: String) -> Result<SharedBatch, ApiError> {
    let (service, caller, link) = super::door::page(super::door::shared(&secret).await)?;
    let batch = super::door::page(service.progressing(&caller, link.batch).await)?;
    let batch = service.parts().engine.wire(&batch).progress();
    Ok(SharedBatch { batch, payloads: link.payloads, expires_at: link.expires_at })
}

/// The strip.
#[server(input = Json)]
pub async fn load_shared_strip(secret: String) -> Result<Strip, ApiError> {
    let (service, caller, link) = super::door::shared(&secret).await?;
    let (rev, cells) = service.strip(&caller, link.batch).await?;
    Ok(Strip { rev, cells })
}

/// Families of failures, where the link shows what is in the batch.
#[server(input = Json)]
pub async fn load_shared_families(secret: String) -> Result<FamilyPage, ApiError> {
    let (service, caller, link) = super::door::shared(&secret).await?;
    service.families(&caller, link.batch).await
}

/// Items after a position, of long values the start, where the link shows what is in the batch.
#[server(input = Json)]
pub async fn load_shared_items(secret: String, after: Seq) -> Result<ItemPage, ApiError> {
    let (service, caller, link) = super::door::shared(&secret).await?;
    let query = crate::protocol::ItemQuery { after: Some(after.into()), ..Default::default() };
    let mut page = service.items(&caller, link.batch, &query).await?;
    page.items.iter_mut().for_each(crate::protocol::ItemRow::shorten);
    Ok(page)
}

/// The links of a batch, and the path of one that is shown this once.
#[server(input = Json)]
pub async fn load_share_links(batch: BatchId) -> Result<(ShareLinkPage, Option<String>), ApiError> {
    let (service, caller) = super::door::open().await?;
    Ok((service.share_links(&caller, batch).await?, super::door::take_once().await))
}

/// Makes a link; its path.
#[server]
pub async fn share_batch(
    batch: BatchId,
    days: Option<String>,
    payloads: Option<String>,
) -> Result<String, ApiError> {
    let (service, caller) = super::door::open().await?;
    let mut new = crate::protocol::NewShareLink { payloads: payloads.is_some(), ..Default::default() };
    if let Some(days) = super::door::number::<u64>("Days", days)? {
        new.expires_in_seconds = days.saturating_mul(86_400);
    }
    let made = service.share(&caller, batch, &new).await?;
    super::door::show_once(&made.path).await;
    Ok(made.path)
}

/// Revokes a link.
#[server]
pub async fn revoke_share(batch: BatchId, link: String) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.unshare(&caller, batch, &link).await
}
