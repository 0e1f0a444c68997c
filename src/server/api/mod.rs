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
use crate::service::Action;

/// One address: method, path below `/api/v1`, what it takes, and what answers it.
type Route = (&'static str, &'static str, Action, fn() -> MethodRouter<AppState>);

/// Every address of the API.
pub(super) const ROUTES: &[Route] = &[
    ("GET", "/tasks", Action::SeeTasks, || get(read::tasks)),
    ("GET", "/batches", Action::SeeBatches, || get(read::batches)),
    ("POST", "/batches", Action::Submit, || post(submit::create)),
    ("GET", "/batches/{id}", Action::SeeBatch, || get(read::batch)),
    ("PATCH", "/batches/{id}", Action::ActOnBatch, || patch(act::patch)),
    ("DELETE", "/batches/{id}", Action::ActOnBatch, || delete(act::delete)),
    ("POST", "/batches/{id}/pause", Action::ActOnBatch, || post(act::pause)),
    ("POST", "/batches/{id}/resume", Action::ActOnBatch, || post(act::resume)),
    ("POST", "/batches/{id}/cancel", Action::ActOnBatch, || post(act::cancel)),
    ("POST", "/batches/{id}/retry", Action::ActOnBatch, || post(act::retry)),
    ("POST", "/batches/{id}/seal", Action::AddToBatch, || post(act::seal)),
    ("GET", "/batches/{id}/items", Action::SeeBatch, || get(read::items)),
    ("POST", "/batches/{id}/items", Action::AddToBatch, || post(submit::append)),
    ("GET", "/batches/{id}/items/{seq}", Action::SeeBatch, || get(read::item)),
    ("GET", "/batches/{id}/items/{seq}/log", Action::SeeBatch, || get(read::log)),
    ("GET", "/batches/{id}/items/{seq}/files/{*name}", Action::SeeBatch, || get(results::file)),
    ("GET", "/batches/{id}/families", Action::SeeBatch, || get(read::families)),
    ("GET", "/batches/{id}/results", Action::SeeBatch, || get(results::results)),
    ("GET", "/batches/{id}/shares", Action::ShareBatch, || get(access::shares)),
    ("POST", "/batches/{id}/shares", Action::ShareBatch, || post(access::create_share)),
    ("DELETE", "/batches/{id}/shares/{share}", Action::ShareBatch, || delete(access::revoke_share)),
    ("GET", "/acts", Action::ActOnMany, || get(act::bulk_acts)),
    ("POST", "/acts", Action::ActOnMany, || post(act::begin_bulk_act)),
    ("GET", "/acts/{id}", Action::ActOnMany, || get(act::bulk_act)),
    ("POST", "/acts/{id}/abort", Action::ActOnMany, || post(act::abort_bulk_act)),
    ("GET", "/folders", Action::Submit, || get(folders::list)),
    ("GET", "/folders/{name}", Action::Submit, || get(folders::files)),
    ("GET", "/schedules", Action::SeeSchedules, || get(schedules::list)),
    ("POST", "/schedules", Action::SaveSchedule, || post(schedules::create)),
    ("POST", "/schedules/preview", Action::SeeSchedules, || post(schedules::preview)),
    ("GET", "/schedules/{id}", Action::SeeSchedule, || get(schedules::one)),
    ("PATCH", "/schedules/{id}", Action::ActOnSchedule, || patch(schedules::patch)),
    ("DELETE", "/schedules/{id}", Action::ActOnSchedule, || delete(schedules::delete)),
    ("POST", "/schedules/{id}/pause", Action::ActOnSchedule, || post(schedules::pause)),
    ("POST", "/schedules/{id}/resume", Action::ActOnSchedule, || post(schedules::resume)),
    ("POST", "/schedules/{id}/run", Action::ActOnSchedule, || post(schedules::run)),
    ("POST", "/uploads", Action::Submit, || post(uploads::announce)),
    ("GET", "/uploads/{id}", Action::ActOnUpload, || get(uploads::status)),
    ("PATCH", "/uploads/{id}", Action::ActOnUpload, || patch(uploads::add_piece)),
    ("DELETE", "/uploads/{id}", Action::ActOnUpload, || delete(uploads::remove)),
    ("GET", "/webhooks/deliveries", Action::UseWebhooks, || get(webhooks::deliveries)),
    ("GET", "/webhooks/deliveries/{id}", Action::UseWebhooks, || get(webhooks::delivery)),
    ("POST", "/webhooks/deliveries/{id}/redeliver", Action::UseWebhooks, || post(webhooks::redeliver)),
    ("GET", "/webhooks/secret", Action::UseWebhooks, || get(webhooks::secret)),
    ("POST", "/webhooks/secret/rotate", Action::UseWebhooks, || post(webhooks::rotate)),
    ("GET", "/nodes", Action::SeeNodes, || get(read::nodes)),
    ("POST", "/nodes/{id}/drain", Action::DrainNode, || post(act::drain)),
    ("GET", "/people", Action::ManagePeople, || get(access::people)),
    ("POST", "/people", Action::ManagePeople, || post(access::add_person)),
    ("PATCH", "/people/{name}", Action::ManagePeople, || patch(access::change_person)),
    ("POST", "/people/{name}/reset", Action::ManagePeople, || post(access::reset)),
    ("POST", "/password", Action::ManageOwnAccess, || post(access::password)),
    ("GET", "/sessions", Action::ManageOwnAccess, || get(access::sessions)),
    ("DELETE", "/sessions", Action::ManageOwnAccess, || delete(access::end_sessions)),
    ("DELETE", "/sessions/{id}", Action::ManageOwnAccess, || delete(access::end_session)),
    ("GET", "/tokens", Action::ManageOwnAccess, || get(access::tokens)),
    ("POST", "/tokens", Action::ManageOwnAccess, || post(access::create_token)),
    ("DELETE", "/tokens/{name}", Action::ManageOwnAccess, || delete(access::revoke_token)),
    ("GET", "/audit", Action::SeeAuditLog, || get(access::audit_log)),
    ("GET", "/audit/export", Action::SeeAuditLog, || get(access::export_audit_log)),
];

/// Every route of the API, relative to `/api/v1`. All behind a caller: the router that nests this one sees to it.
/// Bounds on bodies are those of each handler; unknown addresses and methods answer problems.
pub fn router() -> Router<AppState> {
    let mut router = Router::new();
    for (_method, path, _action, answer) in ROUTES {
        router = router.route(path, answer());
    }
    router
        .method_not_allowed_fallback(super::extract::wrong_method)
        .fallback(unknown_address)
        .layer(from_fn(validator::validate))
        .layer(DefaultBodyLimit::disable())
}
