//! A page of a list as an answer.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::LINK;
use http::{HeaderValue, Uri};
use url::form_urlencoded;

/// A page of a list, with a `Link` to the next (RFC 8288): the same address with `parameter` set to its cursor.
pub fn page<T: serde::Serialize>(page: T, uri: &Uri, parameter: &str, next: Option<&str>) -> Response {
    let mut response = Json(page).into_response();
    if let Some(next) = next {
        let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.filter(|(name, _value)| name != parameter)).append_pair(parameter, next);
        let link = format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish());
        let link = HeaderValue::try_from(link).expect("paths and encoded queries are visible ASCII");
        response.headers_mut().insert(LINK, link);
    }
    response
}
