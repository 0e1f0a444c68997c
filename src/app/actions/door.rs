//! The way from a page's request to the service: who asks, and what the answer's status is.
//!
//! There is no caller but the one the server put into the request.

use std::str::FromStr;

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use time::Duration;

use crate::app::plain_forms::{ASK, CHOSEN};
use crate::app::shell::{DONE_COOKIE, OutsideSignIn};
use crate::client::words;
use crate::protocol::{
    ApiError, BatchId, BatchQuery, BulkAct, BulkState, ErrorCode, Json, NewBatch, Options, Overlap,
    RunWindow, ShareLink, TimeOfDay,
};
use crate::service::{Caller, Service};

/// Items of the demonstration.
const DEMO_ITEMS: u64 = 2_000;

/// The service, and who asks.
///
/// # Errors
/// `not_signed_in` where the request has no caller.
pub async fn open() -> Result<(Service, Caller), ApiError> {
    let service = service()?;
    let Extension(caller) = leptos_axum::extract::<Extension<Caller>>()
        .await
        .map_err(|_none| ApiError::new(ErrorCode::NotSignedIn, "Sign in first."))?;
    Ok((service, caller))
}

/// The service, for the pages that are there to sign in.
///
/// # Errors
/// `internal` outside of a request.
pub fn service() -> Result<Service, ApiError> {
    use_context::<Service>().ok_or_else(ApiError::internal)
}

/// The service, who comes in by a share link, and what that shows.
///
/// # Errors
/// `not_found` where the link has ended or never was.
pub async fn shared(secret: &str) -> Result<(Service, Caller, ShareLink), ApiError> {
    let service = service()?;
    let found = service.people().by_share(secret).await?;
    let (caller, link) = found.ok_or_else(|| ApiError::not_found("share link"))?;
    Ok((service, caller, link))
}

/// How people may come in from outside.
#[must_use]
pub fn outside_sign_in() -> OutsideSignIn {
    use_context::<OutsideSignIn>().unwrap_or_default()
}

/// What a part of an address names.
///
/// # Errors
/// `not_found`: what cannot be a name of a `what` is the name of none.
pub fn named<T: FromStr + ToString>(what: &str, part: &str) -> Result<T, ApiError> {
    let name = part.parse::<T>().ok().filter(|name| name.to_string() == part);
    name.ok_or_else(|| ApiError::not_found(what))
}

/// In place of parameters that a page does not show.
#[must_use]
pub fn unsaid() -> Json {
    Json::default()
}

/// The same result; a refusal becomes the status of the page.
pub fn page<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    if let (Err(error), Some(response)) = (&result, use_context::<ResponseOptions>()) {
        response.set_status(
            StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        );
    }
    result
}

/// Keeps `value` in a cookie that scripts may read, for a year.
pub fn remember(name: &str, value: &str) {
    let cookie =
        Cookie::build((name, value)).path("/").max_age(Duration::days(365)).same_site(SameSite::Lax).build();
    let cookie = HeaderValue::from_str(&cookie.to_string());
    if let (Some(response), Ok(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(header::SET_COOKIE, cookie);
    }
}

/// Name of the cookie that carries what is shown once.
const ONCE: &str = "milepost-once";

/// Where a plain form was posted: has the next page show `secret`, which its answer, a redirect, cannot. The cookie is for
/// that page alone, and for a minute at most.
pub async fn show_once(secret: &str) {
    let Ok(headers) = leptos_axum::extract::<HeaderMap>().await else { return };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepts.is_some_and(|accept| accept.contains("text/html")) {
        set_once(secret, Duration::minutes(1));
    }
}

/// What is to be shown this once, which nobody is shown again.
pub async fn take_once() -> Option<String> {
    let cookies = leptos_axum::extract::<CookieJar>().await.ok()?;
    let secret =
        cookies.get(ONCE).map(|cookie| cookie.value().to_owned()).filter(|secret| !secret.is_empty())?;
    set_once("", Duration::ZERO);
    Some(secret)
}

fn set_once(secret: &str, age: Duration) {
    let cookie =
        Cookie::build((ONCE, secret)).path("/").max_age(age).http_only(true).same_site(SameSite::Strict);
    let cookie = HeaderValue::from_str(&cookie.build().to_string());
    if let (Some(response), Ok(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(header::SET_COOKIE, cookie);
    }
}

/// Where a plain form was posted: leads back to where it came from, without the question that it answered, and has that
/// page say that `act` was done.
pub async fn done(act: &str) {
    let Ok(headers) = leptos_axum::extract::<HeaderMap>().await else { return };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !text(header::ACCEPT).is_some_and(|accept| accept.contains("text/html")) {
        return;
    }
    let cookie = Cookie::build((DONE_COOKIE, act)).path("/").max_age(Duration::minutes(1));
    let cookie = HeaderValue::from_str(&cookie.http_only(true).same_site(SameSite::Lax).build().to_string());
    if let (Some(response), Ok(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(header::SET_COOKIE, cookie);
    }
    if let Some(back) = text(header::REFERER).and_then(answered) {
        leptos_axum::redirect(&back);
    }
}

/// `address` without its question, and without what was chosen for it.
fn answered(address: &str) -> Option<String> {
    let uri = address.parse::<axum::http::Uri>().ok()?;
    let asks = |pair: &&str| pair.split_once('=').is_some_and(|(key, _value)| [ASK, CHOSEN].contains(&key));
    let query = uri.query().filter(|query| query.split('&').any(|pair| asks(&pair)))?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !asks(pair)).collect();
    if kept.is_empty() {
        Some(uri.path().to_owned())
    } else {
        Some(format!("{}?{}", uri.path(), kept.join("&")))
    }
}

/// A number in a form's field; none where it was left empty.
///
/// # Errors
/// `invalid`, naming the field.
pub fn number<T: std::str::FromStr>(label: &str, text: Option<String>) -> Result<Option<T>, ApiError> {
    text.as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().map_err(|_form| {
                ApiError::invalid(format!("{label}: expected a whole number, not {text:?}."))
            })
        })
        .transpose()
}

