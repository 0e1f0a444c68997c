//! Results to take home, failed rows to mend and submit again, and the batches that this made.
//!
//! Links to downloads leave the router, so that the browser keeps the file.

use leptos::prelude::*;

use super::Scene;
use crate::client::words;
use crate::protocol::{BatchId, Me, PersonRole, RelatedBatch};

/// The shapes of results: query, title, and what is in it. A spreadsheet is told by a mark that a CSV is UTF-8.
const SHAPES: [(&str, &str, &str); 3] = [
    ("format=csv&bom=true", "As CSV", "the input columns as they came, then state, error and result"),
    ("format=ndjson", "As NDJSON", "one item a line, in order"),
    (
        "format=zip",
        "Files as zip",
        "all files that items left, in the folders they came from, with a manifest",
    ),
];
/// The failed rows, as they came, with what is wrong with each.
const FAILED: (&str, &str, &str) =
    ("format=csv&bom=true&only=failed", "Download failed rows", "as CSV, to be mended and submitted again");

/// Address of results.
fn address(batch: BatchId, query: &str) -> String {
    format!("/api/v1/batches/{batch}/results?{query}")
}

/// The menu in the head of a batch.
pub fn menu(scene: Scene) -> impl IntoView {
    let link = move |(query, title, _what): (&'static str, &'static str, &'static str)| {
        view! { <a class="button button-quiet" href=address(scene.id, query) rel="external" download="">{title}</a> }
    };
    view! {
        <details class="confirm menu" name="menu">
            <summary class="button">"Results"</summary>
            <div class="confirm-body">
                {SHAPES.map(link).into_iter().collect::<Vec<_>>()}
                {move || has_failed(scene).then(|| link(FAILED))}
                {move || has_failed(scene).then(|| mend(scene))}
            </div>
        </details>
    }
}

/// The same with what each of them is, for the tab.
pub fn downloads(scene: Scene) -> impl IntoView {
    let link = move |(query, title, what): (&'static str, &'static str, &'static str)| {
        view! {
            <li>
                <a class="button" href=address(scene.id, query) rel="external" download="">{title}</a>
                <span class="hint">{what}</span>
            </li>
        }
    };
    view! {
        <ul class="downloads">
            {SHAPES.map(link).into_iter().collect::<Vec<_>>()}
            {move || has_failed(scene).then(|| link(FAILED))}
            {move || has_failed(scene).then(|| mend(scene)).flatten().map(|mend| view! {
                <li>{mend} <span class="hint">"as a new batch that is linked to this one"</span></li>
            })}
        </ul>
    }
}

fn has_failed(scene: Scene) -> bool {
    scene.batch.with(|batch| batch.failed > 0)
}

/// The way to New batch with this one as the parent, for whoever may submit.
fn mend(scene: Scene) -> Option<AnyView> {
    let may = |me: &Option<Me>| me.as_ref().is_some_and(|me| me.role != PersonRole::Viewer);
    let task = scene.batch.with_untracked(|batch| words::path_segment(&batch.task));
    let href = format!("/new?task={task}&parent={}", scene.id);
    let link = || view! { <a class="button button-quiet" href=href>"Submit mended rows"</a> }.into_any();
    scene.me.with_value(may).then(link)
}

/// Which schedule made the batch, where it came from, and what came from it; nothing where none is so.
pub fn related(scene: Scene) -> Option<AnyView> {
    let related = scene.related.get_value();
    let parent = related.parent.map(|parent| view! { "from " {link(&parent)} }.into_any());
    let children: Vec<AnyView> = related
        .children
        .iter()
        .enumerate()
        .map(|(at, child)| view! { {if at == 0 { "mended in " } else { ", " }} {link(child)} }.into_any())
        .collect();
    let between = (parent.is_some() && !children.is_empty()).then_some(" · ");
    let schedule = scene.batch.with_untracked(|batch| batch.schedule);
    let more = (schedule.is_some() && (parent.is_some() || !children.is_empty())).then_some(" · ");
    let any = schedule.is_some() || parent.is_some() || !children.is_empty();
    let schedule = schedule.map(|schedule| {
        view! { "by a " <a href=format!("/schedules?id={schedule}") rel="external">"schedule"</a> }.into_any()
    });
    any.then(|| {
        view! { <p class="hint batch-related">{schedule} {more} {parent} {between} {children}</p> }.into_any()
    })
}

fn link(batch: &RelatedBatch) -> AnyView {
    let title = words::name(&batch.name);
    view! { <a href=format!("/batches/{}", batch.id) title=title>{format!("#{}", batch.number)}</a> }
        .into_any()
}
