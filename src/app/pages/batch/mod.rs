//! One batch: how far, how fast, when done, what failed and why.
//!
//! ```text
//! head      name, acts, bar, numbers, outlook      families  failures by cause, with retry
//! items     every item, windowed or filtered, and what was chosen of them
//! settings  parameters, options, name, concurrency files     results and what items left
//! away      what happened while nobody looked      pace      how many slots at once, live
//! answer    what an act has done, with undo
//! rest      what of an upload has not come
//! results   downloads, failed rows to mend, and the batches that came of it
//! share_links  links that show the batch to whoever has them
//! ```
//!
//! The batch is read once and live from then on; each panel fails alone.

mod answer;
mod away;
mod families;
mod files;
mod head;
mod items;
mod pace;
mod rest;
mod results;
mod settings;
mod share_links;

use std::collections::HashMap;

use leptos::prelude::*;

use super::not_found::refused_page;
use super::title::{progress_icon, refreshes, titled};
use crate::app::actions::{
    ActOn, PatchBatch, RetryItems, SaveSchedule, load_acts, load_batch, load_pulse, load_related, load_strip,
};
use crate::app::components::{chart_of, flash, panel_or, strip_of};
use crate::app::current_user::me;
use crate::app::live::use_batch;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchActEntry, BatchId, FamilyId, Me, RelatedBatches};

/// What the page's parts share: the live batch, who looks at it, and what may be asked.
#[derive(Clone, Copy)]
pub struct Scene {
    /// Which batch.
    pub id: BatchId,
    /// The batch, live.
    pub batch: Signal<Batch>,
    /// Where it came from, and what came from it.
    pub related: StoredValue<RelatedBatches>,
    /// Who is signed in.
    pub me: StoredValue<Option<Me>>,
    /// Pause, resume, cancel, delete.
    pub act: ServerAction<ActOn>,
    /// Retry.
    pub retry: ServerAction<RetryItems>,
    /// Failures of each family, while a panel shows them.
    pub families: RwSignal<HashMap<FamilyId, u64>>,
    /// Name, concurrency, priority.
    pub patch: ServerAction<PatchBatch>,
    /// Makes a schedule of it.
    pub save: ServerAction<SaveSchedule>,
    /// What was done to it, oldest first; read again when it may be more.
    pub done: Resource<Result<Vec<BatchActEntry>, ApiError>>,
}

/// The tabs: what the URL says, and the title.
pub const TABS: [(&str, &str); 5] = [
    ("items", "Items"),
    ("failures", "Failures"),
    ("files", "Files"),
    ("settings", "Settings"),
    (COURSE_TAB, "Course"),
];

/// The tab that is a page of its own, which the program knows nothing of.
pub const COURSE_TAB: &str = "course";

/// The address of a tab of a batch.
pub fn tab_address(id: BatchId, name: &str) -> String {
    let between = if name == COURSE_TAB { "/" } else { "?tab=" };
    format!("/batches/{id}{between}{name}")
}

/// The page.
#[component]
pub fn BatchPage() -> impl IntoView {
    let address = use_address();
    let id = Memo::new(move |_| address.with(|address| address.part(1)));
    let batch = Resource::new(
        move || id.get(),
        |id| async {
            let batch = load_batch(id).await?;
            let related = load_related(batch.id).await?;
            Ok((batch, related))
        },
    );
    let acts = (ServerAction::new(), ServerAction::new(), ServerAction::new(), ServerAction::new());
    view! {
        <section class="page">
            {panel_or(
                batch,
                move |(batch, related)| scene(batch, related, me(), acts),
                move |error| refused_page(error, move || batch.refetch()),
            )}
        </section>
    }
}

/// What the page asks of the batch.
type ActionsOfBatch =
    (ServerAction<ActOn>, ServerAction<RetryItems>, ServerAction<PatchBatch>, ServerAction<SaveSchedule>);

