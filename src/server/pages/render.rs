//! The pages: the app rendered on the server, and the functions that its pages call.
//!
//! Every page leaves with a nonce of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use any_spawner::Executor;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use axum_extra::extract::CookieJar;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos::server::ServerActionError;
use leptos::server_fn::axum::server_fn_paths;
use leptos_axum::{ResponseOptions, handle_server_fns_with_context, render_app_async_with_context};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::app::address::Address;
use crate::app::clock::RenderedAt;
use crate::app::pages::CsvDraft;
use crate::app::plain_forms::RefusedForm;
use crate::app::shell::{Assets, LineKey, OutsideSignIn, PlainPage, shell};
use crate::client::words;
use crate::protocol::{SignInBy, Timestamp};
use crate::server::assets;
use crate::server::gate::{cookie_name, page_policy};
use crate::server::policy::page_routes;
use crate::server::state::AppState;
use crate::service::{Caller, Service};

/// Pages are a third smaller than at the level of what streams, at the same cost: 2.4 ms against 2.0 for a page of 93 kB.
const PAGE_QUALITY: i32 = 6;

/// What keys of lines are derived for: a hash for this is good for nothing else.
const LINE_KEY_CONTEXT: &str = "milepost 2026-11 live line of a browser's tabs";
/// Characters of such a key: enough that two are never alike.
const LINE_KEY_CHARS: usize = 16;

/// The app's pages and server functions.
pub fn router(state: &AppState) -> Router<AppState> {
    // Refused where one is set already, which is this one, of another server in the process.
    let _set = Executor::init_tokio();
    let functions = server_fn_paths().fold(Router::new(), |router, (path, method)| {
        let context = context(state);
        let call = move |request| handle_server_fns_with_context(context.clone(), request);
        let method = MethodFilter::try_from(method).expect("functions are called by methods that HTTP knows");
        router.route(path, on(method, call))
    });
    let pages = page_routes().fold(functions, |router, path| {
        router.route(&path, get(render_app_async_with_context(context(state), shell)))
    });
    pages
        .layer(from_fn_with_state(state.clone(), from_own_pages))
        .layer(map_response(without_nul))
        .layer(CompressionLayer::new().quality(CompressionLevel::Precise(PAGE_QUALITY)))
}

/// A form that is posted without scripts is answered with a redirect to its `Referer`: to a page of this installation
/// or to none.
async fn from_own_pages(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let own = headers
        .get(header::REFERER)
        .is_none_or(|referer| referer.to_str().is_ok_and(|referer| state.site.is_own(referer, headers)));
    if !own {
        request.headers_mut().remove(header::REFERER);
    }
    next.run(request).await
}

/// The HTML with `␀` for every NUL, which browsers drop from it. Pages show texts by `format::shown`, which has none:
/// should one be forgotten, the page still comes alive.
async fn without_nul(response: Response) -> Response {
    let html = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !html {
        return response;
    }
    response.map(|body| {
        Body::new(
            body.map_frame(|frame| frame.map_data(|data| if data.contains(&0) { seen(&data) } else { data })),
        )
    })
}

/// A copy with `␀` for every NUL.
fn seen(data: &[u8]) -> Bytes {
    data.split(|byte| *byte == 0).collect::<Vec<_>>().join("␀".as_bytes()).into()
}

/// A page that there is not, as the app shows it.
pub async fn not_found(State(state): State<AppState>, request: Request) -> Response {
    let render = render_app_async_with_context(context(&state), shell);
    let mut response = without_nul(render(request).await.into_response()).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// The page at the request's address, after a post without scripts to the function at `path` was refused with `error`, as it
/// stands in an address. It comes without the program, which would look for itself at another address.
pub async fn refused(state: AppState, request: Request, (path, error): (&str, &str)) -> Response {
    let (before, error) = (context(&state), ServerActionError::new(path, error));
    let context = move || {
        before();
        provide_context(error.clone());
        provide_context(RefusedForm);
    };
    let render = render_app_async_with_context(context, shell);
    without_nul(render(request).await.into_response()).await
}

/// New batch for `task`, with the CSV that was posted to be looked at.
pub async fn looked_at(state: &AppState, mut parts: Parts, task: &str, draft: CsvDraft) -> Response {
    let status = draft.refused.as_ref().and_then(|refused| StatusCode::from_u16(refused.code.status()).ok());
    let address = format!("/new?task={}", words::path_segment(task));
    parts.uri = address.parse().expect("an encoded name is part of an address");
    parts.method = Method::GET;
    let context = context(state);
    let provide = move || {
        context();
        provide_context(PlainPage);
        provide_context(draft.clone());
    };
    let render = render_app_async_with_context(provide, shell);
    let mut response =
        without_nul(render(Request::from_parts(parts, Body::empty())).await.into_response()).await;
    if let Some(status) = status.filter(|_status| response.status() == StatusCode::OK) {
        *response.status_mut() = status;
    }
    response
}

/// What the app finds in its context.
fn context(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let (service, addresses): (Service, Assets) = (state.service.clone(), assets::addresses());
    let (outside, cookie) = (outside_sign_in(state), cookie_name(&state.site));
    move || {
        provide_context(service.clone());
        provide_context(addresses.clone());
        provide_context(outside.clone());
        provide_context(RenderedAt(now()));
        if let Some(parts) = use_context::<Parts>() {
            provide_context(Address::parse(parts.uri.path_and_query().map_or("/", |path| path.as_str())));
        }
        if let Some(key) = use_context::<Parts>().and_then(|parts| line_key(&parts, cookie)) {
            provide_context(key);
        }
        if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) {
            let policy = HeaderValue::from_str(&page_policy(&nonce)).expect("a nonce is plain ASCII");
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// The key of the caller's live connections: the same for one person and session, and for no other. None where nobody is signed in.
fn line_key(parts: &Parts, cookie: &str) -> Option<LineKey> {
    let caller = parts.extensions.get::<Caller>()?;
    let cookies = CookieJar::from_headers(&parts.headers);
    let session = cookies.get(cookie).map(|cookie| cookie.value()).unwrap_or_default();
    let mut hash = blake3::Hasher::new_derive_key(LINE_KEY_CONTEXT);
    hash.update(caller.name.as_bytes()).update(&[0]).update(session.as_bytes());
    Some(LineKey(hash.finalize().to_hex()[..LINE_KEY_CHARS].to_owned()))
}

/// The time by this machine's clock: what pages say is relative to it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How people may come in from outside.
fn outside_sign_in(state: &AppState) -> OutsideSignIn {
    let by_header = state.header_sign_in.as_ref().map(|_by| SignInBy::Header);
    let by_provider = state.openid.as_ref().map(|_by| SignInBy::OpenId);
    OutsideSignIn {
        provider: state.openid.as_ref().map(|openid| openid.title.clone()),
        ways: by_header.into_iter().chain(by_provider).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_shown() {
        assert_eq!(&seen(b"a\0b\0")[..], "a␀b␀".as_bytes());
    }

    #[tokio::test]
    async fn html_leaves_without_nul_and_other_bodies_as_they_are() {
        for (kind, body) in [("text/html; charset=utf-8", "<p>␀</p>"), ("application/zip", "<p>\0</p>")] {
            let response =
                Response::builder().header(header::CONTENT_TYPE, kind).body(Body::from("<p>\0</p>"));
            let sent = without_nul(response.unwrap()).await.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(&sent[..], body.as_bytes(), "{kind}");
        }
    }
}
