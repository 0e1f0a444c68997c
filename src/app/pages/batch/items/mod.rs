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
use crate::app::markup::item_filters;
use crate::app::router::use_address;
use crate::protocol::{FamilyId, ItemCursor, ItemQuery, ItemSort, ItemState, Seq};

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
    let sort = text("sort").and_then(|sort| ItemSort::parse(&sort)).filter(|_| text("q").is_none());
    let after = text("after").and_then(|after| after.parse::<ItemCursor>().ok());
    let after = after.map(|after| ItemCursor { seq: after.seq.min(SEQ_ASKED_MAX), ..after });
    let filter = ItemQuery {
        state: text("state").and_then(|state| ItemState::parse(&state)),
        family: text("family").map(FamilyId),
        q: text("q"),
        sort,
        after: after.filter(|after| after.by.is_some() == sort.is_some()),
        limit: None,
    };
    if filter.state.is_some() || filter.family.is_some() || filter.q.is_some() || filter.sort.is_some() {
        ItemsRequest::Filter(filter)
    } else {
        ItemsRequest::From(number("from").unwrap_or(1).max(1))
    }
}

/// The panel.
pub fn items_panel(scene: Scene) -> AnyView {
    let url = use_address();
    let asked = Memo::new(move |_| url.with(asked));
    let ask = asking("search");
    // Only what is asked for makes the forms anew: what somebody types into them stays.
    let filters = move || {
        let query = match asked.get() {
            ItemsRequest::Filter(query) => query,
            ItemsRequest::From(_) => ItemQuery::default(),
        };
        item_filters(&format!("/batches/{}", scene.id), &query, &untrack(&ask))
    };
    let position = move || match asked.get() {
        ItemsRequest::From(from) => window::window_panel(scene, from),
        ItemsRequest::Filter(query) => filtered::filtered_panel(scene, query),
    };
    view! {
        <div class="filters" inner_html=filters></div>
        {position}
    }
    .into_any()
}
