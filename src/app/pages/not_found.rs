//! Nothing is here.
//!
//! Owns the answer to unknown addresses. Called by the routes; leptos answers it with 404. Deliberately does not
//! say whether something was here.

use leptos::prelude::*;

use super::title::titled;

/// The page.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        {titled(|| "Not found".into())}
        <section class="page page-narrow">
            <h1>"Nothing is here"</h1>
            <p>"The address is wrong, or what was here is gone."</p>
            <p><a class="button" href="/">"Batches"</a></p>
        </section>
    }
}
