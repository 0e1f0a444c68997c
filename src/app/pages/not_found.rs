//! Nothing is here, or it cannot be shown.
//!
//! It has a title, a heading and a way on.

use std::time::Duration;

use leptos::prelude::*;

use super::title::titled;
use crate::app::components::heal;
use crate::app::router::use_address;
use crate::client::words::{ErrorWords, Undertaking, error_words};
use crate::protocol::{ApiError, ErrorCode};

/// The page of an address that there is not. In the browser: of one whose page the program does not know, which is read from the
/// server ([`has_program`](crate::app::address::has_program)).
#[component]
pub fn NotFoundPage() -> impl IntoView {
    let here = use_address();
    // Effects run in the browser alone. The server's page is not asked for again and again: it comes without the program.
    Effect::new(move |_| {
        let address = here.with_untracked(|address| format!("{}{}", address.path, address.query));
        // Once the address is in the history: what comes then takes its place.
        set_timeout(move || drop(window().location().replace(&address)), Duration::ZERO);
    });
    titled(|| "Not found".into());
    view! {
        <section class="page page-narrow">
            <h1>"Nothing is here"</h1>
            <p>"The address is wrong, or what was here is gone."</p>
            <p><a class="button" href="/">"Batches"</a></p>
        </section>
    }
}

/// What stands in place of a page whose one thing cannot be had.
pub fn refused_page(error: ApiError, retry: impl Fn() + Copy + Send + Sync + 'static) -> AnyView {
    let missing = error.code == ErrorCode::NotFound;
    let ErrorWords { title, happened, advice } = error_words(&error, Undertaking::Loading);
    let heading = if missing { "Nothing is here" } else { title };
    heal(error.code, retry);
    titled(move || title.into());
    // What is not there does not come by asking again.
    let again = (!missing).then(|| {
        view! { <button type="button" class="button only-alive" on:click=move |_| retry()>"Try again"</button> }
    });
    view! {
        <h1>{heading}</h1>
        <p role="alert">{happened} " " {advice}</p>
        <p class="acts">{again} <a class="button" href="/">"Batches"</a></p>
    }
    .into_any()
}