fn scene(
    initial: Batch,
    related: RelatedBatches,
    me: Option<Me>,
    (act, retry, patch, save): ActionsOfBatch,
) -> AnyView {
    let id = initial.id;
    let running = !initial.state.is_finished();
    let live = use_batch(initial);
    let families = RwSignal::new(HashMap::new());
    let (me, related) = (StoredValue::new(me), StoredValue::new(related));
    let state = Memo::new(move |_| live.row.with(|batch| batch.state));
    let changed = move || (state.get(), patch.version().get(), retry.version().get());
    let done = Resource::new(changed, move |_| load_acts(id));
    let scene = Scene { id, batch: live.row, related, me, act, retry, families, patch, save, done };
    let refused = move || {
        let errors = [
            act.value().get().and_then(Result::err),
            retry.value().get().and_then(Result::err),
            patch.value().get().and_then(Result::err),
            save.value().get().and_then(Result::err),
        ];
        flash(errors.into_iter().flatten().next())
    };
    titled(move || scene.batch.with(title));
    progress_icon(move || scene.batch.with(icon));
    view! {
        {refreshes(running)}
        <Show when=move || live.gone.get()>
            <p class="flash" role="alert">"This batch was deleted, or is no longer visible to you. What you see is its last state."</p>
        </Show>
        {refused}
        {away::away(scene)}
        {answer::answer(scene)}
        {head::head(scene)}
        {chart_panel(scene)}
        {strip_panel(scene)}
        {tabs(scene)}
    }
    .into_any()
}

/// The chart of the page's batch.
fn chart_panel(scene: Scene) -> impl IntoView {
    let pulse = Resource::new(move || scene.id, load_pulse);
    chart_of(scene.id, scene.batch, pulse, scene.done)
}

/// The strip of the page's batch.
fn strip_panel(scene: Scene) -> impl IntoView {
    let strip = Resource::new(move || scene.id, load_strip);
    strip_of(scene.id, scene.batch, strip, Some(format!("/batches/{}?from=", scene.id)))
}

fn title(batch: &Batch) -> String {
    match words::percent(batch).filter(|_| !batch.state.is_finished()) {
        Some(percent) => format!("{percent} {}", words::name(&batch.name)),
        None => format!("{} · {}", words::name(&batch.name), words::batch_state(batch)),
    }
}

/// Per mille for the tab's icon, while it runs.
fn icon(batch: &Batch) -> Option<u64> {
    words::per_mille(batch.ended(), batch.total).filter(|_| !batch.state.is_finished())
}

fn tabs(scene: Scene) -> impl IntoView {
    let address = use_address();
    let chosen = Memo::new(move |_| {
        let asked = address.with(|address| address.asked("tab")).unwrap_or_default();
        let known = TABS.iter().map(|(name, _)| *name).filter(|name| *name != COURSE_TAB);
        known.into_iter().find(|name| *name == asked).unwrap_or("items")
    });
    let links = TABS.map(|(name, title)| {
        let count = move || match name {
            "items" => Some(scene.batch.with(|batch| words::thousands(batch.total))),
            "failures" => {
                Some(scene.batch.with(|batch| words::thousands(batch.failed))).filter(|text| text != "0")
            }
            _ => None,
        };
        let counts = matches!(name, "items" | "failures");
        let current = move || (chosen.get() == name).then_some("page");
        view! {
            <a class="tab" data-stay="" href=tab_address(scene.id, name) aria-current=current>
                {title} " " {counts.then(|| view! { <span class="count">{count}</span> })}
            </a>
        }
    });
    view! {
        <nav class=move || format!("tabs {}", scene.batch.with(words::digits)) aria-label="Parts of the batch">{links.into_iter().collect::<Vec<_>>()}</nav>
        {move || match chosen.get() {
            "failures" => families::families_panel(scene),
            "files" => files::files_panel(scene),
            "settings" => settings::settings_panel(scene),
            _ => view! { {families::families_brief(scene)} {items::items_panel(scene)} }.into_any(),
        }}
    }
}
