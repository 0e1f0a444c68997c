//! Results to take home, and the files that items left.
//!
//! Links to files leave the router, so that the browser keeps them.

use leptos::prelude::*;

use super::{Scene, results};
use crate::app::actions::load_items;
use crate::app::components::panel;
use crate::client::words;
use crate::protocol::{BatchId, ItemPage, ItemQuery, ItemState};

/// The panel.
pub fn files_panel(scene: Scene) -> AnyView {
    let query = ItemQuery { state: Some(ItemState::Succeeded), ..ItemQuery::default() };
    let items = Resource::new(move || query.clone(), move |query| load_items(scene.id, query));
    view! {
        <h2>"Results"</h2>
        {results::downloads(scene)}
        <h2>"Files"</h2>
        {panel(items, move |page| files(scene.id, &page))}
    }
    .into_any()
}

/// Address of a file of an item.
fn file_address(batch: BatchId, seq: u64, name: &str) -> String {
    format!("/api/v1/batches/{batch}/items/{seq}/files/{}", words::path_segment(name))
}

fn files(id: BatchId, page: &ItemPage) -> AnyView {
    let rows: Vec<_> = page
        .items
        .iter()
        .flat_map(|row| row.files.iter().map(move |file| (row.seq, file)))
        .map(|(seq, file)| {
            view! {
                <li>
                    <a href=file_address(id, seq, &file.name) rel="external" download="">{words::name(&file.name)}</a>
                    " " <span class="hint">{format!("{} · {} · item ", words::bytes(file.bytes), words::shown(&file.media_type))}</span>
                    <a href=format!("/batches/{id}/items/{seq}")>{format!("#{}", words::thousands(seq))}</a>
                </li>
            }
        })
        .collect();
    if rows.is_empty() {
        return view! { <p class="panel panel-empty">"The first items that succeeded left no files."</p> }
            .into_any();
    }
    let more =
        page.next.is_some().then(|| view! { <p class="hint">"And more: all of them are in the zip."</p> });
    view! { <ul class="files">{rows}</ul> {more} }.into_any()
}
