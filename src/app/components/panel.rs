//! A panel that loads, shows, or fails alone.
//!
//! A failure says so here and leaves the rest of the page alive.

use std::time::Duration;

use leptos::prelude::*;

use crate::app::current_user::CurrentUser;
use crate::app::live::{LiveRow, LiveRows, use_live};
use crate::client::words::{self, ErrorWords, Undertaking, error_words};
use crate::protocol::{ApiError, ErrorCode};

/// A part that could not be loaded while there is contact is tried again after so long.
const HEAL_AFTER: Duration = Duration::from_secs(4);

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

/// An error in words, with a button that tries again; what may pass by itself is tried again by itself.
pub fn error_panel(error: &ApiError, retry: impl Fn() + Copy + 'static) -> AnyView {
    heal(error.code, retry);
    view! {
        <div class="panel panel-error" role="alert">
            <p>{sentences(error, Undertaking::Loading)}</p>
            <button type="button" class="button only-alive" on:click=move |_| retry()>"Try again"</button>
        </div>
    }
    .into_any()
}

/// What happened, what is safe and what to do.
fn sentences(error: &ApiError, undertaking: Undertaking) -> AnyView {
    let ErrorWords { title, happened, advice } = error_words(error, undertaking);
    let sign_in = (error.code == ErrorCode::NotSignedIn)
        .then(|| view! { " " <a href="/login" rel="external">"Sign in"</a> });
    view! { <strong>{title}</strong> " — " {happened} " " {advice} {sign_in} }.into_any()
}

/// Calls `retry` once, when what was refused with `code` may be there: as soon as contact is back, and after a while where it was
/// never lost. In the browser only; ends with the owner of the caller.
pub fn heal(code: ErrorCode, retry: impl Fn() + Copy + 'static) {
    if !words::may_pass(code) {
        return;
    }
    let away = use_live().away();
    Effect::new(move |before: Option<bool>| {
        let is_away = away.get().is_some();
        if before == Some(true) && !is_away {
            retry();
        }
        is_away
    });
    Effect::new(move |_| {
        let tried = set_timeout_with_handle(
            move || {
                if away.try_get_untracked().is_some_and(|away| away.is_none()) {
                    retry();
                }
            },
            HEAL_AFTER,
        );
        if let Ok(tried) = tried {
            on_cleanup(move || tried.clear());
        }
    });
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
            <div class="flash" role="alert">{sentences(&error, Undertaking::Acting)}</div>
        }
    })
}
