//! Nothing is here, or it cannot be shown.
//!
//! It has a title, a heading and a way on.

use leptos::prelude::*;

use super::title::titled;
use crate::client::words;
use crate::protocol::{ApiError, ErrorCode};

/// The page of an address that there is not.
#[component]
pub fn NotFoundPage() -> impl IntoView {
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
pub fn refused_page(error: ApiError, retry: impl Fn() + Send + Sync + 'static) -> AnyView {
    let missing = error.code == ErrorCode::NotFound;
    let (title, heading) =
        if missing { ("Not found", "Nothing is here") } else { (error.code.title(), error.code.title()) };
    titled(move || title.into());
    // What is not there does not come by asking again.
    let again = (!missing).then(|| {
        view! { <button type="button" class="button only-alive" on:click=move |_| retry()>"Try again"</button> }
    });
    view! {
        <h1>{heading}</h1>
        <p role="alert">{words::shown(&error.to_string())}</p>
        <p class="acts">{again} <a class="button" href="/">"Batches"</a></p>
    }
    .into_any()
}
