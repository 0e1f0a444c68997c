//! Sign in.
//!
//! Posts to the server's `/login` as a plain form, which redirects to `next`. The password is in no signal and no
//! URL.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::app::pages::title::titled;

/// The page.
#[component]
pub fn LoginPage() -> impl IntoView {
    let query = use_query_map();
    let next = move || {
        query.with(|query| query.get("next")).filter(|next| next.starts_with('/')).unwrap_or("/".into())
    };
    let refused = move || query.with(|query| query.get("error").is_some());
    titled(|| "Sign in".into());
    view! {
        <section class="page page-narrow">
            <h1>"Sign in"</h1>
            <Show when=refused>
                <p class="flash" role="alert">"That name and password do not sign in. Wait a moment before the next try."</p>
            </Show>
            <form class="card form" method="post" action="/login">
                <input type="hidden" name="next" value=next />
                <div class="field">
                    <label for="name">"Name"</label>
                    <input id="name" name="name" autocomplete="username" required autofocus />
                </div>
                <div class="field">
                    <label for="password">"Password"</label>
                    <input id="password" type="password" name="password" autocomplete="current-password" required />
                </div>
                <button class="button button-primary">"Sign in"</button>
            </form>
            <p class="hint">"No account yet? Whoever runs this installation makes one with " <code>"milepost user add"</code> "."</p>
        </section>
    }
}
