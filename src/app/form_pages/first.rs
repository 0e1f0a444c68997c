//! The first sign-in: the page behind the one-time link from the terminal.
//!
//! Posts to its own address, which the server answers. Opening the page consumes nothing.

use leptos::prelude::*;

use crate::app::actions::load_first_link;
use crate::app::components::panel_or;
use crate::app::pages::refused_page;
use crate::app::pages::titled;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::ErrorCode;

/// The page.
#[component]
pub fn FirstPage() -> impl IntoView {
    let address = use_address();
    let code = move || address.with(|address| address.part(1));
    let link = Resource::new(code, load_first_link);
    let show = move |()| sign_in(&code());
    view! {
        <section class="page page-narrow">
            {panel_or(link, show, move |error| match error.code {
                ErrorCode::NotFound => used(),
                _ => refused_page(error, move || link.refetch()),
            })}
        </section>
    }
}

fn sign_in(code: &str) -> AnyView {
    titled(|| "First sign-in".into());
    let address = use_address();
    let refused = move || {
        address.with(|address| address.asked("error")).map(|code| {
            if code == ErrorCode::TooMany.as_str() {
                "Too many tries from this address. Wait a moment before the next one."
            } else {
                "That did not sign in. Try once more."
            }
        })
    };
    view! {
        <h1>"Welcome to Milepost"</h1>
        {move || refused().map(|words| view! { <p class="flash" role="alert">{words}</p> })}
        <p>"You opened the one-time link of this installation. Signing in uses it up."</p>
        <form class="card form" method="post" action=format!("/first/{}", words::path_segment(code))>
            <button class="button button-primary">"Sign in as admin"</button>
        </form>
    }
    .into_any()
}

/// A link that cannot sign in, and the ways on.
fn used() -> AnyView {
    titled(|| "First sign-in".into());
    view! {
        <h1>"This link does not sign in"</h1>
        <p class="flash" role="alert">"It has been used, or is not of this start. Where nobody has a password yet, the terminal shows a new one at the next start."</p>
        <p class="acts">
            <a class="button button-primary" href="/login">"Sign in with a password"</a>
            <a class="button" href="/">"Batches"</a>
        </p>
    }
    .into_any()
}
