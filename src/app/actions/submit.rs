//! How pages make batches.
//!
//! After success, the batch's page.

use leptos::prelude::*;
use leptos::server_fn::codec::{MultipartData, MultipartFormData};

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

/// Looks at the CSV of the form of New batch before it runs; the part of the page that shows what was found. Nothing where it
/// holds no CSV.
#[server(input = MultipartFormData)]
pub async fn look_at_csv(data: MultipartData) -> Result<String, ApiError> {
    let (service, caller) = super::door::open().await?;
    let form = data.into_inner().ok_or_else(|| ApiError::malformed("Expected a form with a CSV."))?;
    let form = service.read_csv(&caller, form).await?;
    let look = service.look_at_csv(form).await?;
    Ok(look.map(|look| crate::app::csv_look::html(&look)).unwrap_or_default())
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
