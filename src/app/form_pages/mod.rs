//! Pages that are only forms and lists: the ways in, accounts, people, the log, schedules, webhooks; and the course of a batch, which
//! nothing moves but its own script.
//!
//! They come as the server's HTML with `forms.js`, and the program knows nothing of them. `no_form_pages.rs` stands in their place
//! in the browser.

mod account;
mod audit;
mod course;
mod course_moments;
mod first;
mod login;
mod password;
mod people;
mod schedules;
mod webhooks;

use leptos_router::SsrMode::Async;
use leptos_router::any_nested_route::{AnyNestedRoute, IntoAnyNestedRoute as _};
use leptos_router::{NestedRoute, path};

use account::AccountPage;
use audit::AuditLogPage;
use course::CoursePage;
use first::FirstPage;
use login::LoginPage;
use password::PasswordPage;
use people::PeoplePage;
use schedules::SchedulesPage;
use webhooks::{DeliveryDetailPage, WebhooksPage};

/// Their addresses.
pub fn routes() -> AnyNestedRoute {
    let pages = (
        NestedRoute::new(path!("/batches/:id/course"), CoursePage).ssr_mode(Async),
        NestedRoute::new(path!("/schedules"), SchedulesPage).ssr_mode(Async),
        NestedRoute::new(path!("/webhooks"), WebhooksPage).ssr_mode(Async),
        NestedRoute::new(path!("/webhooks/:id"), DeliveryDetailPage).ssr_mode(Async),
        NestedRoute::new(path!("/account"), AccountPage).ssr_mode(Async),
        NestedRoute::new(path!("/people"), PeoplePage).ssr_mode(Async),
        NestedRoute::new(path!("/audit"), AuditLogPage).ssr_mode(Async),
        NestedRoute::new(path!("/password/:code"), PasswordPage).ssr_mode(Async),
        NestedRoute::new(path!("/login"), LoginPage).ssr_mode(Async),
        NestedRoute::new(path!("/first/:code"), FirstPage).ssr_mode(Async),
    );
    pages.into_any_nested_route()
}
