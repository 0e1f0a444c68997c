//! One item: when it waited, what each attempt did, and what came of it.
//!
//! Reads the item once, then live. Files are shown by the browser only as images from the sandboxed address, never as
//! pages.

use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::batch::file_address;
use super::item_log::item_log;
use super::item_ways::ways;
use super::not_found::refused_page;
use super::title::{refreshes, titled};
use crate::app::actions::{RetryItems, load_batch, load_item};
use crate::app::components::{When, flash, item_badge, long_text, panel_or};
use crate::app::current_user::{me, offers};
use crate::app::live::use_item;
use crate::client::words;
use crate::protocol::{
    ApiError, AttemptRow, Batch, BatchAct, BatchId, FileRow, ItemDetail, ItemLive, ItemState, Seq, Timestamp,
};

/// The page.
#[component]
pub fn ItemPage() -> impl IntoView {
    let params = use_params_map();
    let which = Memo::new(move |_| {
        let part = |key: &str| params.with(|params| params.get(key)).unwrap_or_default();
        (part("id"), part("seq"))
    });
    let item = Resource::new(
        move || which.get(),
        |(id, seq)| async move {
            let batch = load_batch(id).await?;
            let item = load_item(batch.id, seq).await?;
            Ok::<_, ApiError>((batch, item))
        },
    );
    let retry = ServerAction::<RetryItems>::new();
    view! {
        <section class="page">
            {move || flash(retry.value().get().and_then(Result::err))}
            {panel_or(
                item,
                move |(batch, item)| {
                    let offered = offers(me().as_ref(), &batch, BatchAct::Retry);
                    show(&batch, item, offered, retry)
                },
                move |error| refused_page(error, move || item.refetch()),
            )}
        </section>
    }
}

fn show(batch: &Batch, initial: ItemDetail, offered: bool, retry: ServerAction<RetryItems>) -> AnyView {
    let (id, seq) = (batch.id, initial.row.seq);
    let ended =
        |state: ItemState| matches!(state, ItemState::Succeeded | ItemState::Failed | ItemState::Cancelled);
    let running = !ended(initial.row.state);
    let item = use_item(id, initial).row;
    let state = Memo::new(move |_| item.with(|item| item.row.state));
    let input = item.with_untracked(|item| item.row.input.display_text());
    let files = Memo::new(move |_| item.with(|item| item.row.files.clone()));
    let history = Memo::new(move |_| item.with(|item| item.history.clone()));
    let created = batch.created_at;
    let again = move || {
        let label = if state.get() == ItemState::Failed { "Retry" } else { "Run again" };
        (offered && matches!(state.get(), ItemState::Failed | ItemState::Cancelled)).then(|| {
            view! {
                <ActionForm action=retry>
                    <input type="hidden" name="batch" value=id.to_string() />
                    <input type="hidden" name="seq" value=seq.to_string() />
                    {(state.get() == ItemState::Cancelled).then(|| view! { <input type="hidden" name="state" value="cancelled" /> })}
                    <button class="button">{label}</button>
                </ActionForm>
            }
        })
    };
    titled(move || format!("#{} {}", words::thousands(seq), state.get().as_str()));
    view! {
        {refreshes(running)}
        {ways(batch, seq)}
        <header class="head">
            <div>
                <h1>{format!("Item #{}", words::thousands(seq))}</h1>
                <p class="hint">{move || item_badge(state.get())} " " {move || item.with(progress)}</p>
            </div>
            <div class="acts">{again}</div>
        </header>
        <div class="item-parts">
            <section><h2>"Timeline"</h2>{move || timeline(created, &history.get(), state.get())}</section>
            <section><h2>"Input"</h2><pre class="text" tabindex="0">{long_text(&input)}</pre></section>
            {move || item.with(|item| item.row.error.clone()).map(|error| view! {
                <section><h2>"Error"</h2><pre class="text text-error" tabindex="0">{long_text(&error)}</pre></section>
            })}
            {move || item.with(|item| item.row.result.clone()).map(|result| view! {
                <section><h2>"Result"</h2><pre class="text" tabindex="0">{long_text(&result.display_text())}</pre></section>
            })}
            {move || (!files.get().is_empty()).then(|| view! {
                <section><h2>"Files"</h2><ul class="files">{file_rows(id, seq, &files.get())}</ul></section>
            })}
            <section>{item_log(item, running)}</section>
        </div>
    }
    .into_any()
}

