//! Folders of the server whose files may be items.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::formats::file_sources::folder::FolderFiles;
use crate::protocol::{ApiError, FolderList};
use crate::server::AppState;
use crate::server::extract::{PathParams, QueryParams, Who};

/// `GET /folders`
pub async fn list(State(state): State<AppState>, Who(caller): Who) -> Result<Json<FolderList>, ApiError> {
    state.service.folders(&caller).map(Json)
}

/// `GET /folders/{name}`
pub async fn files(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let files = FolderFiles {
        folder: place.text("name").to_owned(),
        pattern: params.owned("pattern"),
        path: params.owned("path"),
    };
    let after = params.owned("after").unwrap_or_default();
    let page = state.service.folder_files(&caller, files, after, params.limit()?).await?;
    Ok(Json(page).into_response())
}
