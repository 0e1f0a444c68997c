//! The segmented bar: a batch at a glance.
//!
//! The widths sum to the whole, and whatever there is can be seen. Widths are SVG attributes, since the page forbids
//! inline styles.

use leptos::prelude::*;

use crate::client::words;
use crate::protocol::{Batch, ItemState};

/// Width of the whole bar in its own units.
const WHOLE: u64 = 1_000;
/// Width of a segment with at least one item, in the same units: thin, but seen.
const SEEN_MIN: u64 = 5;

/// Where each segment starts and how wide it is, in the order of [`ItemState::ALL`].
fn segments(batch: &Batch) -> [(ItemState, u64, u64); 6] {
    let mut widths = ItemState::ALL.map(|state| {
        let share = u128::from(batch.count(state)) * u128::from(WHOLE) / u128::from(batch.total.max(1));
        let width = u64::try_from(share).unwrap_or(WHOLE);
        if batch.count(state) > 0 { width.max(SEEN_MIN) } else { 0 }
    });
    let sum: u64 = widths.iter().sum();
    if let Some(widest) = widths.iter_mut().max_by_key(|width| **width)
        && *widest > 0
    {
        *widest = (*widest + WHOLE).saturating_sub(sum);
    }
    let mut start = 0;
    let mut at = 0;
    ItemState::ALL.map(|state| {
        let segment = (state, start, widths[at]);
        start += widths[at];
        at += 1;
        segment
    })
}

/// The bar in words.
fn spoken(batch: &Batch) -> String {
    let counts = ItemState::ALL.into_iter().filter(|state| batch.count(*state) > 0);
    let counts: Vec<_> =
        counts.map(|state| format!("{} {}", words::thousands(batch.count(state)), state.as_str())).collect();
    format!("{} of {}: {}", words::thousands(batch.ended()), words::thousands(batch.total), counts.join(", "))
}

/// A batch as a bar.
#[component]
pub fn ProgressBar(
    /// The batch.
    batch: Signal<Batch>,
    /// Address to which a segment's state is appended; without one the segments are no links.
    #[prop(optional, into)]
    filter_href: Option<String>,
) -> impl IntoView {
    let widths = Memo::new(move |_| batch.with(segments));
    let name = move || batch.with(|batch| format!("Progress of {}", batch.name));
    let now = move || batch.with(|batch| words::per_mille(batch.ended(), batch.total).unwrap_or(0) / 10);
    let parts: Vec<_> = (0..6)
        .map(|at| {
            let shape = segment(widths, at);
            match &filter_href {
                Some(href) => {
                    let href = format!("{href}{}", ItemState::ALL[at].as_str());
                    // An anchor of SVG's own kind: the one of HTML is not drawn in here.
                    leptos::svg::a().attr("href", href).attr("tabindex", "-1").child(shape).into_any()
                }
                None => shape,
            }
        })
        .collect();
    view! {
        <div class="bar">
            <div
                class="visually-hidden"
                role="progressbar"
                aria-label=name
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=now
                aria-valuetext=move || batch.with(spoken)
            ></div>
            <svg class="bar-drawing" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
                <rect class="bar-ground" x="0" y="0" width="1000" height="10"></rect>
                {parts}
            </svg>
        </div>
    }
}

fn segment(widths: Memo<[(ItemState, u64, u64); 6]>, at: usize) -> AnyView {
    let state = ItemState::ALL[at];
    let start = move || widths.with(|widths| widths[at].1);
    let width = move || widths.with(|widths| widths[at].2);
    let end = move || widths.with(|widths| widths[at].1 + widths[at].2);
    let striped = matches!(state, ItemState::Running | ItemState::Cancelled);
    view! {
        <rect class=format!("bar-{}", state.as_str()) x=start y="0" width=width height="10"></rect>
        {striped.then(|| view! {
            <line
                class=format!("bar-stripe-{}", state.as_str())
                x1=start
                x2=end
                y1="5"
                y2="5"
                vector-effect="non-scaling-stroke"
            ></line>
        })}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BatchId, BatchState, Json, Timestamp};

    #[test]
    fn what_there_is_is_seen_and_the_whole_is_whole() {
        let batch = Batch {
            id: BatchId::from_u128(1),
            number: 1,
            name: "b".into(),
            task: "demo".into(),
            params: Json::default(),
            owner: "ada".into(),
            parent: None,
            schedule: None,
            state: BatchState::Running,
            reason: None,
            sealed: true,
            expected: None,
            rev: 1,
            total: 1_000_000,
            pending: 1,
            running: 0,
            retrying: 0,
            succeeded: 999_998,
            failed: 1,
            cancelled: 0,
            rate_per_s: None,
            eta_ms: None,
            created_at: Timestamp(0),
            start_at: None,
            started_at: None,
            finished_at: None,
            rested_ms: 0,
            retry: None,
        };
        let widths = segments(&batch);
        assert_eq!(widths.iter().map(|segment| segment.2).sum::<u64>(), WHOLE);
        assert_eq!(widths[3].2, SEEN_MIN);
        assert_eq!(widths[4].2, SEEN_MIN);
        assert_eq!(widths[1].2, 0);
        let empty = Batch { total: 0, pending: 0, succeeded: 0, failed: 0, ..batch };
        assert!(segments(&empty).iter().all(|segment| segment.2 == 0));
    }
}
