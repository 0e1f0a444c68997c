//! Every URL on one screen, each with who may reach it.
//!
//! Who may is in the table of policies: a route that it does not have cannot be added.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Extension, Router};
use http::header::ACCEPT_RANGES;
use http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::trace::{DefaultOnFailure, TraceLayer};
use tracing::Level;

use super::gate::paced;
use super::gate::{
    auth, guard_forms, harden, identify, one_host, openid, read_or_close, refuse_large, request_span,
    require_caller, require_caller_but_to_sign_in, require_share, same_site, sign_in, turn_away, watch,
};
use super::pages::refused_form::show_again;
use super::pages::{answers, csv_page, page_faults, refusal_page, render};
use super::policy::{self, Policy};
use super::state::{AppState, Limits};
use super::{api, assets, health, live, share};
use crate::app::pages::LOOK_PATH;
use crate::app::shell::FAULTS_PATH;
use crate::protocol::ApiError;
use crate::service::Caller;

/// The whole of it.
pub fn router(state: AppState) -> Router {
    Gate::new(&state)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/login", post(sign_in::login))
        .route("/login/openid", get(openid::steps::begin))
        .route("/login/openid/callback", get(openid::steps::back))
        .route("/logout", post(sign_in::logout))
        .route("/first/{code}", post(sign_in::first))
        .route("/password/{code}", post(sign_in::set_password))
        .route(LOOK_PATH, get(csv_page::begin).post(csv_page::look))
        .route(FAULTS_PATH, post(page_faults::report))
        .route("/pkg/{*file}", get(file))
        .route("/api/openapi.json", get(api::openapi))
        .route("/api", get(api::reference))
        .route("/live", any(live::live))
        .route("/live/events", get(live::events))
        .route("/live/frames", get(live::frames))
        .route("/s/{secret}/live", any(live::live))
        .route("/s/{secret}/live/events", get(live::events))
        .route("/s/{secret}/live/frames", get(live::frames))
        .route("/s/{secret}/badge.svg", get(share::badge))
        .route("/s/{secret}/status.txt", get(share::status))
        .route("/s/{secret}/results", get(share::results))
        .route("/s/{secret}/items/{seq}/files/{*name}", get(share::file))
        .route("/metrics", get(health::metrics))
        .callers("/api/v1", api::router())
        .pages(render::router(&state), &state)
        .elsewhere(elsewhere)
        .finish(state)
}

/// What a node that only works answers: how it is.
pub fn probes(state: AppState) -> Router {
    Gate::new(&state)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .elsewhere(async || ApiError::not_found("address"))
        .finish(state)
}

/// The only way to add a route.
struct Gate {
    routes: Router<AppState>,
    limits: Limits,
}

impl Gate {
    fn new(state: &AppState) -> Self {
        Self { routes: Router::new(), limits: state.limits }
    }

    /// A route, for whom the table of policies says.
    ///
    /// # Panics
    /// If the table does not have it.
    fn route(mut self, path: &str, handler: MethodRouter<AppState>) -> Self {
        let handler = handler.layer(DefaultBodyLimit::max(self.limits.form_body_bytes_max));
        let policy = policy::of_route(path);
        let handler = match policy.unwrap_or_else(|| panic!("{path} has no policy")) {
            Policy::Everybody => handler,
            Policy::SignedIn | Policy::May(_) => handler.layer(from_fn(require_caller)),
            Policy::ShareLink(_) => handler.layer(from_fn(require_share)),
        };
        self.routes = self.routes.route(path, handler);
        self
    }

    /// Many, for whoever is signed in; bodies may carry items.
    fn callers(mut self, path: &str, inner: Router<AppState>) -> Self {
        let inner = inner.fallback(async || ApiError::not_found("address")).layer(from_fn(require_caller));
        let inner = self.limited(inner);
        self.routes = self.routes.nest(path, inner);
        self
    }

    /// The app: for whoever is signed in, but for the pages to sign in.
    fn pages(mut self, inner: Router<AppState>, state: &AppState) -> Self {
        let inner = inner
            .route_layer(from_fn_with_state(state.clone(), answers))
            .route_layer(from_fn_with_state(state.clone(), show_again))
            .route_layer(from_fn(require_caller_but_to_sign_in))
            .layer(from_fn(guard_forms));
        let inner = self.limited(inner);
        self.routes = self.routes.merge(inner);
        self
    }

    /// What is read into memory is held to the bound of JSON, what is streamed to that of uploads.
    fn limited(&self, inner: Router<AppState>) -> Router<AppState> {
        let streamed = usize::try_from(self.limits.upload_bytes_max).unwrap_or(usize::MAX);
        inner
            .layer(DefaultBodyLimit::max(self.limits.json_body_bytes_max))
            .layer(RequestBodyLimitLayer::new(streamed))
            .layer(from_fn_with_state(self.limits.upload_bytes_max, refuse_large))
    }

    /// Whatever no route takes.
    fn elsewhere<T: 'static>(mut self, handler: impl Handler<T, AppState>) -> Self {
        self.routes = self.routes.fallback(handler);
        self
    }

    /// Adds what holds for every request; the last layer here is the first that a request meets.
    fn finish(self, state: AppState) -> Router {
        // What a client may go on with later is sent as it is: a part of it belongs to those bytes.
        let is_whole = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
            headers.get(ACCEPT_RANGES).is_none_or(|ranges| ranges != "bytes")
        };
        let worth_it = DefaultPredicate::new()
            .and(is_whole)
            .and(NotForContentType::new("application/zip"))
            .and(NotForContentType::new("application/octet-stream"));
        self.routes
            .method_not_allowed_fallback(super::extract::wrong_method)
            .layer(from_fn_with_state(state.clone(), same_site))
            .layer(from_fn_with_state(state.clone(), watch))
            .layer(from_fn_with_state(state.clone(), identify))
            .layer(from_fn(refusal_page::for_people))
            .layer(from_fn_with_state(state.stop.clone(), paced))
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it))
            // Who answers badly says why; a line for each answer of an outage would bury that.
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(request_span)
                    .on_failure(DefaultOnFailure::new().level(Level::DEBUG)),
            )
            .layer(from_fn(one_host))
            .layer(from_fn_with_state(state.clone(), harden))
            .layer(from_fn(read_or_close))
            .with_state(state)
    }
}

/// `GET /pkg/…`.
async fn file(request: Request) -> Response {
    assets::answer(request.uri().path(), request.headers())
        .unwrap_or_else(|| ApiError::not_found("file").into_response())
}

/// What no route takes: a file of the site, else a page that there is not.
async fn elsewhere(state: State<AppState>, caller: Option<Extension<Caller>>, request: Request) -> Response {
    if let Some(file) = assets::answer(request.uri().path(), request.headers()) {
        return file;
    }
    if request.uri().path().starts_with("/api/") || !auth::accepts_html(request.headers()) {
        return ApiError::not_found("address").into_response();
    }
    match caller {
        Some(_) => render::not_found(state, request).await,
        None => turn_away(request.method(), request.uri(), request.headers()),
    }
}
