//! Share links, by the hash of their secret: each shows one batch.
//!
//! A link ends by the steady clock, with its batch, and while whoever made it is disabled.

use sea_orm::QueryResult;

use super::hashes::{HASHES_IN_MAX, hashes_in};
use crate::protocol::{BatchId, ShareLink, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, number, rows, run};
use crate::store::error::StoreError;

/// Links of one batch; one more is refused.
const PER_BATCH_MAX: i64 = 64;
/// Characters of a hash that name a link: of no use to whoever would open it.
const ID_CHARS: usize = 16;

/// A share link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLinkRecord {
    /// As people see it.
    pub link: ShareLink,
    /// When it ends, by the steady clock.
    pub ends_at: Timestamp,
}

/// Those that show something: a link of a person who is disabled shows nothing.
const SELECT: &str = "SELECT s.* FROM share_links s JOIN batches b ON b.uuid = s.batch AND NOT b.deleted \
     LEFT JOIN people p ON p.name = s.made_by WHERE (p.name IS NULL OR NOT p.disabled)";
const INSERT: &str = "INSERT INTO share_links (hash, batch, made_by, payloads, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";

/// What names the link with this hash.
fn id_of(hash: &str) -> String {
    hash.chars().take(ID_CHARS).collect()
}

impl Store {
    fn to_share_link(&self, row: &QueryResult) -> Result<(String, ShareLinkRecord), StoreError> {
        let now = self.moment();
        let hash: String = row.try_get("", "hash")?;
        let batch: String = row.try_get("", "batch")?;
        let broken = |_form| StoreError::Invariant("the batch of a share link is not readable".to_owned());
        let ends_at = Timestamp(row.try_get("", "expires_at")?);
        let link = ShareLink {
            id: id_of(&hash),
            batch: batch.parse().map_err(broken)?,
            made_by: row.try_get("", "made_by")?,
            payloads: row.try_get("", "payloads")?,
            created_at: Timestamp(row.try_get("", "created_at")?),
            expires_at: now.wall.plus_ms(ends_at.0 - now.steady.0),
            used_at: row.try_get::<Option<i64>>("", "used_at")?.map(Timestamp),
        };
        Ok((hash, ShareLinkRecord { link, ends_at }))
    }

    /// Adds a link under the hash of its secret, and takes away those that have ended. It is answered with its name.
    ///
    /// # Errors
    /// [`StoreError::OverBound`]; outages.
    pub async fn share_link_add(&self, hash: &str, new: ShareLinkRecord) -> Result<ShareLink, StoreError> {
        let ShareLinkRecord { link, ends_at } = new;
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM share_links WHERE expires_at <= $1", vec![self.steady().0.into()]).await?;
        let batch = link.batch.to_string();
        let held = "SELECT COUNT(*) FROM share_links WHERE batch = $1";
        let held = number(&tx, held, vec![batch.clone().into()]).await?;
        if held.unwrap_or(0) >= PER_BATCH_MAX {
            return Err(StoreError::OverBound(format!("{PER_BATCH_MAX} share links of one batch")));
        }
        let values = vec![
            hash.into(),
            batch.clone().into(),
            link.made_by.clone().into(),
            link.payloads.into(),
            link.created_at.0.into(),
            ends_at.0.into(),
        ];
        run(&tx, INSERT, values).await?;
        let shown = if link.payloads { "payloads" } else { "progress" };
        self.sign(&tx, "share.add", &batch, shown).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(ShareLink { id: id_of(hash), ..link })
    }

    /// The links with these hashes that show something, each with its hash. One query for every 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn share_links_of(
        &self,
        hashes: &[String],
    ) -> Result<Vec<(String, ShareLinkRecord)>, StoreError> {
        let mut found = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, values) = hashes_in(hashes);
            let text = format!("{SELECT} AND s.hash {named}");
            for row in rows(self.inner.backend.reader(), &text, values).await? {
                found.push(self.to_share_link(&row)?);
            }
        }
        found.retain(|(_hash, record)| self.steady() < record.ends_at);
        Ok(found)
    }

    /// Links of `batch` that show something, newest first.
    ///
    /// # Errors
    /// Outages.
    pub async fn share_links(&self, batch: BatchId) -> Result<Vec<ShareLink>, StoreError> {
        let text = format!(
            "{SELECT} AND s.batch = $1 AND s.expires_at > $2 ORDER BY s.created_at DESC, s.hash LIMIT {PER_BATCH_MAX}"
        );
        let values = vec![batch.to_string().into(), self.steady().0.into()];
        let found = rows(self.inner.backend.reader(), &text, values).await?;
        found.iter().map(|row| Ok(self.to_share_link(row)?.1.link)).collect()
    }

    /// Notes that these links are in use.
    ///
    /// # Errors
    /// Outages.
    pub async fn share_links_used(&self, hashes: &[String]) -> Result<(), StoreError> {
        let now = self.now().0;
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, mut values) = hashes_in(hashes);
            values.push(now.into());
            let text = format!("UPDATE share_links SET used_at = ${} WHERE hash {named}", values.len());
            run(self.inner.backend.writer(), &text, values).await?;
        }
        Ok(())
    }

    /// Takes a link of `batch` away, by its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn share_link_revoke(&self, batch: BatchId, id: &str) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = "DELETE FROM share_links WHERE batch = $1 AND SUBSTR(hash, 1, 16) = $2";
        if run(&tx, text, vec![batch.to_string().into(), id.into()]).await? == 0 {
            return Err(StoreError::NotFound("share link"));
        }
        self.sign(&tx, "share.revoke", &batch.to_string(), id).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }
}
