//! What can be done to the items that somebody has chosen.
//!
//! The bar lies over the end of the list: it pushes no row. While anything is chosen, rows stay as they are.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::components::Chosen;
use crate::app::current_user::may_act;
use crate::app::pages::batch::Scene;
use crate::client::words;

/// True where choosing leads to something: whoever may act.
pub fn may_choose(scene: Scene) -> bool {
    scene.me.with_value(|me| scene.batch.with_untracked(|batch| may_act(me.as_ref(), batch)))
}

/// The bar: how many, that the rows are held, and what can be done.
pub fn bar(scene: Scene, chosen: Chosen) -> AnyView {
    let count = move || chosen.seqs.with(|seqs| seqs.len() as u64);
    let seqs =
        move || chosen.seqs.with(|seqs| seqs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    // Once they run again, nothing is held any more.
    Effect::new(move |before: Option<usize>| {
        let version = scene.retry.version().get();
        if before.is_some_and(|before| before != version) {
            chosen.seqs.set(Vec::new());
        }
        version
    });
    view! {
        <div class="chosen" class:shown=move || chosen.any() role="group" aria-label="Chosen items">
            <span role="status">{move || chosen.any().then(|| format!("{} chosen · updates held", words::thousands(count())))}</span>
            <ActionForm action=scene.retry>
                <input type="hidden" name="batch" value=scene.id.to_string() />
                <input type="hidden" name="seqs" value=seqs />
                <button class="button">{move || format!("Retry {}", words::thousands(count()))}</button>
            </ActionForm>
            <button type="button" class="button button-quiet" on:click=move |_| chosen.seqs.set(Vec::new())>"Clear"</button>
        </div>
    }
    .into_any()
}
