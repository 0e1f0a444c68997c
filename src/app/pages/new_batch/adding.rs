//! The rest of an upload that stopped: into the batch that waits for it, instead of a new one.
//!
//! What came is told by the batch; the files that are chosen again are compared with it by name and size, and left out.

use leptos::html::Form;
use leptos::prelude::*;

use super::{Over, phase_words, sources};
use crate::app::router::use_router;
use crate::app::upload::{self, UploadContent, UploadPhase, use_upload};
use crate::client::words;
use crate::protocol::{Batch, FolderList, InputKind};

/// The page, where the address names a batch.
pub fn adding(batch: Batch) -> AnyView {
    let name = format!("#{} {}", batch.number, words::name(&batch.name));
    let back = view! { <a href=format!("/batches/{}", batch.id)>{name}</a> };
    if batch.sealed {
        return view! { <p class="empty">"No more items can be added to " {back} ". Submit the rest as a batch of its own."</p> }.into_any();
    }
    let came = words::came(&batch).unwrap_or_else(|| format!("{} came", words::counted(batch.total, "item")));
    let held = use_upload();
    let form = NodeRef::<Form>::new();
    let router = use_router();
    let id = batch.id.to_string();
    Effect::new(move |_| held.into.set(Some(id.clone())));
    on_cleanup(move || held.into.set(None));
    let submit = move |event: leptos::ev::SubmitEvent| {
        let Some(form) = form.get_untracked() else { return };
        event.prevent_default();
        if held.is_busy() {
            return;
        }
        if held.entries.with_untracked(Vec::is_empty) {
            held.phase.set(UploadPhase::Refused("Choose or drop at least one file.".into()));
            return;
        }
        upload::send(held, form, UploadContent::Queue, move |batch| {
            router.go(&format!("/batches/{batch}"));
        });
    };
    view! {
        <p class="adding">
            {back} ": " {came}
            ". Choose the same files or folder again: those that came are known by name and size, and nothing comes twice."
        </p>
        <noscript><p class="flash">"Without scripts, files cannot be added to a batch: submit the rest as a batch of its own."</p></noscript>
        <form class="new-batch only-alive" node_ref=form on:submit=submit>
            {sources::sources(InputKind::File, Over { items: RwSignal::new(None), idle: RwSignal::new(None) }, FolderList::default())}
            <div class="submit-row">
                <button class="button button-primary button-large" disabled=move || held.is_busy()>"Add the rest"</button>
                <span role="status">{move || phase_words(&held.phase.get(), held.done.get(), held.entries.with(Vec::len), held.sent_bytes.get())}</span>
            </div>
        </form>
    }
    .into_any()
}
