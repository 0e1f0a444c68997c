//! Failures by cause: how many, what, where to look, and retry of just those.
//!
//! Counts are of items failed now. Shown in full on its tab, in brief above the items.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::Scene;
use crate::app::actions::load_families;
use crate::app::components::{When, live_trouble, panel};
use crate::app::current_user::offers;
use crate::app::live::use_families;
use crate::app::markup::span_bar;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{BatchAct, Family, FamilyPage};

/// Samples linked in a row.
const SAMPLES_SHOWN: usize = 3;

/// The panel.
pub fn families_panel(scene: Scene) -> AnyView {
    let families = Resource::new(move || scene.id, load_families);
    panel(families, move |page| list(scene, page, FamiliesShown::All))
}

/// One line above the items, while there is no filter: the first family of which something has failed. Its place is there
/// before anything has, so that nothing moves when it does.
pub fn families_brief(scene: Scene) -> AnyView {
    let address = use_address();
    let shown = Memo::new(move |_| {
        let filtered = ["state", "family", "q", "sort"];
        address.with(|address| filtered.iter().all(|key| address.asked(key).is_none()))
    });
    view! {
        <Show when=move || shown.get()>
            <section class="brief" aria-label="Failures">
                {
                    let families = Resource::new(move || scene.id, load_families);
                    panel(families, move |page| list(scene, page, FamiliesShown::First))
                }
            </section>
        </Show>
    }
    .into_any()
}

/// Which families a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FamiliesShown {
    All,
    /// The first of which something has failed; the rest is a link.
    First,
}

fn list(scene: Scene, page: FamilyPage, which: FamiliesShown) -> AnyView {
    let rows = use_families(scene.id, page);
    Effect::new(move |_| {
        let counts = rows.list().into_iter().map(|family| (family.id, family.count)).collect();
        scene.families.set(counts);
    });
    let shown = Memo::new(move |_| match which {
        FamiliesShown::All => rows.order.get(),
        FamiliesShown::First => {
            let failed = rows.list().into_iter().find(|family| family.count > 0);
            failed.map(|family| family.id).into_iter().collect()
        }
    });
    let all = move || {
        let count = rows.list().iter().filter(|family| family.count > 0).count();
        (which == FamiliesShown::First && count > 1).then(|| {
            let words = format!("All {}", words::counted(count as u64, "family"));
            view! { <a href=format!("/batches/{}?tab=failures", scene.id)>{words}</a> }
        })
    };
    let none = move || rows.list().iter().all(|family| family.count == 0);
    view! {
        <Show when=none>
            <p class="panel panel-empty">"Nothing has failed."</p>
        </Show>
        {live_trouble(rows)}
        <ul class="families">
            <For each=move || shown.get() key=Clone::clone let:id>
                {rows.row(&id).map(|family| row(scene, family))}
            </For>
        </ul>
        <p class="hint families-all">{all}</p>
    }
    .into_any()
}

fn row(scene: Scene, family: Signal<Family>) -> impl IntoView {
    let id = family.with_untracked(|family| family.id.to_string());
    let show = format!("/batches/{}?state=failed&family={id}", scene.id);
    let first = Signal::derive(move || family.with(|family| family.first_at));
    let last = Signal::derive(move || family.with(|family| family.last_at));
    let count = Memo::new(move |_| family.with(|family| family.count));
    let samples = Memo::new(move |_| family.with(|family| family.samples.clone()));
    // Hidden from screen readers: the times stand beside it.
    let when = move || {
        let [started, ended] = scene.batch.with(|batch| {
            let started = batch.started_at.unwrap_or(batch.created_at);
            [started, batch.finished_at.unwrap_or(started)]
        });
        let (first, last) = (first.get(), last.get());
        span_bar([started, ended.max(last)], [first, last])
    };
    let offered = Memo::new(move |_| {
        scene.me.with_value(|me| scene.batch.with(|batch| offers(me.as_ref(), batch, BatchAct::Retry)))
    });
    let retry = move || {
        let id = id.clone();
        (offered.get() && count.get() > 0).then(|| {
            view! {
                <ActionForm action=scene.retry>
                    <input type="hidden" name="batch" value=scene.id.to_string() />
                    <input type="hidden" name="family" value=id />
                    <button class="button">{move || format!("Retry {}", words::thousands(count.get()))}</button>
                </ActionForm>
            }
        })
    };
    view! {
        <li class="family" class:family-gone=move || count.get() == 0>
            <span class="family-count">{move || format!("{} ×", words::thousands(count.get()))}</span>
            <div class="family-what">
                <p class="family-message">{move || family.with(|family| words::shown(&family.message))}</p>
                <p class="hint">
                    <span class="family-when" inner_html=when></span> "first " <When at=first /> " · last " <When at=last /> " · sample " {move || sample_links(scene, &samples.get())}
                </p>
            </div>
            <div class="acts">{retry}<a class="button button-quiet" href=show>"Show"</a></div>
        </li>
    }
}

fn sample_links(scene: Scene, samples: &[u64]) -> Vec<AnyView> {
    let link = |seq: &u64| {
        let href = format!("/batches/{}/items/{seq}", scene.id);
        view! { <a href=href>{format!("#{}", words::thousands(*seq))}</a> " " }.into_any()
    };
    samples.iter().take(SAMPLES_SHOWN).map(link).collect()
}
