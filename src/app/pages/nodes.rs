//! Nodes: who is working on what.
//!
//! Reads nodes, and the batches that they work on, once, then live. A healthy node is silent, one that is not says why;
//! those of earlier starts are one line. A batch is named only to whoever may see it.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::node_slots::{busy, list, slots};
use super::title::{refreshes, titled};
use crate::app::actions::{DrainNode, load_batches, load_nodes};
use crate::app::components::{flash, live_trouble, once_loaded, panel};
use crate::app::current_user::me;
use crate::app::live::{LiveRows, use_batches, use_nodes};
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchPage, BatchQuery, Node, NodePage, NodeState, PersonRole, Role};

/// Batches whose names the server's page has, 500: as many as one page of them.
const BATCHES_MAX: u32 = 500;

/// The page.
#[component]
pub fn NodesPage() -> impl IntoView {
    let nodes = Resource::new(
        || (),
        |()| async move {
            let active = BatchQuery {
                state: Some("active".into()),
                limit: Some(BATCHES_MAX),
                ..BatchQuery::default()
            };
            let nodes = load_nodes().await?;
            Ok::<_, ApiError>((nodes, load_batches(active).await?))
        },
    );
    let drain = ServerAction::<DrainNode>::new();
    titled(|| "Nodes".into());
    view! {
        <section class="page">
            <header class="head"><h1>"Nodes"</h1></header>
            {move || flash(drain.value().get().and_then(Result::err))}
            {panel(nodes, move |(nodes, batches)| cards(nodes, batches, drain))}
            {refreshes(true)}
        </section>
    }
}

fn cards(nodes: NodePage, batches: BatchPage, drain: ServerAction<DrainNode>) -> AnyView {
    let rows = use_nodes(nodes.nodes);
    let batches = use_batches(batches.batches);
    let living = move || {
        let living = rows.list().into_iter().filter(|node| node.state != NodeState::Down);
        living.map(|node| node.id).collect::<Vec<_>>()
    };
    view! {
        {move || lacking(&rows.list()).map(|(sentence, command)| view! {
            <p class="panel panel-empty">{sentence} " " <code>{command}</code></p>
        })}
        {live_trouble(rows)}
        <div class="cards">
            <For each=living key=Clone::clone let:id>
                {rows.row(&id).map(|node| card(node, batches, drain))}
            </For>
        </div>
        {earlier_nodes(rows)}
    }
    .into_any()
}

/// Why nothing will run, and what starts something; none where something can.
fn lacking(nodes: &[Node]) -> Option<(&'static str, &'static str)> {
    let living = || nodes.iter().filter(|node| node.state != NodeState::Down);
    if living().any(|node| node.slots > 0 && node.state == NodeState::Up) {
        None
    } else if living().any(|node| node.slots > 0) {
        let sentence = "All nodes are draining: nothing new starts. Start one that takes work with";
        Some((sentence, "milepost serve --role worker"))
    } else if living().next().is_some() {
        let sentence = "There are no workers: pages are served, and nothing will run. Start one with";
        Some((sentence, "milepost serve --role worker"))
    } else {
        Some(("No node is up, so nothing will run. Start one with", "milepost serve"))
    }
}

/// Those that are down, in one line that unfolds. An hour after its last beat a node is forgotten.
fn earlier_nodes(rows: LiveRows<Node>) -> impl IntoView {
    let earlier = move || earlier(&rows.list());
    view! {
        <details class="earlier" hidden=move || earlier().is_none()>
            <summary>{move || earlier().map(|(summary, _)| summary)}</summary>
            <ul inner_html=move || earlier().map(|(_, list)| list).unwrap_or_default()></ul>
        </details>
    }
}

/// How many are down and since when, and a line of HTML for each.
fn earlier(nodes: &[Node]) -> Option<(String, String)> {
    let down = || nodes.iter().filter(|node| node.state == NodeState::Down);
    let youngest = down().map(|node| node.heartbeat_age_ms).min()?;
    // Whole minutes: what is long ago is not said anew each second.
    let ago = |ms: u64| match ms / 60_000 {
        0 => "under a minute ago".to_owned(),
        minutes => format!("{minutes} min ago"),
    };
    let count = words::counted(down().count() as u64, "earlier node");
    let line = |node: &Node| {
        let (name, version) = (words::name(&node.name), words::shown(&node.version));
        let ago = ago(node.heartbeat_age_ms);
        format!("<li>{} · down, last beat {ago}</li>", words::escaped(&format!("{name} · version {version}")))
    };
    Some((format!("{count}, last seen {}", ago(youngest)), down().map(line).collect()))
}

fn card(node: Signal<Node>, batches: LiveRows<Batch>, drain: ServerAction<DrainNode>) -> impl IntoView {
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
                <h2>{move || node.with(|node| words::name(&node.name))}</h2>
                <span class=move || format!("badge badge-{}", state().0)>{move || state().1}</span>
            </header>
            <p class="numbers">{move || node.with(busy)}</p>
            <p class="slots">{move || node.with(|node| slots(node, batches))}</p>
            <ul class="slot-list">{move || node.with(|node| list(node, batches))}</ul>
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NodeId;

    fn node(state: NodeState, slots: u32, busy: u32) -> Node {
        Node {
            id: NodeId("a".into()),
            name: "<a>".into(),
            role: Role::All,
            version: "1".into(),
            slots,
            busy,
            state,
            heartbeat_age_ms: 125_400,
            rate_per_s: 41.0,
            work: Vec::new(),
            rev: 1,
        }
    }

    #[test]
    fn nodes_of_earlier_starts_are_one_line() {
        let (up, down) = (node(NodeState::Up, 2, 0), node(NodeState::Down, 2, 0));
        assert_eq!(earlier(std::slice::from_ref(&up)), None);
        let (summary, list) = earlier(&[up, down.clone(), Node { heartbeat_age_ms: 9_900, ..down }]).unwrap();
        assert_eq!(summary, "2 earlier nodes, last seen under a minute ago");
        assert!(list.starts_with("<li>&lt;a&gt; · version 1 · down, last beat 2 min ago</li><li>"), "{list}");
    }

    #[test]
    fn where_nothing_runs_it_says_what_to_do() {
        let told =
            |nodes: &[Node]| lacking(nodes).map(|(sentence, _)| sentence.split([':', ',']).next().unwrap());
        assert_eq!(told(&[]), Some("No node is up"));
        assert_eq!(told(&[node(NodeState::Down, 2, 0)]), Some("No node is up"));
        assert_eq!(told(&[node(NodeState::Up, 0, 0)]), Some("There are no workers"));
        assert_eq!(told(&[node(NodeState::Draining, 2, 0)]), Some("All nodes are draining"));
        assert_eq!(told(&[node(NodeState::Up, 2, 0), node(NodeState::Draining, 2, 0)]), None);
    }
}
