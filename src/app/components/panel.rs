//! A panel that loads, shows, or fails alone.
//!
//! A failure says so here and leaves the rest of the page alive.

use leptos::prelude::*;

use crate::app::current_user::CurrentUser;
use crate::app::live::{LiveRow, LiveRows};
use crate::client::words;
use crate::protocol::ApiError;

/// Shows `resource` with `show`, or its error with a way to try again.
pub fn panel<T, S>(resource: Resource<Result<T, ApiError>>, show: S) -> AnyView
where
    T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
    S: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    panel_or(resource, show, move |error| error_panel(&error, move || resource.refetch()))
}

/// Shows `resource` with `show`, or its error with `refuse`.
pub fn panel_or<T, S, R>(resource: Resource<Result<T, ApiError>>, show: S, refuse: R) -> AnyView
where
    T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
    S: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
    R: Fn(ApiError) -> AnyView + Clone + Send + Sync + 'static,
{
    // Read here and now, not awaited: a view that was awaited is put into the page a tick later, and where the
    // panel went away in that tick it would look at signals that went with it.
    let current_user = use_context::<CurrentUser>();
    let waits = move || {
        // Read, not only tracked: a `Transition` waits for what is read below it.
        resource.with(|_| ());
        drop(current_user.map(CurrentUser::get));
    };
    let shown = move || {
        let loaded = resource.get();
        let known = current_user.is_none_or(|user| user.get().is_some());
        loaded.filter(|_| known).map(|loaded| {
            let content = match loaded {
                Ok(value) => show(value),
                Err(error) => refuse(error),
            };
            // In an element of its own: until a `Transition` first shows what is below it, that hangs in no document,
            // and a part that grows there looks for its parent.
            view! { <div class="loaded">{content}</div> }
        })
    };
    once_loaded(|| view! { <p class="loading">"Loading…"</p> }.into_any(), waits, shown)
}

/// Shows `shown` once all resources that `waits` reads are there, and `fallback` before.
///
/// What is waited for is read apart from what is shown: the server walks what is below a `Transition` two or three
/// times to find all it waits for. What is shown is made once, as in the browser, when all is there: made on each walk,
/// it would load what is inside anew each time, and the browser would be given the first of several answers and the
/// elements of the last.
pub fn once_loaded<V: IntoView + 'static>(
    fallback: impl Fn() -> AnyView + Send + 'static,
    waits: impl Fn() + Clone + Send + Sync + 'static,
    shown: impl Fn() -> V + Send + Sync + 'static,
) -> AnyView {
    let waits = move || {
        waits();
        // Nothing to see, but not `()`: that is one comment more on the server than in the browser.
        None::<&str>
    };
    view! { <Transition fallback=fallback>{waits} {Unsuspend::new(move || shown)}</Transition> }.into_any()
}

/// An error in words, with a button that tries again (with scripts) and the same as a link (without).
pub fn error_panel(error: &ApiError, retry: impl Fn() + 'static) -> AnyView {
    let (title, detail) = (error.code.title(), words::shown(&error.to_string()));
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
                <strong>{error.code.title()}</strong>" — "{words::shown(&error.to_string())}
            </div>
        }
    })
}
