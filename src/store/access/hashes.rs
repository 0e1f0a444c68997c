//! What the tables of access share: hashes named in a query, roles as text, and changes that are durable.

use sea_orm::Value;

use crate::protocol::PersonRole;
use crate::store::Store;
use crate::store::backend::{Durability, run};
use crate::store::error::StoreError;

/// Hashes named in one query; more take another.
pub const HASHES_IN_MAX: usize = 512;
/// Hashes named in the query for a few: mostly there are.
const HASHES_IN_FEW: usize = 16;

/// `IN ($1,$2,…)` for all of `hashes` (not empty, at most [`HASHES_IN_MAX`]), and the values after it. The last is repeated
/// up to one of two lengths, so that the texts stay prepared.
pub fn hashes_in(hashes: &[String]) -> (String, Vec<Value>) {
    let count = if hashes.len() <= HASHES_IN_FEW { HASHES_IN_FEW } else { HASHES_IN_MAX };
    let marks: Vec<String> = (1..=count).map(|at| format!("${at}")).collect();
    let last = hashes.last().expect("chunks are never empty");
    let filled = hashes.iter().chain(std::iter::repeat(last)).take(count);
    (format!("IN ({})", marks.join(",")), filled.map(|hash| hash.clone().into()).collect())
}

/// A role as it is stored.
pub fn to_role(text: &str) -> Result<PersonRole, StoreError> {
    PersonRole::parse(text).ok_or_else(|| StoreError::Invariant(format!("a role is {text:?}")))
}

impl Store {
    /// One change that is durable before the answer; how many rows it touched.
    pub(in crate::store) async fn change(&self, text: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let tx = self.inner.backend.write().await?;
        let touched = run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(touched)
    }
}
