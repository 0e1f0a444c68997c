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

use leptos::prelude::*;

use account::AccountPage;
use audit::AuditLogPage;
use course::CoursePage;
use first::FirstPage;
use login::LoginPage;
use password::PasswordPage;
use people::PeoplePage;
use schedules::SchedulesPage;
use webhooks::{DeliveryDetailPage, WebhooksPage};

/// The page at `path`; none where that is none of these.
pub fn page(path: &str) -> Option<AnyView> {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    Some(match parts[..] {
        ["batches", id, "course"] if !id.is_empty() => CoursePage().into_any(),
        ["schedules"] => SchedulesPage().into_any(),
        ["webhooks"] => WebhooksPage().into_any(),
        ["webhooks", id] if !id.is_empty() => DeliveryDetailPage().into_any(),
        ["account"] => AccountPage().into_any(),
        ["people"] => PeoplePage().into_any(),
        ["audit"] => AuditLogPage().into_any(),
        ["password", code] if !code.is_empty() => PasswordPage().into_any(),
        ["login"] => LoginPage().into_any(),
        ["first", code] if !code.is_empty() => FirstPage().into_any(),
        _ => return None,
    })
}
