//! Browsers that somebody has signed in with: a brake on guessing by others does not hold them up.

use crate::protocol::Timestamp;
use crate::store::Store;
use crate::store::backend::{Durability, row, run};
use crate::store::error::StoreError;

/// Browsers that are known for one person; the one that ends first makes room.
const KNOWN_MAX: i64 = 50;

const MAKE_ROOM: &str = "DELETE FROM known_browsers WHERE person = $1 AND hash IN \
     (SELECT hash FROM known_browsers WHERE person = $1 ORDER BY expires_at DESC LIMIT 1000 OFFSET $2)";

impl Store {
    /// Knows a browser, by the hash of what it keeps.
    ///
    /// # Errors
    /// Outages.
    pub async fn browser_known(
        &self,
        hash: &str,
        person: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM known_browsers WHERE expires_at <= $1", vec![self.steady().0.into()]).await?;
        let values = vec![hash.into(), person.into(), expires_at.0.into()];
        let text = "INSERT INTO known_browsers (hash, person, expires_at) VALUES ($1, $2, $3) \
                    ON CONFLICT (hash) DO UPDATE SET person = excluded.person, expires_at = excluded.expires_at";
        run(&tx, text, values).await?;
        run(&tx, MAKE_ROOM, vec![person.into(), KNOWN_MAX.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// True where `person` has signed in with this browser.
    ///
    /// # Errors
    /// Outages.
    pub async fn is_browser_known(&self, hash: &str, person: &str) -> Result<bool, StoreError> {
        let text = "SELECT hash FROM known_browsers WHERE hash = $1 AND person = $2 AND expires_at > $3";
        let values = vec![hash.into(), person.into(), self.steady().0.into()];
        Ok(row(self.inner.backend.reader(), text, values).await?.is_some())
    }
}
