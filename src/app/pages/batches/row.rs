//! One batch in the list: two lines while it is under way, one once it has ended.
//!
//! Which of them is decided when the list is read: a batch that ends while somebody looks keeps its place. Every cell reads
//! the row's signal, so a frame changes text and widths only, and no cell changes its width.

use std::sync::{Mutex, PoisonError};

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::{ActOn, RetryItems};
use crate::app::clock;
use crate::app::components::{Confirm, ProgressBar, When, short_badge};
use crate::app::current_user::{may_act, offers};
use crate::client::spark::Spark;
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchId, BatchState, Me};

/// What the rows of a list share.
#[derive(Clone, Copy)]
pub struct RowContext {
    /// Pause, resume, cancel.
    pub act: ServerAction<ActOn>,
    /// Retry of what failed.
    pub retry: ServerAction<RetryItems>,
    /// The courses of batches under way, as they were read.
    pub sparks: StoredValue<Vec<(BatchId, String)>>,
}

/// A batch under way: percent, bar, pace and outlook on a second line.
pub fn active_row(batch: Signal<Batch>, check: AnyView, me: Option<&Me>, context: RowContext) -> AnyView {
    let percent =
        move || batch.with(|batch| words::percent(batch).unwrap_or_else(|| words::thousands(batch.ended())));
    let counts = move || {
        batch.with(|batch| format!("{}/{}", words::thousands(batch.ended()), words::thousands(batch.total)))
    };
    let digits = Memo::new(move |_| batch.with(words::digits));
    view! {
        <li class=move || format!("row row-active {}", digits.get())>
            {named(batch, check)}
            {failed_link(batch)}
            <span class="row-acts">
                {toggle(batch, me, context.act)}
                {retry(batch, me, context.retry)}
                {download(batch)}
                {cancel(batch, me, context.act)}
            </span>
            <span class="row-percent">{percent}</span>
            <ProgressBar batch=batch />
            <span class="row-counts">{counts}</span>
            <span class="row-spark" inner_html=spark(batch, context)></span>
            <span class="row-pace">{move || batch.with(pace)}</span>
            {outlook(batch)}
        </li>
    }
    .into_any()
}

/// A batch that has ended.
pub fn finished_row(batch: Signal<Batch>, check: AnyView, me: Option<&Me>, context: RowContext) -> AnyView {
    let ran = move || {
        batch.with(|batch| match batch.state.is_finished() {
            true => words::thousands(batch.total),
            false => format!("{}/{}", words::thousands(batch.ended()), words::thousands(batch.total)),
        })
    };
    view! {
        <li class="row row-finished">
            {named(batch, check)}
            <span class="row-counts">{ran}</span>
            <span class="row-pace">{move || batch.with(pace)}</span>
            {failed_link(batch)}
            {outlook(batch)}
            <span class="row-acts">{retry(batch, me, context.retry)} {download(batch)}</span>
        </li>
    }
    .into_any()
}

/// The box that chooses it, number, name (a link that covers the row), task and owner.
fn named(batch: Signal<Batch>, check: AnyView) -> impl IntoView {
    let (href, number, task) = batch.with_untracked(|batch| {
        let task = format!("{} · {}", words::shown(&batch.task), words::shown(&batch.owner));
        (format!("/batches/{}", batch.id), format!("#{}", batch.number), task)
    });
    view! {
        <span class="row-number">{check} {number}</span>
        <a class="row-name" href=href>{move || batch.with(|batch| words::name(&batch.name))}</a>
        <span class="row-task">{task}</span>
    }
}

/// How it went over time, as a drawing. It is a glance at what its page says in numbers, and hidden from screen readers.
fn spark(batch: Signal<Batch>, context: RowContext) -> impl Fn() -> String + Send + Sync + 'static {
    let id = batch.with_untracked(|batch| batch.id);
    let figures = context.sparks.with_value(|sparks| {
        sparks
            .iter()
            .find(|(of, _figures)| *of == id)
            .map_or_else(String::new, |(_of, figures)| figures.clone())
    });
    let clock = clock::use_clock();
    // What is drawn first is what the server has drawn.
    let course = Mutex::new((Spark::new(&figures), false));
    move || {
        let ended = batch.with(|batch| [batch.succeeded, batch.failed]);
        let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
        let (spark, drawn) = &mut *course;
        if let (true, Some(now)) = (*drawn, clock.get_untracked()) {
            spark.follow(ended, now);
        }
        *drawn = true;
        spark.svg()
    }
}

fn failed_link(batch: Signal<Batch>) -> impl IntoView {
    let href = batch.with_untracked(|batch| format!("/batches/{}?tab=failures", batch.id));
    let failed = move || {
        let count = batch.with(|batch| batch.failed);
        (count > 0).then(|| format!("{} failed", words::thousands(count)))
    };
    view! { <a class="row-failed" href=href>{failed}</a> }
}

/// The rate while it runs; how long it took once it has ended.
fn pace(batch: &Batch) -> String {
    match (batch.took_ms(), batch.finished_at) {
        (Some(ms), _) => format!("in {}", words::duration(ms)),
        (None, None) => batch.rate_per_s.map(words::rate).unwrap_or_default(),
        (None, Some(_)) => String::new(),
    }
}

