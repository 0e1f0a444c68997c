//! Items by state, family or text: pages by key, saying what was searched.
//!
//! The next page starts where this one ended, whatever has changed meanwhile.

use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use super::Scene;
use crate::app::actions::load_items;
use crate::app::components::{head_line, item_address, item_line, panel};
use crate::client::words;
use crate::protocol::{ItemPage, ItemQuery};

/// The panel.
pub fn filtered_panel(scene: Scene, query: ItemQuery) -> AnyView {
    let asked = query.clone();
    let items = Resource::new(move || asked.clone(), move |query| load_items(scene.id, query));
    let again = move |_| items.refetch();
    view! {
        {panel(items, move |page| matches(scene, &query, page))}
        <p class="only-alive"><button type="button" class="button button-quiet" on:click=again>"Look again"</button></p>
    }
    .into_any()
}

fn address(scene: Scene, query: &ItemQuery, after: u64) -> String {
    let mut map = ParamsMap::new();
    if let Some(state) = query.state {
        map.insert("state", state.as_str().to_owned());
    }
    if let Some(family) = &query.family {
        map.insert("family", family.to_string());
    }
    if let Some(q) = &query.q {
        map.insert("q", q.clone());
    }
    map.insert("after", after.to_string());
    format!("/batches/{}{}", scene.id, map.to_query_string())
}

fn matches(scene: Scene, query: &ItemQuery, page: ItemPage) -> AnyView {
    let found = page.items.len() as u64;
    let searched = page.searched_to.map(|to| format!(", searched to #{}", words::thousands(to)));
    let next = page.next.map(|after| {
        view! { <a class="button" href=address(scene, query, after)>"Next"</a> }
    });
    let rows: Vec<_> = page
        .items
        .into_iter()
        .map(|row| {
            let seq = row.seq;
            item_line(Some(item_address(scene.id, seq)), seq, Memo::new(move |_| Some(row.clone())))
        })
        .collect();
    let table = (found > 0).then(|| {
        view! {
            <div class="lines" role="table" aria-label="Items that match">{head_line()} {rows}</div>
        }
    });
    view! {
        <p class="hint" role="status">{format!("{} here", words::counted(found, "item"))} {searched}</p>
        {table}
        <nav class="pager" aria-label="Pages of matches">{next}</nav>
    }
    .into_any()
}
