//! Sign in.
//!
//! Posts to the server's `/login` as a plain form, which redirects to `next`; a link leads to the provider, where there is
//! one. The password is in no signal and no URL.

use leptos::prelude::*;

use crate::app::actions::load_sign_in_provider;
use crate::app::components::panel_or;
use crate::app::pages::titled;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::SignInRefusal;

/// Why nobody was signed in, by the word in the address.
fn refusal_words(code: &str) -> &'static str {
    SignInRefusal::parse(code).map_or(
        "That name and password do not sign in. Wait a moment before the next try.",
        SignInRefusal::words,
    )
}

/// The page.
#[component]
pub fn LoginPage() -> impl IntoView {
    let address = use_address();
    let next = move || {
        address
            .with(|address| address.asked("next"))
            .filter(|next| next.starts_with('/'))
            .unwrap_or("/".into())
    };
    let refused = move || address.with(|address| address.asked("error")).map(|code| refusal_words(&code));
    let provider = Resource::new(|| (), |()| load_sign_in_provider());
    titled(|| "Sign in".into());
    view! {
        <section class="page page-narrow">
            <h1>"Sign in"</h1>
            {move || refused().map(|words| view! { <p class="flash" role="alert">{words}</p> })}
            {panel_or(
                provider,
                move |title| title.map(|title| to_provider(&title, &next())).into_any(),
                |_unknown| ().into_any(),
            )}
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

/// Leads to the provider: a link, since the policy of pages lets forms post to this installation only.
fn to_provider(title: &str, next: &str) -> impl IntoView + use<> {
    let address = format!("/login/openid?next={}", words::path_segment(next));
    let label = format!("Sign in with {}", words::shown(title));
    view! {
        <p class="acts">
            <a class="button button-primary" href=address rel="external">{label}</a>
        </p>
    }
}
