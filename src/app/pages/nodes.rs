//! Nodes: who is working on what.
//!
//! Reads nodes once, then live. A healthy node is silent, one that is not says why.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::title::{refreshes, titled};
use crate::app::actions::{DrainNode, load_nodes};
use crate::app::components::{flash, live_trouble, once_loaded, panel};
use crate::app::current_user::me;
use crate::app::live::use_nodes;
use crate::client::words;
use crate::protocol::{Node, NodePage, NodeState, PersonRole, Role};

/// The page.
#[component]
pub fn NodesPage() -> impl IntoView {
    let nodes = Resource::new(|| (), |()| load_nodes());
    let drain = ServerAction::<DrainNode>::new();
    titled(|| "Nodes".into());
    view! {
        <section class="page">
            <header class="head"><h1>"Nodes"</h1></header>
            {move || flash(drain.value().get().and_then(Result::err))}
            {panel(nodes, move |page| cards(page, drain))}
            {refreshes(true)}
        </section>
    }
}

fn cards(page: NodePage, drain: ServerAction<DrainNode>) -> AnyView {
    let rows = use_nodes(page.nodes);
    let none = move || rows.order.with(Vec::is_empty);
    view! {
        <Show when=none>
            <p class="panel panel-empty">
                "No node is up, so nothing will run. Start one with " <code>"milepost serve"</code> "."
            </p>
        </Show>
        {live_trouble(rows)}
        <div class="cards">
            <For each=move || rows.order.get() key=Clone::clone let:id>
                {rows.row(&id).map(|node| card(node, drain))}
            </For>
        </div>
    }
    .into_any()
}

fn card(node: Signal<Node>, drain: ServerAction<DrainNode>) -> impl IntoView {
    let state = move || match node.with(|node| node.state) {
        NodeState::Up => ("succeeded", "up"),
        NodeState::Draining => ("retrying", "draining: finishes what it has"),
        NodeState::Down => ("failed", "down: has stopped beating"),
    };
    let up = Memo::new(move |_| node.with(|node| node.state == NodeState::Up));
    let may_drain = move || {
        let admin = me().is_some_and(|me| me.role == PersonRole::Admin);
        (admin && up.get()).then(|| {
            view! {
                <ActionForm action=drain>
                    <input type="hidden" name="node" value=node.with_untracked(|node| node.id.to_string()) />
                    <button class="button button-quiet">"Drain"</button>
                </ActionForm>
            }
        })
    };
    view! {
        <article class="card node">
            <header class="node-head">
                <h2>{move || node.with(|node| words::shown(&node.name))}</h2>
                <span class=move || format!("badge badge-{}", state().0)>{move || state().1}</span>
            </header>
            <p class="numbers">
                {move || node.with(|node| format!("{} of {} slots busy", node.busy, node.slots))} " · "
                {move || node.with(|node| words::rate(node.rate_per_s))}
            </p>
            <p class="slots">{move || node.with(slots)}</p>
            <p class="hint">
                {move || node.with(|node| format!("{} · version {} · beat {} ago", role(node.role), words::shown(&node.version), words::duration(node.heartbeat_age_ms)))}
            </p>
            {once_loaded(|| ().into_any(), || drop(me()), may_drain)}
        </article>
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::All => "serves and works",
        Role::Web => "serves",
        Role::Worker => "works",
    }
}

/// One cell a slot: what it runs is a link.
fn slots(node: &Node) -> Vec<AnyView> {
    let busy = node.work.iter().map(|work| {
        let href = format!("/batches/{}/items/{}", work.batch, work.seq);
        let title = format!("item {}", words::thousands(work.seq));
        view! { <a class="slot slot-busy" href=href title=title.clone() aria-label=title></a> }.into_any()
    });
    let unnamed = usize::try_from(node.busy).unwrap_or(0).min(64).saturating_sub(node.work.len());
    let free = usize::try_from(node.slots).unwrap_or(0).min(64).saturating_sub(node.work.len() + unnamed);
    let more =
        (0..unnamed).map(|_| view! { <span class="slot slot-busy" aria-hidden="true"></span> }.into_any());
    let idle = (0..free).map(|_| view! { <span class="slot" aria-hidden="true"></span> }.into_any());
    busy.chain(more).chain(idle).collect()
}
