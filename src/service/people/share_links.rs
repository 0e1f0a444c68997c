//! Share links: who has one sees one batch, read-only, without signing in.
//!
//! Made and revoked by whoever may act on the batch; a link shows nothing else, and of that no more than it says.

use super::{People, SEEN_EVERY_MS};
use crate::protocol::{
    ApiError, BatchId, IssuedShareLink, NewShareLink, PersonRole, ShareLink, ShareLinkPage,
};
use crate::service::caller::Grant;
use crate::service::{Action, Caller, Payloads, Service, Via, secret};
use crate::store::access::ShareLinkRecord;

/// For how long a link may last, in seconds: a minute to a year.
const LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 60..=31_536_000;

/// Who comes in by a share link.
fn share_caller(link: &ShareLink, hash: String) -> Caller {
    let payloads = if link.payloads { Payloads::Shown } else { Payloads::Masked };
    let grant = Grant { batch: Some(link.batch), ..Grant::default() };
    let name = format!("share:{}", link.id);
    Caller { grant, ..Caller::new(name, PersonRole::Viewer, Via::Share { hash, payloads }) }
}

impl People {
    /// The link of this secret, and who comes in by it; none if it has ended or never was.
    ///
    /// # Errors
    /// Outages only.
    pub async fn by_share(&self, secret: &str) -> Result<Option<(Caller, ShareLink)>, ApiError> {
        if !secret::is_well_formed(secret) {
            return Ok(None);
        }
        let hash = secret::hash(secret);
        let mut found = self.inner.store.share_links_of(std::slice::from_ref(&hash)).await?;
        let Some((hash, ShareLinkRecord { link, .. })) = found.pop() else { return Ok(None) };
        let now = self.inner.store.now();
        if link.used_at.is_none_or(|used_at| now.ms_since(used_at) >= SEEN_EVERY_MS) {
            self.inner.store.share_links_used(std::slice::from_ref(&hash)).await?;
        }
        Ok(Some((share_caller(&link, hash), link)))
    }

    /// Who comes in by the links with these hashes, as they are now.
    pub(super) async fn by_share_hashes(&self, hashes: &[String]) -> Result<Vec<Caller>, ApiError> {
        let found = self.inner.store.share_links_of(hashes).await?;
        Ok(found.into_iter().map(|(hash, record)| share_caller(&record.link, hash)).collect())
    }
}

impl Service {
    /// Makes a link that shows a batch to whoever has it; its path is answered this once.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`; `invalid` for a lifetime that is not taken; `too_many` beyond 64 links of one batch.
    pub async fn share(
        &self,
        caller: &Caller,
        batch: BatchId,
        new: &NewShareLink,
    ) -> Result<IssuedShareLink, ApiError> {
        self.allowed(caller, Action::ShareBatch, batch).await?;
        if !LIFETIME_SECONDS.contains(&new.expires_in_seconds) {
            return Err(ApiError::invalid("expires_in_seconds: 60 to 31536000 is expected."));
        }
        let store = &self.inner.store;
        let now = store.moment();
        let lifetime_ms = i64::try_from(new.expires_in_seconds * 1_000).unwrap_or(i64::MAX);
        let secret = secret::fresh();
        let link = ShareLink {
            id: String::new(),
            batch,
            made_by: caller.name.clone(),
            payloads: new.payloads,
            created_at: now.wall,
            expires_at: now.wall.plus_ms(lifetime_ms),
            used_at: None,
        };
        let record = ShareLinkRecord { link, ends_at: now.steady.plus_ms(lifetime_ms) };
        let share_link = caller.signs(store.share_link_add(&secret::hash(&secret), record)).await?;
        Ok(IssuedShareLink { share_link, path: format!("/s/{secret}") })
    }

    /// The links of a batch, newest first, without their secrets.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn share_links(&self, caller: &Caller, batch: BatchId) -> Result<ShareLinkPage, ApiError> {
        self.allowed(caller, Action::ShareBatch, batch).await?;
        Ok(ShareLinkPage { share_links: self.inner.store.share_links(batch).await? })
    }

    /// Revokes a link of a batch: whoever looks by it sees nothing more within a second.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn unshare(&self, caller: &Caller, batch: BatchId, id: &str) -> Result<(), ApiError> {
        self.allowed(caller, Action::ShareBatch, batch).await?;
        caller.signs(self.inner.store.share_link_revoke(batch, id)).await?;
        self.people.inner.taken_away.notify_one();
        Ok(())
    }
}