/// State, and what is to come: on one line, all of it in the title.
fn outlook(batch: Signal<Batch>) -> impl IntoView {
    let finished = Memo::new(move |_| batch.with(|batch| batch.finished_at));
    let starts = Memo::new(move |_| batch.with(|batch| batch.start_at));
    let words = Memo::new(move |_| batch.with(words::outlook_beside_state));
    let shows_state = Memo::new(move |_| {
        batch.with(|batch| !matches!(batch.state, BatchState::Running | BatchState::Pending))
    });
    view! {
        <span class="row-outlook" title=move || Some(words.get()).filter(|words| !words.is_empty())>
            {move || shows_state.get().then(|| view! { {short_badge(batch)} " " })}
            {move || match (finished.get(), starts.get()) {
                (Some(at), _) => view! { <When at=at /> }.into_any(),
                (None, Some(at)) => view! { "starts " <When at=at /> }.into_any(),
                (None, None) => view! { {move || words.get()} }.into_any(),
            }}
        </span>
    }
}

/// Pause or resume, in one place; none once it has ended.
fn toggle(batch: Signal<Batch>, me: Option<&Me>, act: ServerAction<ActOn>) -> impl IntoView {
    let may = batch.with_untracked(|batch| may_act(me, batch));
    let shown = move || match batch.with(|batch| batch.state) {
        BatchState::Paused => ("resume", "Resume", "▸"),
        BatchState::Scheduled | BatchState::Pending | BatchState::Running => ("pause", "Pause", "‖"),
        BatchState::Cancelling | BatchState::Succeeded | BatchState::Failed | BatchState::Cancelled => {
            ("", "", "")
        }
    };
    let label = move || format!("{} {}", shown().1, batch.with(|batch| words::name(&batch.name)));
    may.then(|| {
        view! {
            <ActionForm action=act attr:class="act-slot">
                <input type="hidden" name="batch" value=batch.with_untracked(|batch| batch.id.to_string()) />
                <input type="hidden" name="act" value=move || shown().0 />
                <button class="button-icon" class:act-none=move || shown().0.is_empty() title=label aria-label=label>
                    {move || shown().2}
                </button>
            </ActionForm>
        }
    })
}

/// What failed, again.
fn retry(batch: Signal<Batch>, me: Option<&Me>, retry: ServerAction<RetryItems>) -> impl IntoView {
    let me = StoredValue::new(me.cloned());
    let failed = Memo::new(move |_| {
        let offered = |batch: &Batch| me.with_value(|me| offers(me.as_ref(), batch, BatchAct::Retry));
        batch.with(|batch| if offered(batch) { batch.failed } else { 0 })
    });
    let id = Signal::stored(batch.with_untracked(|batch| batch.id.to_string()));
    let name = Signal::stored(batch.with_untracked(|batch| words::name(&batch.name)));
    let label = move || format!("Retry {} failed of {}", words::thousands(failed.get()), name.get());
    view! {
        <span class="act-slot">
            <Show when=move || { failed.get() > 0 }>
                <ActionForm action=retry>
                    <input type="hidden" name="batch" value=id />
                    <input type="hidden" name="state" value="failed" />
                    <button class="button-icon" title=label aria-label=label>"↻"</button>
                </ActionForm>
            </Show>
        </span>
    }
}

/// Results as they came in, for whoever may see the batch; once there are any.
fn download(batch: Signal<Batch>) -> impl IntoView {
    let (href, label) = batch.with_untracked(|batch| {
        (
            format!("/api/v1/batches/{}/results?format=csv", batch.id),
            format!("Results of {} as CSV", words::name(&batch.name)),
        )
    });
    let none = move || batch.with(|batch| !batch.state.is_finished());
    view! { <a class="button-icon act-slot" class:act-none=none href=href rel="external" download="" title=label.clone() aria-label=label>"⤓"</a> }
}

fn cancel(batch: Signal<Batch>, me: Option<&Me>, act: ServerAction<ActOn>) -> impl IntoView {
    let me = StoredValue::new(me.cloned());
    let offered = Memo::new(move |_| {
        me.with_value(|me| batch.with(|batch| offers(me.as_ref(), batch, BatchAct::Cancel)))
    });
    let to_cancel = Signal::derive(move || {
        batch.with(|batch| format!("Cancel {}", words::counted(batch.total - batch.ended(), "item")))
    });
    let id = Signal::stored(batch.with_untracked(|batch| batch.id.to_string()));
    let name = batch.with_untracked(|batch| format!("Cancel {}", words::name(&batch.name)));
    let ask = batch.with_untracked(|batch| format!("cancel-{}", batch.number));
    let (name, ask) = (StoredValue::new(name), StoredValue::new(ask));
    view! {
        <span class="act-slot">
            <Show when=move || offered.get()>
                <Confirm
                    label=Signal::stored("✕".to_owned())
                    warning=Signal::stored("What runs is stopped. What has ended stays as it is.".to_owned())
                    name=name.get_value()
                    ask=ask.get_value()
                >
                    <ActionForm action=act>
                        <input type="hidden" name="batch" value=id />
                        <input type="hidden" name="act" value="cancel" />
                        <button class="button button-danger">{move || to_cancel.get()}</button>
                    </ActionForm>
                </Confirm>
            </Show>
        </span>
    }
}
