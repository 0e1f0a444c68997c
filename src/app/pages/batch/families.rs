//! Failures by cause: how many, what, where to look, and retry of just those.
//!
//! Counts are of items failed now. Shown in full on its tab, in brief above the items.

use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::Scene;
use crate::app::actions::load_families;
use crate::app::components::{When, live_trouble, panel};
use crate::app::current_user::offers;
use crate::app::live::use_families;
use crate::client::words;
use crate::protocol::{BatchAct, Family, FamilyPage};

/// Samples linked in a row.
const SAMPLES_SHOWN: usize = 3;
/// Families shown above the items; the rest is a link.
const BRIEF_FAMILIES: usize = 3;

/// The panel.
pub fn families_panel(scene: Scene) -> AnyView {
    let families = Resource::new(move || scene.id, load_families);
    panel(families, move |page| list(scene, page, usize::MAX))
}

/// The first few families, above the items, while there are failures and no filter.
pub fn families_brief(scene: Scene) -> AnyView {
    let query = use_query_map();
    // Once there were failures the section stays, also while a retry takes the last one away.
    let failed = Memo::new(move |before: Option<&bool>| {
        before.copied().unwrap_or(false) || scene.batch.with(|batch| batch.failed > 0)
    });
    let shown = Memo::new(move |_| {
        let filtered = ["state", "family", "q"];
        let plain =
            query.with(|query| filtered.iter().all(|key| query.get(key).is_none_or(|text| text.is_empty())));
        plain && failed.get()
    });
    view! {
        <Show when=move || shown.get()>
            <section class="brief" aria-label="Failures">
                {
                    let families = Resource::new(move || scene.id, load_families);
                    panel(families, move |page| list(scene, page, BRIEF_FAMILIES))
                }
            </section>
        </Show>
    }
    .into_any()
}

fn list(scene: Scene, page: FamilyPage, shown_max: usize) -> AnyView {
    let rows = use_families(scene.id, page);
    Effect::new(move |_| {
        let counts = rows.list().into_iter().map(|family| (family.id, family.count)).collect();
        scene.families.set(counts);
    });
    let shown = move || rows.order.with(|order| order.iter().take(shown_max).cloned().collect::<Vec<_>>());
    let all = move || {
        let count = rows.order.with(Vec::len);
        (count > shown_max).then(|| {
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
            <For each=shown key=Clone::clone let:id>
                {rows.row(&id).map(|family| row(scene, family))}
            </For>
        </ul>
        <p class="hint">{all}</p>
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
                    "first " <When at=first /> " · last " <When at=last /> " · sample " {move || sample_links(scene, &samples.get())}
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
