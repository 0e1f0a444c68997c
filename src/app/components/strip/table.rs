//! The strip as a table, made when it is opened; without scripts it has an address.

use leptos::prelude::*;

use super::Scene;
use super::cells::stretches;
use crate::app::components::confirm::asking;
use crate::app::plain_forms::ASK;
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::StripCell;

/// The same as a table, made when it is opened.
pub(super) fn table(scene: Scene, address: Option<String>) -> impl IntoView {
    let asked = use_address().with_untracked(|address| address.query.get(ASK) == Some("table"));
    let open = RwSignal::new(asked);
    let address = StoredValue::new(address);
    let toggled = move |event: leptos::ev::Event| {
        let details = event_target::<leptos::web_sys::Element>(&event);
        open.set(details.has_attribute("open"));
    };
    let line = move |stretch: StripCell| {
        let items = format!("{}–{}", words::thousands(stretch.first), words::thousands(stretch.last));
        let items = match address.get_value() {
            Some(address) => view! { <a href=format!("{address}{}", stretch.first)>{items}</a> }.into_any(),
            None => items.into_any(),
        };
        let count = |count: u64| view! { <td>{words::thousands(count)}</td> };
        view! {
            <tr><th scope="row">{items}</th> {count(stretch.succeeded)} {count(stretch.failed)} {count(stretch.cancelled)}</tr>
        }
    };
    view! {
        <details class="strip-table" open=asked on:toggle=toggled>
            <summary>"As a table"</summary>
            {move || open.get().then(|| view! {
                <table>
                    <thead><tr><th scope="col">"items"</th><th scope="col">"succeeded"</th><th scope="col">"failed"</th><th scope="col">"cancelled"</th></tr></thead>
                    <tbody>{stretches(&scene.rows.list(), scene.total.get()).into_iter().map(line).collect::<Vec<_>>()}</tbody>
                </table>
            })}
        </details>
        <a class="button-link only-still" href=asking("table")>"As a table"</a>
    }
}
