//! Who is asking, for every request: bearer token, the header of a named proxy, or cookie, once, before anything else.
//!
//! With a bearer token nothing else is looked at, and with such a header no cookie; both of the latter change nothing unless
//! the request comes from the installation's own pages.

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::header_sign_in::Said;
use crate::protocol::{ApiError, ErrorCode};
use crate::server::assets;
use crate::server::policy::{Policy, of_function, of_page};
use crate::server::state::{AppState, OriginVerdict, Site};
use crate::server::transport::OpenConnection;
use crate::service::{Caller, LoginPlace, Via};

/// The name of the cookie, by how the installation is reached.
#[must_use]
pub fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-milepost" } else { "milepost" }
}

/// Puts the [`Caller`] into the request's extensions, if there is one.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if is_for_everybody(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let asked = match share_secret(request.uri().path()) {
        Some(secret) => shared_with(&state, secret).await,
        None => caller_of(&state, request.extensions(), request.headers()).await,
    };
    match asked {
        Ok(Some(mut caller)) => {
            caller.address = Some(state.proxies.client_address(request.extensions(), request.headers()));
            let open = request.extensions().get::<Arc<OpenConnection>>();
            if let Some(Err(crowded)) = open.map(|open| open.admit()) {
                return crowded.into_response();
            }
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        // A live connection is told so on it, as any other that nobody is signed in on.
        Err(refusal) if refusal.code == ErrorCode::NotAllowed && request.uri().path() == "/live" => {}
        Err(refusal) => return refusal.into_response(),
    }
    next.run(request).await
}

/// True for what is the same whoever asks: it is answered without a look at the database, and so while that is away.
fn is_for_everybody(method: &Method, path: &str) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    matches!(path, "/healthz" | "/readyz")
        || reads
            && (matches!(path, "/api" | "/api/openapi.json")
                || path.starts_with("/pkg/")
                || assets::is_file(path))
}

/// True for addresses that no person opens.
pub fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/v1")
        || matches!(path, "/metrics" | "/api/openapi.json")
        || path.starts_with("/live")
}

/// What of an address below `/s/` is the secret of a share link. The page itself is for everybody, and asks by its secret.
fn share_secret(path: &str) -> Option<&str> {
    path.strip_prefix("/s/")?.split_once('/').map(|(secret, _what)| secret)
}

/// Who comes in by a share link: whoever is signed in besides sees no more by it than anybody.
async fn shared_with(state: &AppState, secret: &str) -> Result<Option<Caller>, ApiError> {
    state.service.reachable()?;
    Ok(state.service.people().by_share(secret).await?.map(|(caller, _link)| caller))
}

async fn caller_of(
    state: &AppState,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<Option<Caller>, ApiError> {
    let people = state.service.people();
    let said = state.header_sign_in.as_ref().map_or(Said::Nothing, |by| by.read(extensions, headers));
    let named = headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE);
    if named || said != Said::Nothing {
        state.service.reachable()?;
    }
    let authorization = headers.get(header::AUTHORIZATION);
    if let Some(token) = authorization.and_then(|value| value.to_str().ok()).and_then(bearer) {
        return people.by_token(token).await;
    }
    match said {
        Said::Name(name, role) => {
            let address = state.proxies.client_address(extensions, headers);
            let from = LoginPlace { device: String::new(), address: address.to_canonical().to_string() };
            return people.by_header(&name, role, from).await.map(Some).map_err(unnamed);
        }
        Said::Unclear(problem) => return Err(ApiError::new(ErrorCode::NotAllowed, problem)),
        Said::Nothing if authorization.is_some() => return Ok(None),
        Said::Nothing => {}
    }
    match CookieJar::from_headers(headers).get(cookie_name(&state.site)) {
        Some(cookie) => people.by_login(cookie.value()).await,
        None => Ok(None),
    }
}

/// A name that nobody can have is refused like that of somebody who may not come in.
fn unnamed(refusal: ApiError) -> ApiError {
    match refusal.code {
        ErrorCode::Invalid => ApiError::new(
            ErrorCode::NotAllowed,
            format!("The proxy in front gives you a name that nobody can have here. {}", refusal.detail),
        ),
        _ => refusal,
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Turns away what another site's page sends: fetch metadata first, then `Origin`. Safe methods pass, and so does a
/// bearer token, which no browser sends by itself; so does a request with neither header, which no browser makes.
pub async fn same_site(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let by_token =
        request.extensions().get::<Caller>().is_some_and(|caller| matches!(caller.via, Via::Token(_)));
    if safe || by_token || is_same_site(&state.site, request.headers()) {
        return next.run(request).await;
    }
    ApiError::new(ErrorCode::NotAllowed, "The request comes from another site.").into_response()
}

fn is_same_site(site: &Site, headers: &HeaderMap) -> bool {
    let verdict = site.judge(headers);
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => true,
        Some(_) => verdict == OriginVerdict::Same && site.origin().is_some(),
        None => verdict != OriginVerdict::Foreign,
    }
}

/// Turns away whoever is not signed in: people to the sign-in page, programs by a problem, pages' own calls by the
/// error in the form that they read.
pub async fn require_caller(request: Request, next: Next) -> Response {
    if request.extensions().get::<Caller>().is_some() {
        return next.run(request).await;
    }
    turn_away(request.method(), request.uri(), request.headers())
}

/// Turns away whoever has no share link that shows something.
pub async fn require_share(request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(Caller { via: Via::Share { .. }, .. }) => next.run(request).await,
        Some(_) | None => ApiError::not_found("share link").into_response(),
    }
}

