//! One batch in the list.
//!
//! Every cell reads the row's signal, so a frame changes text and widths only, and no cell changes its width.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::ActOn;
use crate::app::components::{Confirm, ProgressBar, When, short_badge};
use crate::app::current_user::offers;
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchState, Me};

/// A row.
pub fn batch_row(batch: Signal<Batch>, me: Option<&Me>, act: ServerAction<ActOn>) -> AnyView {
    let href = batch.with_untracked(|batch| format!("/batches/{}", batch.id));
    let failures = format!("{href}?tab=failures");
    let failed = move || {
        let count = batch.with(|batch| batch.failed);
        (count > 0).then(|| format!("{} failed", words::thousands(count)))
    };
    let counts = move || {
        batch.with(|batch| match batch.state.is_finished() {
            true => words::thousands(batch.total),
            false => format!("{}/{}", words::thousands(batch.ended()), words::thousands(batch.total)),
        })
    };
    view! {
        <li class="row">
            <span class="row-number">{batch.with_untracked(|batch| format!("#{}", batch.number))}</span>
            <a class="row-name" href=href.clone()>{move || batch.with(|batch| words::name(&batch.name))}</a>
            <span class="row-task">{batch.with_untracked(|batch| words::shown(&batch.task))}</span>
            <ProgressBar batch=batch />
            <span class="row-counts">{counts}</span>
            <span class="row-pace">{move || batch.with(pace)}</span>
            <span class="row-outlook">{outlook(batch)}</span>
            <span class="row-failed"><a href=failures>{failed}</a></span>
            <span class="row-acts">{acts(batch, me.cloned(), act)}</span>
        </li>
    }
    .into_any()
}

/// The rate while it runs; how long it took once it has ended.
fn pace(batch: &Batch) -> String {
    match (batch.finished_at, batch.started_at) {
        (Some(finished), started) => words::duration(finished.ms_since(started.unwrap_or(batch.created_at))),
        (None, _) => batch.rate_per_s.map(words::rate).unwrap_or_default(),
    }
}

fn outlook(batch: Signal<Batch>) -> impl IntoView {
    let finished = Memo::new(move |_| batch.with(|batch| batch.finished_at));
    let words = Memo::new(move |_| batch.with(words::outlook));
    let shows_state = Memo::new(move |_| {
        batch.with(|batch| !matches!(batch.state, BatchState::Running | BatchState::Pending))
    });
    view! {
        {move || shows_state.get().then(|| short_badge(batch))}
        {move || match finished.get() {
            Some(at) => view! { <When at=at /> }.into_any(),
            None => view! { <span>{move || words.get()}</span> }.into_any(),
        }}
    }
}

fn acts(batch: Signal<Batch>, me: Option<Me>, act: ServerAction<ActOn>) -> impl IntoView {
    let offered = Memo::new(move |_| {
        let all = [BatchAct::Pause, BatchAct::Resume, BatchAct::Cancel];
        all.map(|one| batch.with(|batch| offers(me.as_ref(), batch, one)))
    });
    let results = Memo::new(move |_| batch.with(|batch| batch.state.is_finished()));
    let to_cancel = Signal::derive(move || {
        batch.with(|batch| format!("Cancel {}", words::counted(batch.total - batch.ended(), "item")))
    });
    move || {
        let [pause, resume, cancel] = offered.get();
        view! {
            {pause.then(|| icon_form(batch, act, "pause", "Pause", "‖"))}
            {resume.then(|| icon_form(batch, act, "resume", "Resume", "▸"))}
            {results.get().then(|| download(batch))}
            {cancel.then(|| view! {
                <Confirm label=Signal::stored("✕".to_owned()) warning=Signal::stored("What has ended stays as it is.".to_owned())>
                    <ActionForm action=act>
                        {posted(batch, "cancel")}
                        <button class="button button-danger">{move || to_cancel.get()}</button>
                    </ActionForm>
                </Confirm>
            })}
        }
    }
}

/// Results as they came in, for whoever may see the batch.
fn download(batch: Signal<Batch>) -> impl IntoView {
    let (href, label) = batch.with_untracked(|batch| {
        (
            format!("/api/v1/batches/{}/results?format=csv", batch.id),
            format!("Results of {} as CSV", batch.name),
        )
    });
    view! { <a class="button-icon" href=href rel="external" download="" title=label.clone() aria-label=label>"⤓"</a> }
}

fn posted(batch: Signal<Batch>, word: &'static str) -> impl IntoView {
    view! {
        <input type="hidden" name="batch" value=batch.with_untracked(|batch| batch.id.to_string()) />
        <input type="hidden" name="act" value=word />
    }
}

fn icon_form(
    batch: Signal<Batch>,
    act: ServerAction<ActOn>,
    word: &'static str,
    verb: &'static str,
    mark: &'static str,
) -> impl IntoView {
    let label = batch.with_untracked(|batch| format!("{verb} {}", batch.name));
    view! {
        <ActionForm action=act>
            {posted(batch, word)}
            <button class="button-icon" title=label.clone() aria-label=label>{mark}</button>
        </ActionForm>
    }
}
