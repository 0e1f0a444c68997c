//! The HTTP API, `/api/v1`.
//!
//! ```text
//! extract   caller, place, query, body     submit   bodies that bring items     openapi    the document
//! read      what can be looked at          act      what can be asked           validator  tags of answers
//! reference the document as a page        page     of a list                  webhooks   messages about ends
//! schedules batches made again and again  uploads  files that come in pieces
//! access    who may come in, the log of acts
//! folders   of the server, and what is in them
//! ```
//!
//! [`ROUTES`] is the only list of addresses; the document is compared with it.

mod access;
mod act;
mod folders;
mod openapi;
mod page;
mod read;
mod reference;
mod schedules;
mod submit;
mod uploads;
mod validator;
mod webhooks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, delete, get, patch, post};

pub use self::openapi::openapi;
pub use self::reference::reference;
pub use super::extract::unknown_address;
use super::results;
use super::state::AppState;

/// One address: method, path below `/api/v1`, and what answers it.
type Route = (&'static str, &'static str, fn() -> MethodRouter<AppState>);

/// Every address of the API.
const ROUTES: &[Route] = &[
    ("GET", "/tasks", || get(read::tasks)),
    ("GET", "/batches", || get(read::batches)),
    ("POST", "/batches", || post(submit::create)),
    ("GET", "/batches/{id}", || get(read::batch)),
    ("PATCH", "/batches/{id}", || patch(act::patch)),
    ("DELETE", "/batches/{id}", || delete(act::delete)),
    ("POST", "/batches/{id}/pause", || post(act::pause)),
    ("POST", "/batches/{id}/resume", || post(act::resume)),
    ("POST", "/batches/{id}/cancel", || post(act::cancel)),
    ("POST", "/batches/{id}/retry", || post(act::retry)),
    ("POST", "/batches/{id}/seal", || post(act::seal)),
    ("GET", "/batches/{id}/items", || get(read::items)),
    ("POST", "/batches/{id}/items", || post(submit::append)),
    ("GET", "/batches/{id}/items/{seq}", || get(read::item)),
    ("GET", "/batches/{id}/items/{seq}/log", || get(read::log)),
    ("GET", "/batches/{id}/items/{seq}/files/{*name}", || get(results::file)),
    ("GET", "/batches/{id}/families", || get(read::families)),
    ("GET", "/batches/{id}/results", || get(results::results)),
    ("GET", "/folders", || get(folders::list)),
    ("GET", "/folders/{name}", || get(folders::files)),
    ("GET", "/schedules", || get(schedules::list)),
    ("POST", "/schedules", || post(schedules::create)),
    ("POST", "/schedules/preview", || post(schedules::preview)),
    ("GET", "/schedules/{id}", || get(schedules::one)),
    ("PATCH", "/schedules/{id}", || patch(schedules::patch)),
    ("DELETE", "/schedules/{id}", || delete(schedules::delete)),
    ("POST", "/schedules/{id}/pause", || post(schedules::pause)),
    ("POST", "/schedules/{id}/resume", || post(schedules::resume)),
    ("POST", "/schedules/{id}/run", || post(schedules::run)),
    ("POST", "/uploads", || post(uploads::announce)),
    ("GET", "/uploads/{id}", || get(uploads::status)),
    ("PATCH", "/uploads/{id}", || patch(uploads::add_piece)),
    ("DELETE", "/uploads/{id}", || delete(uploads::remove)),
    ("GET", "/webhooks/deliveries", || get(webhooks::deliveries)),
    ("GET", "/webhooks/deliveries/{id}", || get(webhooks::delivery)),
    ("POST", "/webhooks/deliveries/{id}/redeliver", || post(webhooks::redeliver)),
    ("GET", "/webhooks/secret", || get(webhooks::secret)),
    ("POST", "/webhooks/secret/rotate", || post(webhooks::rotate)),
    ("GET", "/nodes", || get(read::nodes)),
    ("POST", "/nodes/{id}/drain", || post(act::drain)),
    ("GET", "/people", || get(access::people)),
    ("POST", "/people", || post(access::add_person)),
    ("PATCH", "/people/{name}", || patch(access::change_person)),
    ("POST", "/people/{name}/reset", || post(access::reset)),
    ("POST", "/password", || post(access::password)),
    ("GET", "/sessions", || get(access::sessions)),
    ("DELETE", "/sessions", || delete(access::end_sessions)),
    ("DELETE", "/sessions/{id}", || delete(access::end_session)),
    ("GET", "/tokens", || get(access::tokens)),
    ("POST", "/tokens", || post(access::create_token)),
    ("DELETE", "/tokens/{name}", || delete(access::revoke_token)),
    ("GET", "/audit", || get(access::audit_log)),
    ("GET", "/audit/export", || get(access::export_audit_log)),
];

/// Every route of the API, relative to `/api/v1`. All behind a caller: the router that nests this one sees to it.
/// Bounds on bodies are those of each handler; unknown addresses and methods answer problems.
pub fn router() -> Router<AppState> {
    let mut router = Router::new();
    for (_method, path, answer) in ROUTES {
        router = router.route(path, answer());
    }
    router
        .method_not_allowed_fallback(super::extract::wrong_method)
        .fallback(unknown_address)
        .layer(from_fn(validator::validate))
        .layer(DefaultBodyLimit::disable())
}