/// As [`require_caller`], but for the pages that are there to sign in, or for whoever has a share link.
pub async fn require_caller_but_to_sign_in(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let policy = of_page(path).or_else(|| of_function(path));
    let open = matches!(policy, Some(Policy::Everybody | Policy::ShareLink(_)));
    if open || request.extensions().get::<Caller>().is_some() {
        return next.run(request).await;
    }
    turn_away(request.method(), request.uri(), request.headers())
}

/// The answer to whoever is not signed in.
#[must_use]
pub fn turn_away(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    let refusal = ApiError::new(ErrorCode::NotSignedIn, "Sign in first, or send a bearer token.");
    let path = uri.path();
    let for_programs = is_for_programs(path);
    if accepts_html(headers) && !for_programs {
        let next = if *method == Method::GET {
            uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned()
        } else {
            "/".to_owned()
        };
        return Redirect::to(&format!("/login?next={}", query_value(&next))).into_response();
    }
    let mut response = if path.starts_with("/api/") && !for_programs {
        let body = serde_json::to_string(&refusal).expect("a refusal is plain data");
        (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    } else {
        refusal.into_response()
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// True where a person's browser asks for a page.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// What RFC 3986 calls unreserved stays as it is, and so does the slash, which may stand in a query.
const ESCAPED_IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// `text` as the value of a query parameter.
#[must_use]
pub fn query_value(text: &str) -> impl Display {
    utf8_percent_encode(text, ESCAPED_IN_QUERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let named = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse()));
        named.map(|(name, value)| (name, value.unwrap())).collect()
    }

    #[test]
    fn other_sites_are_turned_away() {
        let open = Site::new(None);
        let fixed = Site::new(Some("https://m.example"));
        for (site, pairs, same) in [
            (&open, vec![("host", "m")], true),
            (&open, vec![("host", "m"), ("sec-fetch-site", "same-origin")], true),
            (&open, vec![("host", "m"), ("sec-fetch-site", "none")], true),
            (&open, vec![("host", "m"), ("sec-fetch-site", "cross-site")], false),
            (&open, vec![("host", "m"), ("sec-fetch-site", "same-site"), ("origin", "https://m")], false),
            (&open, vec![("host", "m"), ("origin", "https://m")], true),
            (&open, vec![("host", "m"), ("origin", "https://e")], false),
            (&fixed, vec![("host", "inside"), ("origin", "https://m.example")], true),
            (&fixed, vec![("host", "inside"), ("origin", "https://inside")], false),
        ] {
            assert_eq!(is_same_site(site, &headers(&pairs)), same, "{pairs:?}");
        }
    }

    #[test]
    fn people_go_to_sign_in_and_programs_get_a_problem() {
        let html = headers(&[("accept", "text/html,*/*")]);
        let page = turn_away(&Method::GET, &Uri::from_static("/batches/1?a=b&c"), &html);
        assert_eq!(page.status(), StatusCode::SEE_OTHER);
        assert_eq!(page.headers()[header::LOCATION], "/login?next=/batches/1%3Fa%3Db%26c");
        let api = turn_away(&Method::GET, &Uri::from_static("/api/v1/batches"), &html);
        assert_eq!(api.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(api.headers()[header::CONTENT_TYPE], "application/problem+json");
        let own = turn_away(&Method::POST, &Uri::from_static("/api/load_me12"), &HeaderMap::new());
        assert_eq!(own.headers()[header::CONTENT_TYPE], "application/json");
    }

    #[test]
    fn what_is_the_same_for_all_needs_no_look_at_who_asks() {
        for path in ["/healthz", "/readyz", "/pkg/milepost.js", "/pkg/nothing", "/api", "/api/openapi.json"] {
            assert!(is_for_everybody(&Method::GET, path), "{path}");
        }
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/login"),
            (Method::GET, "/metrics"),
            (Method::GET, "/api/v1/tasks"),
            (Method::POST, "/pkg/x"),
            (Method::GET, "/live"),
        ] {
            assert!(!is_for_everybody(&method, path), "{path}");
        }
    }

    #[test]
    fn the_secret_of_a_share_link_is_in_the_address() {
        assert_eq!(share_secret("/s/abc/live"), Some("abc"));
        assert_eq!(share_secret("/s/abc/items/1/files/a/b"), Some("abc"));
        for path in ["/s/abc", "/s", "/s/", "/schedules/abc/live", "/api/s/abc/live"] {
            assert_eq!(share_secret(path), None, "{path}");
        }
    }

    #[test]
    fn bearers_are_read() {
        assert_eq!(bearer("Bearer mp_1"), Some("mp_1"));
        assert_eq!(bearer("bearer  mp_1"), Some("mp_1"));
        assert_eq!(bearer("Basic x"), None);
    }
}
