//! The items of a batch: by position, or by filter.
//!
//! Filter and position are in the URL, so that both work without scripts.

mod chosen;
mod filtered;
mod window;

use leptos::prelude::*;

use super::Scene;
use crate::app::address::Address;
use crate::app::components::asking;
use crate::app::router::use_address;
use crate::protocol::{FamilyId, ItemQuery, ItemState, Seq};

/// No batch is so long; positions in addresses are held to it, so that a window after one is a number, too.
const SEQ_ASKED_MAX: Seq = 1 << 53;

/// What the URL asks for: a position, or a filter.
#[derive(Clone, Debug, PartialEq)]
enum ItemsRequest {
    From(Seq),
    Filter(ItemQuery),
}

fn asked(address: &Address) -> ItemsRequest {
    let text = |key: &str| address.asked(key);
    // An address may name any number: what is beyond every batch is its end.
    let number =
        |key: &str| text(key).and_then(|text| text.parse::<Seq>().ok()).map(|seq| seq.min(SEQ_ASKED_MAX));
    let filter = ItemQuery {
        state: text("state").and_then(|state| ItemState::parse(&state)),
        family: text("family").map(FamilyId),
        q: text("q"),
        after: number("after"),
        limit: None,
    };
    if filter.state.is_some() || filter.family.is_some() || filter.q.is_some() {
        ItemsRequest::Filter(filter)
    } else {
        ItemsRequest::From(number("from").unwrap_or(1).max(1))
    }
}

/// The panel.
pub fn items_panel(scene: Scene) -> AnyView {
    let url = use_address();
    let asked = Memo::new(move |_| url.with(asked));
    let position = move || match asked.get() {
        ItemsRequest::From(from) => window::window_panel(scene, from),
        ItemsRequest::Filter(query) => filtered::filtered_panel(scene, query),
    };
    view! {
        {move || filter_row(scene, &asked.get())}
        {position}
    }
    .into_any()
}

fn filter_row(scene: Scene, asked: &ItemsRequest) -> AnyView {
    let (state, q, family) = match asked {
        ItemsRequest::Filter(query) => (query.state, query.q.clone(), query.family.clone()),
        ItemsRequest::From(_) => (None, None, None),
    };
    let options: Vec<_> = ItemState::ALL
        .into_iter()
        .map(|one| {
            let chosen = state == Some(one);
            view! { <option value=one.as_str() selected=chosen>{one.as_str()}</option> }
        })
        .collect();
    let here = format!("/batches/{}", scene.id);
    let in_family = family.map(|family| {
        view! {
            <input type="hidden" name="family" value=family.to_string() />
            <span class="hint">"of one family"</span>
        }
    });
    let filtered = matches!(asked, ItemsRequest::Filter(_));
    let all = filtered.then(|| view! { <a class="button button-quiet" href=here.clone()>"Show all"</a> });
    let go = (!filtered).then(|| {
        view! {
            <form class="search" method="get" action=here.clone()>
                <input class="go" type="number" name="from" min="1" aria-label="Go to item number" placeholder="# go to" />
                <button class="button">"Go"</button>
            </form>
        }
    });
    view! {
        <div class="filters">
            <a class="button only-moving" href=asking("search")>"Search"</a>
            <button type="button" class="button only-narrow" popovertarget="search">"Search"</button>
            <form class="search fold" id="search" popover="auto" method="get" action=here.clone() role="search">
                <select name="state" aria-label="State">
                    <option value="">"Any state"</option>
                    {options}
                </select>
                <input type="search" name="q" aria-label="Search in inputs and errors" placeholder="in input or error" value=q.unwrap_or_default() />
                {in_family}
                <button class="button">"Find"</button>
            </form>
            {all}
            {go}
        </div>
    }
    .into_any()
}
