//! Signing in and out: the posts, and the cookies.
//!
//! A try is counted before a password is looked at, and taken back where that was right; after it people land on a page of
//! this installation only. A second cookie says no more than that its browser was let in with a name before.

use std::net::IpAddr;
use std::time::Instant;

use axum::Form;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, RequestExt};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use time::Duration;

use super::auth::{accepts_html, cookie_name, query_value};
use super::login_rate_limit::{LoginTry, TakenPlaces};
use crate::client::words::path_segment;
use crate::protocol::{ApiError, ErrorCode};
use crate::server::state::{AppState, Site};
use crate::service::{Caller, IssuedLogin, LoginPlace, Via};

/// What `/login` posts.
#[derive(Deserialize)]
struct LoginForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// What `/password/{code}` posts.
#[derive(Deserialize)]
struct PasswordForm {
    password: String,
}

/// `POST /login`.
pub async fn login(
    State(state): State<AppState>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let visitor = Visitor::of(&state, &request);
    let form = match request.extract::<Form<LoginForm>, _>().await {
        Ok(Form(form)) => form,
        Err(_unreadable) => {
            return ApiError::malformed("A form with name and password is expected.").into_response();
        }
    };
    let next = local(&form.next).to_owned();
    let known = match visitor.known_as(&state, &form.name).await {
        Ok(known) => known,
        Err(outage) => return outage.into_response(),
    };
    let taken = match admit(&state, &visitor, Some(&form.name), known) {
        Ok(taken) => taken,
        Err(refusal) => return refused(visitor.html, "/login", &next, refusal),
    };
    match state.service.people().sign_in(&form.name, form.password, visitor.place()).await {
        Ok(signed_in) => {
            state.login_rate.succeeded(taken);
            enter(&state, before, &signed_in, &next, &visitor).await
        }
        Err(refusal) => refused(visitor.html, "/login", &next, refusal),
    }
}

/// `POST /first/{code}`: uses the one-time link up.
pub async fn first(
    State(state): State<AppState>,
    Path(code): Path<String>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let visitor = Visitor::of(&state, &request);
    let page = format!("/first/{}", path_segment(&code));
    let taken = match admit(&state, &visitor, None, None) {
        Ok(taken) => taken,
        Err(refusal) => return refused(visitor.html, &page, "", refusal),
    };
    match state.service.people().sign_in_by_link(&code, visitor.place()).await {
        Ok(signed_in) => {
            state.login_rate.succeeded(taken);
            enter(&state, before, &signed_in, "/", &visitor).await
        }
        Err(refusal) => refused(visitor.html, &page, "", refusal),
    }
}

/// `POST /password/{code}`: sets a password by a link, which is used up, and signs in.
pub async fn set_password(
    State(state): State<AppState>,
    Path(code): Path<String>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let visitor = Visitor::of(&state, &request);
    let page = format!("/password/{}", path_segment(&code));
    let taken = match admit(&state, &visitor, None, None) {
        Ok(taken) => taken,
        Err(refusal) => return refused(visitor.html, &page, "", refusal),
    };
    let Ok(Form(form)) = request.extract::<Form<PasswordForm>, _>().await else {
        return ApiError::malformed("A form with a password is expected.").into_response();
    };
    match state.service.people().set_password_by_link(&code, form.password, visitor.place()).await {
        Ok(signed_in) => {
            state.login_rate.succeeded(taken);
            enter(&state, before, &signed_in, "/", &visitor).await
        }
        Err(refusal) => {
            if refusal.code == ErrorCode::Invalid {
                state.login_rate.succeeded(taken);
            }
            refused(visitor.html, &page, "", refusal)
        }
    }
}

/// `POST /logout`.
pub async fn logout(State(state): State<AppState>, caller: Option<Extension<Caller>>) -> Response {
    let by_header = caller.as_ref().is_some_and(|Extension(caller)| caller.via == Via::Header);
    if let Some(Extension(caller)) = caller
        && let Err(outage) = state.service.people().sign_out(&caller).await
    {
        return outage.into_response();
    }
    let to = match &state.header_sign_in {
        Some(by) if by_header => &by.sign_out_url,
        _ => "/login",
    };
    with_cookie(Redirect::to(to), &cookie(&state.site, "", 0))
}

