//! A panel that loads, shows, or fails alone.
//!
//! Owns the frame around one resource. Called by pages for each thing they read. Invariant: a failure says so
//! here and leaves the rest of the page alive. Deliberately does not know what is shown.

use leptos::prelude::*;

use crate::app::frame::SignedIn;
use crate::app::live::{LiveRow, LiveRows};
use crate::protocol::ApiError;

/// Shows `resource` with `show`, or its error with a way to try again.
pub fn panel<T, S>(resource: Resource<Result<T, ApiError>>, show: S) -> AnyView
where
    T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
    S: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    // Read here and now, not awaited: a view that was awaited is put into the page a tick later, and where the
    // panel went away in that tick it would look at signals that went with it.
    // Who looks is read first, and shown only once both are known: what is inside is made exactly once, on the server
    // as in the browser, so that both count its resources alike.
    let signed_in = use_context::<SignedIn>();
    let shown = move || {
        let loaded = resource.get();
        let known = signed_in.is_none_or(|SignedIn(me)| me.get().is_some());
        loaded.filter(|_| known).map(|loaded| match loaded {
            Ok(value) => show(value),
            Err(error) => error_panel(&error, move || resource.refetch()),
        })
    };
    view! { <Transition fallback=|| view! { <p class="loading">"Loading…"</p> }>{shown}</Transition> }
        .into_any()
}

/// An error in words, with a button that tries again (with scripts) and the same as a link (without).
pub fn error_panel(error: &ApiError, retry: impl Fn() + 'static) -> AnyView {
    let (title, detail) = (error.code.title(), error.to_string());
    view! {
        <div class="panel panel-error" role="alert">
            <p><strong>{title}</strong>" — "{detail}</p>
            <button type="button" class="button" on:click=move |_| retry()>"Try again"</button>
        </div>
    }
    .into_any()
}

/// Says, in its panel, that rows are not live, with a way to try again; nothing while they are.
pub fn live_trouble<R: LiveRow>(rows: LiveRows<R>) -> impl IntoView {
    let refused = rows.refused;
    move || {
        refused.get().map(|code| {
            view! {
                <p class="panel panel-error live-trouble" role="alert">
                    <strong>"This part is not live"</strong>" — "{code.title()}". What you see is as of a moment ago. "
                    <button type="button" class="button-link" on:click=move |_| rows.retry()>"Try again"</button>
                </p>
            }
        })
    }
}

/// Nothing to show, said in a sentence.
pub fn empty_panel(sentence: &'static str) -> AnyView {
    view! { <p class="panel panel-empty">{sentence}</p> }.into_any()
}

/// What the last post was refused for.
pub fn flash(error: Option<ApiError>) -> impl IntoView {
    error.map(|error| {
        view! {
            <div class="flash" role="alert">
                <strong>{error.code.title()}</strong>" — "{error.to_string()}
            </div>
        }
    })
}
