//! The first sign-in: the page behind the one-time link from the terminal.
//!
//! Owns the button. Posts to its own address, which the server answers. Invariant: opening the page consumes
//! nothing. Deliberately does not know whether the code is good.

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::title::titled;

/// The page.
#[component]
pub fn FirstPage() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let action = move || format!("/first/{}", params.with(|params| params.get("code")).unwrap_or_default());
    let refused = move || query.with(|query| query.get("error").is_some());
    view! {
        {titled(|| "First sign-in".into())}
        <section class="page page-narrow">
            <h1>"Welcome to Milepost"</h1>
            <Show when=refused>
                <p class="flash" role="alert">"This link has been used or is too old. The terminal shows a new one at the next start."</p>
            </Show>
            <p>"You opened the one-time link of this installation. Signing in uses it up."</p>
            <form class="card form" method="post" action=action>
                <button class="button button-primary">"Sign in as admin"</button>
            </form>
        </section>
    }
}
