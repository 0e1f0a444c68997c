//! One item: when it waited, what each attempt did, and what came of it.
//!
//! Reads the item once, then live. What is long or nested is made by `markup`; files are shown by the browser as pictures
//! or plain text only, from addresses that are sandboxed, never as pages.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::item_log::item_log;
use super::item_ways::ways;
use super::not_found::refused_page;
use super::title::{refreshes, titled};
use crate::app::actions::{RetryItems, load_batch, load_item};
use crate::app::clock;
use crate::app::components::{flash, item_badge, panel_or};
use crate::app::current_user::{me, offers};
use crate::app::live::use_item;
use crate::app::markup::{FilesOf, as_text, course, input_file, is_picture, value};
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchAct, BatchId, FileRow, ItemDetail, ItemLive, ItemState};

/// The page.
#[component]
pub fn ItemPage() -> impl IntoView {
    let address = use_address();
    let which = Memo::new(move |_| address.with(|address| (address.part(1), address.part(3))));
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
    let running = !initial.row.state.has_ended();
    let item = use_item(id, initial).row;
    let state = Memo::new(move |_| item.with(|item| item.row.state));
    let input = item.with_untracked(|item| item.row.input.clone());
    let file = input_file(&input);
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
    let clock = clock::use_clock();
    let timeline = move || {
        // The clock outlives the page.
        let now = clock.try_get().flatten();
        item.with(|item| course(created, item, now))
    };
    // Beside what came of a picture, once something has.
    let before = file.clone().filter(is_picture);
    let input = match file {
        Some(file) => FilesOf::Input.list(id, seq, &[file], None),
        None => value(&input),
    };
    let ended = Memo::new(move |_| item.with(|item| came_of(id, item, before.as_ref())));
    view! {
        {refreshes(running)}
        {ways(batch, seq)}
        <header class="head">
            <div>
                <h1>{format!("Item #{}", words::thousands(seq))}</h1>
                <p class="hint">{move || item_badge(state.get())} " " {move || item.with(progress)}</p>
                <div class="progress-place" inner_html=move || item.with(bar)></div>
            </div>
            <div class="acts">{again}</div>
        </header>
        <div class="item-parts">
            <section><h2>"Timeline"</h2><div inner_html=timeline></div></section>
            <section><h2>"Input"</h2><div inner_html=input></div></section>
            <div class="item-parts" inner_html=move || ended.get()></div>
            <section>{item_log(item, running)}</section>
        </div>
    }
    .into_any()
}

/// How far the attempt that runs is, as a bar.
fn bar(item: &ItemLive) -> String {
    let progress = item.row.progress.as_ref().filter(|_| item.row.state == ItemState::Running);
    progress.map_or_else(String::new, |progress| {
        let thousandths = progress.fraction * 1_000.0;
        format!(r#"<progress max="1000" value="{thousandths:.0}" aria-label="Progress of the attempt"></progress>"#)
    })
}

/// What came of the item: each part under its heading.
fn came_of(id: BatchId, item: &ItemLive, before: Option<&FileRow>) -> String {
    let row = &item.row;
    let error = row.error.as_deref().map(|error| as_text(error, "text text-error"));
    let result = row.result.as_ref().map(value);
    let files = (!row.files.is_empty()).then(|| FilesOf::Output.list(id, row.seq, &row.files, before));
    let mut out = String::new();
    for (heading, part) in [("Error", error), ("Result", result), ("Files", files)] {
        if let Some(part) = part {
            out.extend(["<section><h2>", heading, "</h2>", &part, "</section>"]);
        }
    }
    out
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
