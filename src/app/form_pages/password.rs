//! A new password by a link that works once.
//!
//! Posts to its own address, which the server answers. Opening the page consumes nothing.

use leptos::prelude::*;

use crate::app::actions::load_password_link;
use crate::app::components::panel_or;
use crate::app::pages::titled;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{ApiError, ErrorCode};

/// The page.
#[component]
pub fn PasswordPage() -> impl IntoView {
    let address = use_address();
    let code = move || address.with(|address| address.part(1));
    let link = Resource::new(code, load_password_link);
    titled(|| "New password".into());
    view! {
        <section class="page page-narrow">{panel_or(link, move |name| form(&code(), &name), void)}</section>
    }
}

fn form(code: &str, name: &str) -> AnyView {
    let address = use_address();
    let refused = move || {
        address.with(|address| address.asked("error")).map(|code| match code {
            code if code == ErrorCode::Invalid.as_str() => {
                "That password is too short, one of the commonest, or much like your name. Take another."
            }
            code if code == ErrorCode::TooMany.as_str() => {
                "Too many tries. Wait a moment before the next one."
            }
            _ => "That did not set it. Try once more.",
        })
    };
    view! {
        <h1>"A password for " {words::shown(name)}</h1>
        {move || refused().map(|words| view! { <p class="flash" role="alert">{words}</p> })}
        <form class="card form" method="post" action=format!("/password/{}", words::path_segment(code))>
            <input type="hidden" name="username" autocomplete="username" value=name.to_owned() />
            <div class="field">
                <label for="password">"New password"</label>
                <input id="password" type="password" name="password" autocomplete="new-password" minlength="8" maxlength="256" required />
            </div>
            <p class="hint">"8 to 256 characters. Three or four words that have nothing to do with each other make a good one."</p>
            <button class="button button-primary">"Set it and sign in"</button>
        </form>
    }
    .into_any()
}

/// A link that sets no password, and the ways on.
fn void(error: ApiError) -> AnyView {
    view! {
        <h1>"This link sets no password"</h1>
        <p class="flash" role="alert">{words::shown(&error.to_string())} " Ask whoever gave it to you for a new one."</p>
        <p class="acts"><a class="button button-primary" href="/login">"Sign in"</a></p>
    }
    .into_any()
}
