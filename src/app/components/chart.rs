//! The chart: how many items ended per second, over time, with what was asked of the batch as marks.
//!
//! One path for all ends and one for the failures, whatever the number of buckets. The same numbers stand in a table,
//! which is written anew while it is open and at the end.

use leptos::ev::{Event, MouseEvent};
use leptos::prelude::*;

use super::panel::{error_panel, live_trouble, once_loaded};
use crate::app::live::use_pulse;
use crate::client::chart::{self, CHART_HEIGHT, CHART_WIDTH};
use crate::client::course::{Course, NewestBucket};
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchActEntry, BatchId, PulseBucket, Rev};

/// Marks at most: the newest.
const MARKS_MAX: usize = 40;

/// What the chart is read as: its revision, and its buckets.
type LoadedPulse = Result<(Rev, Vec<PulseBucket>), ApiError>;
/// What was asked of the batch, oldest first.
type LoadedActs = Result<Vec<BatchActEntry>, ApiError>;

/// The chart of a batch.
pub fn chart_of(
    id: BatchId,
    batch: Signal<Batch>,
    pulse: Resource<LoadedPulse>,
    acts: Resource<LoadedActs>,
) -> impl IntoView {
    let waits = move || {
        pulse.with(|_| ());
        acts.with(|_| ());
    };
    let told = Signal::derive(move || acts.get().and_then(Result::ok).unwrap_or_default());
    let shown = move || {
        pulse.get().map(|loaded| match loaded {
            Ok(initial) => drawing(id, batch, told, initial),
            Err(error) => error_panel(&error, move || pulse.refetch()),
        })
    };
    let waiting = || view! { <p class="loading">"Loading…"</p> }.into_any();
    view! { <div class="chart-place">{once_loaded(waiting, waits, shown)}</div> }
}

fn drawing(
    id: BatchId,
    batch: Signal<Batch>,
    acts: Signal<Vec<BatchActEntry>>,
    initial: (Rev, Vec<PulseBucket>),
) -> AnyView {
    let rows = use_pulse(id, initial);
    let finished = Memo::new(move |_| batch.with(|batch| batch.state.is_finished()));
    let newest = move || if finished.get() { NewestBucket::Whole } else { NewestBucket::FillsUp };
    let course = Memo::new(move |_| Course::of(&rows.list(), newest()));
    let pointed = RwSignal::new(None::<u64>);
    let point = move |event: MouseEvent| pointed.set(place_of(&event));
    let axis = move |at: usize| course.with(|course| course.axis()[at].clone());
    let opened = RwSignal::new(false);
    let toggled = move |event: Event| {
        opened.set(event_target::<leptos::web_sys::Element>(&event).has_attribute("open"));
    };
    let open = move || opened.get() || finished.get();
    // What stands in a table that is closed while items end is as of when it was closed.
    let table = Memo::new(move |before: Option<&String>| match before.filter(|_| !open()) {
        Some(before) => before.clone(),
        None => course.with(Course::rows),
    });
    view! {
        {live_trouble(rows)}
        <figure class="chart">
            <p class="chart-top hint">{move || course.with(Course::top)}</p>
            <svg
                class="chart-drawing"
                viewBox=format!("0 0 {CHART_WIDTH} {CHART_HEIGHT}")
                preserveAspectRatio="none"
                role="img"
                aria-label="Items that ended per second, over time"
                on:mousemove=point
                on:mouseleave=move |_| pointed.set(None)
            >
                <path class="chart-ended" d=move || course.with(|course| course.path(chart::ends))></path>
                <path class="chart-failed" d=move || course.with(|course| course.path(|one| one.failed))></path>
                {move || marks(&acts.get(), course)}
            </svg>
            <p class="chart-axis hint">
                <span>{move || axis(0)}</span> <span>{move || axis(1)}</span> <span>{move || axis(2)}</span>
            </p>
            <figcaption class="chart-hint hint">
                {move || course.with(|course| course.hint(pointed.get(), batch.with(Batch::ended)))}
            </figcaption>
        </figure>
        <details class="chart-table" on:toggle=toggled>
            <summary>"Numbers over time"</summary>
            <div class="chart-scroll" tabindex="0" role="region" aria-label="Numbers over time">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"from"</th>
                            <th scope="col">"succeeded"</th>
                            <th scope="col">"failed"</th>
                            <th scope="col">"per second"</th>
                        </tr>
                    </thead>
                    <tbody inner_html=move || table.get()></tbody>
                </table>
                {move || acts_list(&acts.get())}
            </div>
        </details>
    }
    .into_any()
}

/// Lines at the times of what was asked; each says what, on hover.
fn marks(acts: &[BatchActEntry], course: Memo<Course>) -> Vec<AnyView> {
    let marked = acts.iter().rev().filter(|entry| chart::is_mark(entry)).take(MARKS_MAX);
    let mark = |entry: &BatchActEntry| {
        let said = chart::act_words(entry)?;
        let at = entry.at;
        // Over what ended only: before the first end there is no time to stand at.
        let line = move || {
            course.with(|course| match course.columns.is_empty() {
                true => String::new(),
                false => format!("M{} 0V{CHART_HEIGHT}", course.scale.place(at)),
            })
        };
        let said = format!("{said}, {}", words::absolute(at));
        Some(
            view! {
                <path class="chart-mark" d=line vector-effect="non-scaling-stroke">
                    <title>{said}</title>
                </path>
            }
            .into_any(),
        )
    };
    marked.filter_map(mark).collect()
}

/// What was asked of the batch, by whom and when, oldest first.
pub fn acts_list(acts: &[BatchActEntry]) -> Option<AnyView> {
    let line = |entry: &BatchActEntry| {
        let said = chart::act_words(entry)?;
        let at = words::absolute(entry.at);
        Some(view! { <li><time datetime=entry.at.to_string()>{at}</time> " " {said}</li> })
    };
    let lines: Vec<_> = acts.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| view! { <ol class="acts-log">{lines}</ol> }.into_any())
}

/// The place under the pointer, from 0 to [`CHART_WIDTH`]: the drawing fills its element.
fn place_of(event: &MouseEvent) -> Option<u64> {
    let element = event_target::<leptos::web_sys::Element>(event).closest("svg").ok()??;
    let width = u64::try_from(element.client_width()).ok().filter(|width| *width > 0)?;
    Some(u64::try_from(event.offset_x()).ok()? * CHART_WIDTH / width)
}