/// Items by number: one, or several with commas between them; none where neither is given.
///
/// # Errors
/// `malformed` for what is no number.
pub fn seqs(one: Option<u64>, several: Option<&str>) -> Result<Option<Vec<u64>>, ApiError> {
    let Some(several) = several.filter(|several| !several.is_empty()) else {
        return Ok(one.map(|seq| vec![seq]));
    };
    let number = |text: &str| {
        text.parse().map_err(|_form| ApiError::malformed(format!("seqs: expected numbers, not {text:?}.")))
    };
    several.split(',').map(number).collect::<Result<_, _>>().map(Some)
}

/// Batches by their ids, with commas between them.
///
/// # Errors
/// `malformed` for what is no id.
pub fn batches(text: &str) -> Result<Vec<BatchId>, ApiError> {
    let id = |text: &str| text.parse().map_err(|form| ApiError::malformed(format!("batches: {form}.")));
    text.split(',').filter(|text| !text.is_empty()).map(id).collect()
}

/// The acts over many of the caller that a page shows, as its lines: id, words, to how many batches it has come, of how many, and
/// whether it goes on. None where the caller may ask for none.
///
/// # Errors
/// Outages only.
pub async fn bulk_lines(
    service: &Service,
    caller: &Caller,
) -> Result<Vec<(String, String, u64, u64, bool)>, ApiError> {
    let acts = match service.recent_bulk_acts(caller).await {
        Err(error) if error.code == ErrorCode::NotAllowed => Vec::new(),
        acts => acts?,
    };
    let line = |act: &BulkAct| {
        (act.id.to_string(), words::many(act), act.looked(), act.total, act.state == BulkState::Running)
    };
    Ok(acts.iter().map(line).collect())
}

/// The batch that a person calls `12`, `#12` or by its id.
///
/// # Errors
/// `invalid` where there is none that the caller sees.
pub async fn batch_called(service: &Service, caller: &Caller, text: &str) -> Result<BatchId, ApiError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let number = text.trim_start_matches('#');
    let refused = || ApiError::invalid(format!("There is no batch {text:?} that you can see."));
    number.parse::<u64>().map_err(|_form| refused())?;
    let query = BatchQuery { q: Some(format!("#{number}")), ..BatchQuery::default() };
    let found = service.batches(caller, &query).await?;
    found.batches.first().map(|batch| batch.id).ok_or_else(refused)
}

/// A batch in JSON, as typed.
///
/// # Errors
/// `invalid` where it is no JSON object.
pub fn batch_body(text: &str) -> Result<Json, ApiError> {
    let refused = |fault: String| ApiError::invalid(format!("The batch is not a JSON object{fault}."));
    let json = Json::parse(text).map_err(|fault| refused(format!(": {fault}")))?;
    if json.as_str().starts_with('{') { Ok(json) } else { Err(refused(String::new())) }
}

/// The two fields of a window; none where both were left empty.
///
/// # Errors
/// `invalid` where one is missing, or is no time of day.
pub fn window(from: Option<String>, until: Option<String>) -> Result<Option<RunWindow>, ApiError> {
    let time = |label: &str, text: &str| {
        text.parse::<TimeOfDay>().map_err(|fault| ApiError::invalid(format!("{label}: {fault}.")))
    };
    match (from, until) {
        (None, None) => Ok(None),
        (Some(from), Some(until)) => {
            Ok(Some(RunWindow { from: time("Not before", &from)?, until: time("Not from", &until)? }))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(ApiError::invalid("A window has two times: not before, and not from."))
        }
    }
}

/// The choice for what overlaps.
///
/// # Errors
/// `invalid` for another word.
pub fn overlap(word: Option<&str>) -> Result<Overlap, ApiError> {
    let refused = || ApiError::invalid("overlap: expected skip or queue.");
    word.map_or(Ok(Overlap::default()), |word| Overlap::parse(word).ok_or_else(refused))
}

/// The demonstration and its number of items: long enough to be watched, with failures of which a retry mends about half.
#[must_use]
pub fn demonstration() -> (NewBatch, u64) {
    let params = r#"{"duration_ms":40,"jitter":0.9,"fail_rate":0.03,"mend_rate":0.5,"results":true}"#;
    let (name, params) = (Some("Demo".into()), Json::parse(params).ok());
    (NewBatch { task: "demo".into(), name, params, options: Options::default() }, DEMO_ITEMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answered_question_leaves_the_address() {
        for (address, back) in [
            ("http://m.example/batches/1?ask=cancel", Some("/batches/1")),
            ("http://m.example/?state=active&ask=cancel-3&q=a%20b", Some("/?state=active&q=a%20b")),
            ("http://m.example/?ask=choose&chosen=3&state=active&chosen=4", Some("/?state=active")),
            ("http://m.example/batches/1", None),
            ("http://m.example/batches?x=y", None),
        ] {
            assert_eq!(answered(address).as_deref(), back, "{address}");
        }
    }
}