fn progress(item: &ItemLive) -> String {
    let row = &item.row;
    let mut words = Vec::new();
    if row.attempts > 0 {
        words.push(words::counted(u64::from(row.attempts), "attempt"));
    }
    if let Some(progress) = row.progress.as_ref().filter(|_| row.state == ItemState::Running) {
        words.push(format!("{:.0} %", (progress.fraction * 100.0).floor()));
        words.extend(progress.note.as_deref().map(words::shown));
    }
    words.extend(row.ms.map(|ms| format!("last took {}", words::duration(ms))));
    words.join(" · ")
}

/// Waits and attempts in turn.
fn timeline(created: Timestamp, history: &[AttemptRow], state: ItemState) -> AnyView {
    let mut free_since = Some(created);
    let mut rows = Vec::new();
    for attempt in history {
        if let (Some(since), Some(started)) = (free_since, attempt.started_at) {
            let waited = format!("waited {}", words::duration(started.ms_since(since)));
            rows.push(view! { <li class="step step-wait">{waited}</li> }.into_any());
        }
        free_since = attempt.ended_at;
        rows.push(step(attempt));
    }
    let now = match state {
        ItemState::Pending => Some("waits for a slot"),
        ItemState::Running => Some("runs now"),
        ItemState::Retrying => Some("waits for another attempt"),
        ItemState::Succeeded | ItemState::Failed | ItemState::Cancelled => None,
    };
    if history.is_empty() && now.is_none() {
        return view! { <p class="hint">"It was quick and had nothing to say: no attempt was kept."</p> }
            .into_any();
    }
    let now = now.map(|words| view! { <li class="step step-now">{words}</li> });
    view! { <ol class="timeline">{rows} {now}</ol> }.into_any()
}

fn step(attempt: &AttemptRow) -> AnyView {
    let took = match (attempt.started_at, attempt.ended_at) {
        (Some(started), Some(ended)) => format!(" in {}", words::duration(ended.ms_since(started))),
        _ => String::new(),
    };
    let node =
        attempt.node.as_ref().map(|node| format!(" on node {}", words::shown(&node.0))).unwrap_or_default();
    let run = if attempt.generation > 1 { format!(" (run {})", attempt.generation) } else { String::new() };
    let words =
        format!("attempt {}{run} {}{took}{node}", attempt.attempt, words::attempt_outcome(attempt.outcome));
    view! {
        <li class=format!("step step-{}", attempt.outcome.as_str())>
            <span>{words}</span>
            {attempt.ended_at.map(|at| view! { " · " <When at=at /> })}
            {attempt.error.as_deref().map(|error| view! { <p class="hint">{words::shown(error)}</p> })}
        </li>
    }
    .into_any()
}

fn file_rows(id: BatchId, seq: Seq, files: &[FileRow]) -> Vec<AnyView> {
    let row = |file: &FileRow| {
        let href = file_address(id, seq, &file.name);
        let image =
            ["image/png", "image/jpeg", "image/webp", "image/gif"].contains(&file.media_type.as_str());
        let preview = image
            .then(|| view! { <img class="preview" loading="lazy" src=href.clone() alt=format!("Preview of {}", file.name) /> });
        view! {
            <li>
                <a href=href rel="external" download="">{words::name(&file.name)}</a> " "
                <span class="hint">{format!("{} · {}", words::bytes(file.bytes), words::shown(&file.media_type))}</span>
                {preview}
            </li>
        }
        .into_any()
    };
    files.iter().map(row).collect()
}
