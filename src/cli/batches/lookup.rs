//! A batch by what it is called on the command line.

use crate::cli::CliError;
use crate::cli::api_client::ApiClient;
use crate::cli::watch::BatchName;
use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{Batch, BatchPage};

/// The batch of this name.
///
/// # Errors
/// Where there is none that the token may see, or the server does not answer.
pub(in crate::cli) async fn find(client: &ApiClient, name: BatchName) -> Result<Batch, CliError> {
    match name {
        BatchName::Id(id) => Ok(client.get(&format!("/batches/{id}"), &[]).await?),
        BatchName::Number(number) => find_by_number(client, number).await,
    }
}

/// Looks through the list, newest first: numbers fall, so that it ends at the first that is smaller.
async fn find_by_number(client: &ApiClient, number: u64) -> Result<Batch, CliError> {
    let mut query = vec![("limit", PAGE_ROWS_MAX.to_string())];
    loop {
        let page: BatchPage = client.get("/batches", &query).await?;
        let passed = page.batches.last().is_none_or(|last| last.number < number);
        if let Some(batch) = page.batches.into_iter().find(|batch| batch.number == number) {
            return Ok(batch);
        }
        match page.next.filter(|_cursor| !passed) {
            Some(cursor) => {
                query.truncate(1);
                query.push(("cursor", cursor));
            }
            None => {
                return Err(CliError::Argument(format!(
                    "there is no batch #{number} that this token may see"
                )));
            }
        }
    }
}
