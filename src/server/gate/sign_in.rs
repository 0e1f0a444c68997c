//! Signing in and out: the three posts, and the cookie.
//!
//! A try is counted before a password is looked at; after it people land on a page of this installation only.

use axum::Form;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, RequestExt};
use axum_extra::extract::cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use time::Duration;

use super::auth::{accepts_html, cookie_name, query_value};
use crate::client::words::path_segment;
use crate::protocol::{ApiError, ErrorCode};
use crate::server::state::{AppState, Site};
use crate::service::{Caller, IssuedLogin};

/// What `/login` posts.
#[derive(Deserialize)]
struct LoginForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`.
pub async fn login(
    State(state): State<AppState>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let html = accepts_html(request.headers());
    if let Err(refusal) = admit(&state, &request) {
        return refused(html, "/login", "", refusal);
    }
    let form = match request.extract::<Form<LoginForm>, _>().await {
        Ok(Form(form)) => form,
        Err(_unreadable) => {
            return ApiError::malformed("A form with name and password is expected.").into_response();
        }
    };
    let next = local(&form.next);
    match state.service.people().sign_in(&form.name, form.password).await {
        Ok(signed_in) => enter(&state, before, &signed_in, next).await,
        Err(refusal) => refused(html, "/login", next, refusal),
    }
}

/// `POST /first/{code}`: uses the one-time link up.
pub async fn first(
    State(state): State<AppState>,
    Path(code): Path<String>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let html = accepts_html(request.headers());
    let page = format!("/first/{}", path_segment(&code));
    if let Err(refusal) = admit(&state, &request) {
        return refused(html, &page, "", refusal);
    }
    match state.service.people().sign_in_by_link(&code).await {
        Ok(signed_in) => enter(&state, before, &signed_in, "/").await,
        Err(refusal) => refused(html, &page, "", refusal),
    }
}

/// `POST /logout`.
pub async fn logout(State(state): State<AppState>, caller: Option<Extension<Caller>>) -> Response {
    if let Some(Extension(caller)) = caller
        && let Err(outage) = state.service.people().sign_out(&caller).await
    {
        return outage.into_response();
    }
    with_cookie(Redirect::to("/login"), &cookie(&state.site, "", 0))
}

fn admit(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let address = state.proxies.client_address(request.extensions(), request.headers());
    state.login_rate.admit(address).map_err(|seconds| {
        tracing::warn!(%address, "too many tries to sign in");
        let mut refusal =
            ApiError::new(ErrorCode::TooMany, "Too many tries from this address; wait a moment.");
        refusal.retry_after_seconds = Some(seconds);
        refusal
    })
}

/// Lets in; an earlier login of the same browser ends.
async fn enter(
    state: &AppState,
    before: Option<Extension<Caller>>,
    signed_in: &IssuedLogin,
    next: &str,
) -> Response {
    if let Some(Extension(before)) = before
        && let Err(outage) = state.service.people().sign_out(&before).await
    {
        return outage.into_response();
    }
    let cookie = cookie(&state.site, &signed_in.secret, signed_in.max_age_seconds);
    with_cookie(Redirect::to(next), &cookie)
}

/// Sends people back to the form, which says so; programs get the problem.
fn refused(html: bool, page: &str, next: &str, refusal: ApiError) -> Response {
    if !html {
        return refusal.into_response();
    }
    let next = if next.is_empty() { String::new() } else { format!("&next={}", query_value(next)) };
    Redirect::to(&format!("{page}?error={}{next}", refusal.code.as_str())).into_response()
}

fn with_cookie(redirect: Redirect, cookie: &Cookie<'_>) -> Response {
    let mut response = redirect.into_response();
    let value = HeaderValue::from_str(&cookie.to_string()).expect("names and ids are plain ASCII");
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::SET_COOKIE, value);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn cookie<'a>(site: &Site, value: &'a str, max_age_seconds: i64) -> Cookie<'a> {
    Cookie::build((cookie_name(site), value))
        .path("/")
        .max_age(Duration::seconds(max_age_seconds))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(site.is_https())
        .build()
}

/// A path of this installation, or `/`: nothing that a browser could read as another host.
fn local(next: &str) -> &str {
    let begins_well = next.starts_with('/') && !next.starts_with("//");
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if begins_well && plain { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_stays_here() {
        assert_eq!(local("/batches/1?x=y"), "/batches/1?x=y");
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/\t/evil"] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn cookies_fit_how_the_site_is_reached() {
        let open = cookie(&Site::new(None), "x", 5).to_string();
        assert_eq!(open, "milepost=x; HttpOnly; SameSite=Lax; Path=/; Max-Age=5");
        let https = cookie(&Site::new(Some("https://m.example")), "x", 5).to_string();
        assert_eq!(https, "__Host-milepost=x; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=5");
    }
}
