//! The course of a batch afterwards: what ended when and what was asked meanwhile, on one time line.
//!
//! Read once. A table tells all of it; `course.js` has the slider move a point in time, says what stood then, and puts
//! times into the zone of whoever reads, in texts as long as those of the server.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use super::course_moments::{CoursePoint, moments};
use crate::app::actions::{load_acts, load_batch, load_pulse};
use crate::app::components::{batch_badge, panel_or};
use crate::app::pages::{COURSE_TAB, TABS, refused_page, tab_address, titled};
use crate::app::router::use_address;
use crate::client::chart::{self, CHART_HEIGHT, CHART_WIDTH};
use crate::client::course::{Course, NewestBucket};
use crate::client::words;
use crate::protocol::{Batch, BatchActEntry, PulseBucket, Timestamp};

/// A step of the slider: about a column of the drawing.
const STEP: u64 = CHART_WIDTH / 200;

/// The page.
#[component]
pub fn CoursePage() -> impl IntoView {
    let address = use_address();
    let id = move || address.with(|address| address.part(1));
    let read = Resource::new(id, |id| async {
        let batch = load_batch(id).await?;
        let (_rev, pulse) = load_pulse(batch.id).await?;
        let acts = load_acts(batch.id).await?;
        Ok((batch, pulse, acts))
    });
    view! {
        <section class="page course">
            {panel_or(
                read,
                |(batch, pulse, acts)| show(batch, &pulse, &acts),
                move |error| refused_page(error, move || read.refetch()),
            )}
        </section>
    }
}

fn show(batch: Batch, pulse: &[PulseBucket], acts: &[BatchActEntry]) -> AnyView {
    let here = format!("/batches/{}", batch.id);
    let name = words::name(&batch.name);
    titled({
        let name = name.clone();
        move || format!("Course of {name}")
    });
    let course = Course::of(pulse, NewestBucket::Whole);
    let moments = moments(&course, acts);
    let tabs = TABS.map(|(tab, title)| {
        let href = tab_address(batch.id, tab);
        view! { <a class="tab" href=href aria-current=(tab == COURSE_TAB).then_some("page")>{title}</a> }
    });
    let again = (!batch.state.is_finished()).then(|| {
        view! { <a class="button" href=format!("{here}/course")>"Look again"</a> }
    });
    let content = match moments.last() {
        Some(last) => replay(&course, &moments, last),
        None => view! { <p class="panel panel-empty">{course.hint(None, batch.ended())}</p> }.into_any(),
    };
    let number = format!("#{}", batch.number);
    let batch = Signal::stored(batch);
    view! {
        <header class="head">
            <h1><span class="row-number">{number}</span> " " <a href=here.clone()>{name}</a></h1>
            {again}
        </header>
        <p class="hint">{batch_badge(batch)}</p>
        <nav class="tabs" aria-label="Parts of the batch">
            {tabs.into_iter().collect::<Vec<_>>()}
        </nav>
        {content}
        <script type="module" src="/course.js" nonce=use_nonce()></script>
    }
    .into_any()
}

/// A time that `course.js` puts into the reader's zone: as long there as here.
fn time(at: Timestamp) -> AnyView {
    let text = words::absolute(at);
    let text = text.strip_suffix(" UTC").unwrap_or(&text).to_owned();
    view! { <time datetime=at.to_string()>{text}</time> }.into_any()
}

fn replay(course: &Course, moments: &[CoursePoint], last: &CoursePoint) -> AnyView {
    let path = |value: fn(&PulseBucket) -> u64| course.path(value);
    let marks: Vec<_> = moments
        .iter()
        .filter_map(|moment| {
            let title = format!("{}, {}", moment.act.clone()?, words::absolute(moment.at));
            let line = format!("M{} 0V{CHART_HEIGHT}", moment.place);
            let title = view! { <title>{title}</title> };
            Some(view! { <path class="chart-mark" d=line vector-effect="non-scaling-stroke">{title}</path> })
        })
        .collect();
    let ends = [course.scale.time(0), course.scale.time(CHART_WIDTH)].map(|at| at.map(time));
    let [from, to] = ends;
    let rows: Vec<_> = moments.iter().map(row).collect();
    view! {
        <figure class="chart">
            <p class="chart-top hint">{course.top()}</p>
            <svg
                class="chart-drawing"
                viewBox=format!("0 0 {CHART_WIDTH} {CHART_HEIGHT}")
                preserveAspectRatio="none"
                role="img"
                aria-label="Items that ended per second over time, failures in red, with what was asked as marks"
            >
                <path class="chart-ended" d=path(chart::ends)></path>
                <path class="chart-failed" d=path(|one| one.failed)></path>
                {marks}
                <path class="course-moment" d="" vector-effect="non-scaling-stroke"></path>
            </svg>
            <input class="course-slider only-alive" type="range" min="0" max=CHART_WIDTH step=STEP value=CHART_WIDTH aria-label="Point in time" />
            <p class="chart-axis hint"><span>{from}</span> <span>{to}</span></p>
            <figcaption class="hint">{course.hint(None, last.ended)}</figcaption>
        </figure>
        <p class="course-stood"><output>{time(last.at)} ": " <span>{last.sentence()}</span></output></p>
        <p class="hint">
            "An item that was retried has ended more than once. How many ran at once was not recorded; where it was set to something else, that is among what was asked."
        </p>
        <div class="chart-table chart-scroll course-table" tabindex="0" role="region" aria-label="The course as a table">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"time " <span class="course-zone">"(UTC)"</span></th>
                        <th scope="col">"ended by then"</th>
                        <th scope="col">"of them failed"</th>
                        <th scope="col">"per second"</th>
                        <th scope="col">"what was asked"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(moment: &CoursePoint) -> impl IntoView + use<> {
    view! {
        <tr data-place=moment.place data-act=moment.act.clone() data-said=moment.figures()>
            <th scope="row">{time(moment.at)}</th>
            <td>{words::thousands(moment.ended)}</td>
            <td>{words::thousands(moment.failed)}</td>
            <td>{moment.rate.clone()}</td>
            <td>{moment.act.clone()}</td>
        </tr>
    }
}
