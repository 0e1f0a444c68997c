//! What of an upload has not come: the two ways out of waiting for it, and what was missing in the end.
//!
//! Both acts work without scripts: one posts, the other is a link.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::Scene;
use crate::app::actions::SealBatch;
use crate::app::current_user::may_act;
use crate::client::words;

/// What is missing, beside the outlook.
pub fn rest(scene: Scene) -> AnyView {
    let batch = scene.batch;
    let (announced, may) = batch.with_untracked(|batch| {
        (batch.expected.is_some(), scene.me.with_value(|me| may_act(me.as_ref(), batch)))
    });
    if !announced {
        return ().into_any();
    }
    let waits = Memo::new(move |_| may && batch.with(|batch| !batch.sealed));
    let short = Memo::new(move |_| batch.with(words::shortfall));
    view! {
        <div class="upload-rest">
            {move || short.get().map(|words| view! { <p class="hint">{words}</p> })}
            {move || waits.get().then(|| view! {
                <form method="post" action=SealBatch::url()>
                    <input type="hidden" name="batch" value=scene.id.to_string() />
                    <button class="button">"That is all"</button>
                </form>
                <a class="button" href=format!("/new?batch={}", scene.id)>"Add the rest"</a>
            })}
        </div>
    }
    .into_any()
}
