//! The share links of a batch, for whoever may make them: on its settings.
//!
//! A link is shown once, when it is made.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::{RevokeShare, ShareBatch, load_share_links};
use crate::app::components::{When, flash, panel};
use crate::client::words;
use crate::protocol::{BatchId, ShareLink, ShareLinkPage};

/// The section.
pub fn share_panel(batch: BatchId) -> AnyView {
    let (share, revoke) = (ServerAction::<ShareBatch>::new(), ServerAction::<RevokeShare>::new());
    let done = move || (share.version().get(), revoke.version().get());
    let links = Resource::new(done, move |_done| load_share_links(batch));
    let made = move || share.value().get().and_then(Result::ok);
    view! {
        <section id="share">
            <h2>"Share"</h2>
            {move || flash(share.value().get().and_then(Result::err))}
            {move || flash(revoke.value().get().and_then(Result::err))}
            <p class="hint">"Whoever has a link sees this batch, live and read-only, without signing in."</p>
            <ActionForm action=share>
                <input type="hidden" name="batch" value=batch.to_string() />
                <div class="fields">
                    <div class="field">
                        <label for="share-days">"Days until it ends"</label>
                        <input id="share-days" type="number" name="days" min="1" max="365" value="7" />
                    </div>
                    <div class="field field-check">
                        <label><input type="checkbox" name="payloads" value="on" /> " Show inputs, results, errors and files as well"</label>
                    </div>
                </div>
                <button class="button">"Make a link"</button>
            </ActionForm>
            {move || made().map(|path| shown_once(&path))}
            {panel(links, move |(page, once)| list(batch, page, once, revoke))}
        </section>
    }
    .into_any()
}

/// The whole address, where the browser knows it; its path elsewhere.
fn whole(path: &str) -> String {
    let origin = if cfg!(target_arch = "wasm32") { window().location().origin().ok() } else { None };
    format!("{}{path}", origin.unwrap_or_default())
}

fn shown_once(path: &str) -> AnyView {
    let (href, text) = (path.to_owned(), whole(path));
    view! {
        <p class="panel secret" role="status">
            "This link is shown this once: "
            <a class="secret-text" rel="external" target="_blank" href=href>{text}</a>
        </p>
    }
    .into_any()
}

fn list(
    batch: BatchId,
    page: ShareLinkPage,
    once: Option<String>,
    revoke: ServerAction<RevokeShare>,
) -> AnyView {
    let none = page.share_links.is_empty();
    let rows: Vec<_> = page.share_links.into_iter().map(|link| row(batch, link, revoke)).collect();
    // What was posted without scripts: the same markup in the browser, where there is none.
    let once = once.map(|path| {
        let href = path.clone();
        view! {
            <p class="panel secret" role="status">
                "This link is shown this once: " <a class="secret-text" rel="external" href=href>{path}</a>
            </p>
        }
    });
    view! {
        {once}
        {none.then(|| view! { <p class="hint">"Nothing is shared."</p> })}
        <ul class="shares">{rows}</ul>
    }
    .into_any()
}

fn row(batch: BatchId, link: ShareLink, revoke: ServerAction<RevokeShare>) -> impl IntoView {
    let shows = if link.payloads { "everything in it" } else { "progress only" };
    let used = match link.used_at {
        Some(at) => view! { "last used " <When at=at /> }.into_any(),
        None => view! { "never used" }.into_any(),
    };
    view! {
        <li class="share">
            <span>
                {shows} " · by " {words::shown(&link.made_by)} " · ends " <When at=link.expires_at /> " · " {used}
            </span>
            <ActionForm action=revoke>
                <input type="hidden" name="batch" value=batch.to_string() />
                <input type="hidden" name="link" value=link.id />
                <button class="button button-quiet">"Revoke"</button>
            </ActionForm>
        </li>
    }
}
