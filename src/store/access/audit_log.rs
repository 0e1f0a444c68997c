//! The log of who did what to what, from where, written in the transaction of the act.
//!
//! Who acts travels with the work as a task-local [`Signature`], as a span of tracing does: an act that nobody asked for (a
//! budget, a schedule of the engine) has none, and leaves no line. Work that is spawned takes it along by
//! [`Signature::carried`].

use std::future::Future;

use sea_orm::{ConnectionTrait, Value};

use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{AuditEntry, AuditPage, AuditQuery, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, in_keys, list_value, rows, run};
use crate::store::entity::audit_log;
use crate::store::error::StoreError;

/// Characters of a text in the log; the rest is cut off.
const TEXT_CHARS_MAX: usize = 300;
/// Entries that are deleted in one transaction.
const DELETED_MAX: i64 = 1_000;

tokio::task_local! {
    static SIGNATURE: Signature;
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the caller.
    pub who: String,
    /// By what they came in, in a word.
    pub via: &'static str,
    /// From where; empty where that has no meaning.
    pub address: String,
}

impl Signature {
    /// Runs `work` as its act.
    pub async fn on<T>(self, work: impl Future<Output = T>) -> T {
        SIGNATURE.scope(self, work).await
    }

    /// `work` for another task, with the signature of this one, if it has one.
    pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
        let signature = SIGNATURE.try_with(Clone::clone).ok();
        async move {
            match signature {
                Some(signature) => signature.on(work).await,
                None => work.await,
            }
        }
    }
}

const INSERT: &str = "INSERT INTO audit_log (at, who, via, address, act, object, detail) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Name of who acts, if somebody asked for it.
pub(in crate::store) fn signer() -> Option<String> {
    SIGNATURE.try_with(|signature| short(&signature.who)).ok()
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

impl Store {
    /// Writes down an act on `object` in its transaction `tx`, if somebody asked for it.
    pub(in crate::store) async fn sign<C: ConnectionTrait>(
        &self,
        tx: &C,
        act: &str,
        object: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let Ok(signature) = SIGNATURE.try_with(Clone::clone) else { return Ok(()) };
        let values = vec![
            self.now().0.into(),
            short(&signature.who).into(),
            signature.via.into(),
            short(&signature.address).into(),
            act.into(),
            short(object).into(),
            short(detail).into(),
        ];
        run(tx, INSERT, values).await?;
        Ok(())
    }

    /// Writes down what changes nothing else: a sign-in, a refusal.
    ///
    /// # Errors
    /// Outages.
    pub async fn log_act(&self, act: &str, object: &str, detail: &str) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        self.sign(&tx, act, object, detail).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// Newest first.
    ///
    /// # Errors
    /// Outages.
    pub async fn audit_log(&self, query: &AuditQuery, before: Option<i64>) -> Result<AuditPage, StoreError> {
        let limit = query.limit.unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX) as usize;
        let mut values: Vec<Value> = vec![
            before.unwrap_or(i64::MAX).into(),
            i64::try_from(limit + 1).expect("a page is small").into(),
        ];
        let mut text = "SELECT * FROM audit_log WHERE id < $1".to_owned();
        for (column, value) in [("who", &query.who), ("object", &query.object), ("act", &query.act)] {
            if let Some(value) = value {
                values.push(value.clone().into());
                text.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        text.push_str(" ORDER BY id DESC LIMIT $2");
        let found: Vec<audit_log::Model> = all(self.inner.backend.reader(), &text, values).await?;
        let next = (found.len() > limit).then(|| found[limit - 1].id.to_string());
        let entry = |row: audit_log::Model| AuditEntry {
            at: Timestamp(row.at),
            who: row.who,
            via: row.via,
            address: row.address,
            act: row.act,
            object: row.object,
            detail: row.detail,
        };
        Ok(AuditPage { entries: found.into_iter().take(limit).map(entry).collect(), next })
    }

    /// Deletes entries from before `oldest`, some at a time; false where none is left.
    ///
    /// # Errors
    /// Outages.
    pub async fn delete_audit_entries(&self, oldest: Timestamp) -> Result<bool, StoreError> {
        let text = "SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2";
        let found =
            rows(self.inner.backend.reader(), text, vec![oldest.0.into(), DELETED_MAX.into()]).await?;
        let keys: Vec<i64> = found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(false);
        }
        let tx = self.inner.backend.write().await?;
        let text = format!("DELETE FROM audit_log WHERE id {}", in_keys(&tx, 1));
        run(&tx, &text, vec![list_value(&keys)]).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }
}
