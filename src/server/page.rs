//! The pages: the app rendered on the server, and the functions that its pages call.
//!
//! Owns what the app finds in its context: the service, the addresses of its files, the policy with its nonce.
//! Called by the router. Invariant: every page leaves with a nonce of its own. Deliberately knows no page by name.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{LeptosRoutes as _, ResponseOptions, generate_route_list};

use super::assets;
use super::limits::page_policy;
use super::state::AppState;
use crate::app::{App, Assets, shell};
use crate::service::Service;

/// The app's pages and server functions.
pub fn router(state: &AppState) -> Router<AppState> {
    let routes = generate_route_list(App);
    Router::new().leptos_routes_with_context(state, routes, context(state), shell)
}

/// A page that there is not, as the app shows it.
pub async fn not_found(State(state): State<AppState>, request: Request) -> Response {
    let render = leptos_axum::render_app_async_with_context(context(&state), shell);
    let mut response = render(request).await.into_response();
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// What the app finds in its context.
fn context(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let (service, addresses): (Service, Assets) = (state.service.clone(), assets::addresses());
    move || {
        provide_context(service.clone());
        provide_context(addresses.clone());
        if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) {
            let policy = HeaderValue::from_str(&page_policy(&nonce)).expect("a nonce is plain ASCII");
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}