/// Who comes to sign in.
pub(super) struct Visitor {
    /// A person's browser.
    pub(super) html: bool,
    address: IpAddr,
    device: String,
    /// What the browser keeps from an earlier sign-in.
    kept: Option<String>,
}

impl Visitor {
    pub(super) fn of(state: &AppState, request: &Request) -> Self {
        let headers = request.headers();
        let device =
            headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kept = CookieJar::from_headers(headers)
            .get(known_cookie_name(&state.site))
            .map(|kept| kept.value().to_owned());
        Self {
            html: accepts_html(headers),
            address: state.proxies.client_address(request.extensions(), headers),
            device: device.to_owned(),
            kept,
        }
    }

    pub(super) fn place(&self) -> LoginPlace {
        LoginPlace { device: self.device.clone(), address: self.address.to_canonical().to_string() }
    }

    /// What the browser keeps, where somebody has signed in with it as `name`.
    async fn known_as(&self, state: &AppState, name: &str) -> Result<Option<&str>, ApiError> {
        let Some(kept) = &self.kept else { return Ok(None) };
        Ok(state.service.people().is_browser_known(kept, name).await?.then_some(kept))
    }
}

/// Counts a try as a failure, until it is known to be none.
pub(super) fn admit(
    state: &AppState,
    visitor: &Visitor,
    name: Option<&str>,
    known_browser: Option<&str>,
) -> Result<TakenPlaces, ApiError> {
    let login = LoginTry { address: visitor.address, name, known_browser };
    state.login_rate.admit(login, Instant::now()).map_err(|seconds| {
        if let Some(count) = state.login_rate.refused(Instant::now()) {
            tracing::warn!(address = %visitor.address, count, "too many tries to sign in; the next line in a minute");
        }
        let mut refusal = ApiError::new(
            ErrorCode::TooMany,
            "Too many tries to sign in that failed, from this address or with this name; wait a moment.",
        );
        refusal.retry_after_seconds = Some(seconds);
        refusal
    })
}

/// Lets in; an earlier login of the same browser ends.
pub(super) async fn enter(
    state: &AppState,
    before: Option<Extension<Caller>>,
    signed_in: &IssuedLogin,
    next: &str,
    visitor: &Visitor,
) -> Response {
    let people = state.service.people();
    if let Some(Extension(before)) = before
        && let Err(outage) = people.sign_out(&before).await
    {
        return outage.into_response();
    }
    let (known, known_seconds) =
        match people.know_browser(&signed_in.caller.name, visitor.kept.as_deref()).await {
            Ok(known) => known,
            Err(outage) => return outage.into_response(),
        };
    let known = plain_cookie(&state.site, known_cookie_name(&state.site), &known, known_seconds);
    let login = cookie(&state.site, &signed_in.secret, signed_in.max_age_seconds);
    let mut response = with_cookie(Redirect::to(next), &login);
    let known = HeaderValue::from_str(&known.to_string()).expect("names and ids are plain ASCII");
    response.headers_mut().append(header::SET_COOKIE, known);
    response
}

/// Sends people back to the form, which says so; programs get the problem.
pub(super) fn refused(html: bool, page: &str, next: &str, refusal: ApiError) -> Response {
    if !html {
        return refusal.into_response();
    }
    let next = if next.is_empty() { String::new() } else { format!("&next={}", query_value(next)) };
    Redirect::to(&format!("{page}?error={}{next}", refusal.code.as_str())).into_response()
}

pub(super) fn with_cookie(redirect: Redirect, cookie: &Cookie<'_>) -> Response {
    let mut response = redirect.into_response();
    let value = HeaderValue::from_str(&cookie.to_string()).expect("names and ids are plain ASCII");
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::SET_COOKIE, value);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The name of the cookie by which a browser is known.
fn known_cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-milepost-known" } else { "milepost-known" }
}

fn cookie<'a>(site: &Site, value: &'a str, max_age_seconds: i64) -> Cookie<'a> {
    plain_cookie(site, cookie_name(site), value, max_age_seconds)
}

pub(super) fn plain_cookie<'a>(
    site: &Site,
    name: &'static str,
    value: &'a str,
    max_age_seconds: i64,
) -> Cookie<'a> {
    Cookie::build((name, value))
        .path("/")
        .max_age(Duration::seconds(max_age_seconds))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(site.is_https())
        .build()
}

/// A path of this installation, or `/`: nothing that a browser could read as another host.
pub(super) fn local(next: &str) -> &str {
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
