//! `POST /new/csv`: without scripts a CSV is looked at before it runs, and New batch comes back with what was seen.
//!
//! With scripts the page asks the function `look_at_csv` instead.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use futures_util::TryStreamExt as _;
use http::header;
use http_body_util::Limited;

use super::render;
use crate::app::csv_look;
use crate::app::pages::CsvDraft;
use crate::formats::form::multipart_bounds::bounded;
use crate::protocol::{ApiError, default_name};
use crate::server::extract::Who;
use crate::server::state::AppState;
use crate::service::submit::CsvLook;

/// `POST /new/csv`
///
/// # Errors
/// `malformed` where the body is no form; a CSV that cannot be read is said on the page.
pub async fn look(
    State(state): State<AppState>,
    Who(caller): Who,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind)
        .map_err(|fault| ApiError::malformed(format!("Content-Type: expected a boundary: {fault}.")))?;
    let bytes_max = usize::try_from(state.limits.upload_bytes_max).unwrap_or(usize::MAX);
    let bytes = Body::new(Limited::new(body, bytes_max)).into_data_stream().map_err(std::io::Error::other);
    let form = multer::Multipart::new(bounded(Box::pin(bytes), &boundary), boundary);
    let form = state.service.read_csv(&caller, form).await?;
    let draft = CsvDraft {
        name: form.new.name.clone(),
        params: form.new.params.clone(),
        text: form.text().map(str::to_owned),
        ..CsvDraft::default()
    };
    let task = form.new.task.clone();
    let draft = match state.service.look_at_csv(form).await {
        Ok(look) => with_look(draft, look),
        Err(refused) => CsvDraft { refused: Some(refused), ..draft },
    };
    Ok(render::looked_at(&state, parts, &task, draft).await)
}

fn with_look(draft: CsvDraft, look: Option<CsvLook>) -> CsvDraft {
    let Some(look) = look else {
        let refused = Some(ApiError::invalid("Choose a CSV, or paste its text."));
        return CsvDraft { refused, ..draft };
    };
    // What comes back is the text of the file, which has no name any more.
    let name = draft.name.or_else(|| default_name::after_source(&look.file_name));
    CsvDraft {
        name,
        html: csv_look::html(&look),
        over: Some(csv_look::over(&look)),
        idle: csv_look::idle(&look),
        // What the grid says is said there alone.
        params: look.other_params,
        ..draft
    }
}

/// `GET /new/csv`: whoever reads that page anew begins anew.
pub async fn begin() -> Redirect {
    Redirect::to("/new")
}
