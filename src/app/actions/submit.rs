//! How pages make batches.
//!
//! After success, the batch's page.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, MultipartData, MultipartFormData};
use serde::{Deserialize, Serialize};

use crate::protocol::ApiError;

/// Takes the form of New batch with its files.
#[server(input = MultipartFormData)]
pub async fn submit_form(data: MultipartData) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    let form = data.into_inner().ok_or_else(|| ApiError::malformed("Expected a form with files."))?;
    let batch = service.submit_form(&caller, form).await?;
    leptos_axum::redirect(&format!("/batches/{}", batch.id));
    Ok(())
}

/// The first rows of a CSV, before anything is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// What parts the fields.
    pub delimiter: char,
    /// The encoding in which it was read, as the form names it.
    pub encoding: String,
    /// True where the first row names the columns.
    pub header: bool,
    /// The columns.
    pub columns: Vec<String>,
    /// Columns that an export had added, and that are left out.
    pub left_out: Vec<String>,
    /// Rows, each with a field per column.
    pub rows: Vec<Vec<String>>,
}

/// Reads the first rows of a CSV from its first bytes. `delimiter`, `encoding` and `header` are those of the form; what is
/// empty is told by the bytes.
#[server(input = Json)]
pub async fn preview_csv(
    head: Vec<u8>,
    delimiter: String,
    encoding: String,
    header: String,
) -> Result<Preview, ApiError> {
    let _signed_in = super::door::open().await?;
    let seen = crate::service::submit::csv_preview(&head, &delimiter, &encoding, &header)?;
    Ok(Preview {
        delimiter: seen.delimiter,
        encoding: seen.encoding.name().to_owned(),
        header: seen.has_header(),
        columns: seen.columns,
        left_out: seen.left_out,
        rows: seen.rows,
    })
}

/// Runs the demonstration.
#[server]
pub async fn run_demo() -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    let (new, count) = super::door::demonstration();
    let batch = service.create_generated(&caller, new, count).await?;
    leptos_axum::redirect(&format!("/batches/{}", batch.id));
    Ok(())
}
