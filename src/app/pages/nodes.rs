//! Nodes: who is working on what.
//!
//! Reads nodes, and the batches that they work on, once, then live. A healthy node is silent, one that is not says why;
//! those of earlier starts are one line. A batch is named only to whoever may see it.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::title::{refreshes, titled};
use crate::app::actions::{DrainNode, load_batches, load_nodes};
use crate::app::clock;
use crate::app::components::{flash, item_address, live_trouble, once_loaded, panel};
use crate::app::current_user::me;
use crate::app::live::{LiveRows, use_batches, use_nodes};
use crate::client::words;
use crate::protocol::limits::SLOT_WORK_SHOWN_MAX;
use crate::protocol::{
    ApiError, Batch, BatchPage, BatchQuery, Node, NodePage, NodeState, PersonRole, Role, SlotWork,
};

/// Batches whose names the server's page has, 500: as many as one page of them.
const BATCHES_MAX: u32 = 500;
/// Slots of one node whose work is said in words.
const LISTED_MAX: usize = 5;

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
    let living = Memo::new(move |_| {
        let living = rows.list().into_iter().filter(|node| node.state != NodeState::Down);
        living.map(|node| node.id).collect::<Vec<_>>()
    });
    view! {
        {move || lacking(&rows.list()).map(|(sentence, command)| view! {
            <p class="panel panel-empty">{sentence} " " <code>{command}</code></p>
        })}
        {live_trouble(rows)}
        <div class="cards">
            <For each=move || living.get() key=Clone::clone let:id>
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
    let earlier = Memo::new(move |_| earlier(&rows.list()));
    view! {
        <details class="earlier" hidden=move || earlier.get().is_none()>
            <summary>{move || earlier.get().map(|(summary, _)| summary)}</summary>
            <ul inner_html=move || earlier.get().map(|(_, list)| list).unwrap_or_default()></ul>
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

/// Cells of one node.
fn cells(node: &Node) -> usize {
    usize::try_from(node.slots).unwrap_or(usize::MAX).min(SLOT_WORK_SHOWN_MAX)
}

/// `200 of 200 slots busy, 64 shown, 136 more · 41/s`.
fn busy(node: &Node) -> String {
    if node.slots == 0 {
        return "runs no items".into();
    }
    let slots = words::counted(u64::from(node.slots), "slot");
    let mut told = format!("{} of {slots} busy", words::thousands(u64::from(node.busy)));
    let shown = cells(node) as u64;
    let more = u64::from(node.slots) - shown;
    if more > 0 {
        told.push_str(&format!(", {shown} shown, {} more", words::thousands(more)));
    }
    format!("{told} · {}", words::rate(node.rate_per_s))
}

/// What a slot runs: `#12 June photos · item 41`, the batch where it is known to whoever looks.
fn named(work: &SlotWork, batches: LiveRows<Batch>) -> String {
    let item = format!("item {}", words::thousands(work.seq));
    match batches.row(&work.batch) {
        Some(batch) => batch.with(|batch| {
            format!("#{} {} · {item}", words::thousands(batch.number), words::name(&batch.name))
        }),
        None => item,
    }
}

/// One cell a slot: what it runs is a link.
fn slots(node: &Node, batches: LiveRows<Batch>) -> Vec<AnyView> {
    batches.order.track();
    let cells = cells(node);
    let busy = node.work.iter().take(cells).map(|work| {
        let title = named(work, batches);
        let href = item_address(work.batch, work.seq);
        view! { <a class="slot slot-busy" href=href title=title.clone() aria-label=title></a> }.into_any()
    });
    let told = node.work.len().min(cells);
    let busy_cells = usize::try_from(node.busy).unwrap_or(usize::MAX).clamp(told, cells);
    let unnamed = (told..busy_cells)
        .map(|_| view! { <span class="slot slot-busy" aria-hidden="true"></span> }.into_any());
    let idle =
        (busy_cells..cells).map(|_| view! { <span class="slot" aria-hidden="true"></span> }.into_any());
    busy.chain(unnamed).chain(idle).collect()
}

/// What the first slots run, and for how long.
fn list(node: &Node, batches: LiveRows<Batch>) -> Vec<AnyView> {
    batches.order.track();
    let now = clock::now();
    let row = |work: &SlotWork| {
        let since = work.started_at.zip(now).map(|(at, now)| words::duration(now.ms_since(at)));
        let since = since.map(|time| format!(" · {time}")).unwrap_or_default();
        view! { <li><a href=item_address(work.batch, work.seq)>{named(work, batches)}</a> <span class="hint">{since}</span></li> }
            .into_any()
    };
    node.work.iter().take(LISTED_MAX).map(row).collect()
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
    fn what_is_not_shown_is_said() {
        assert_eq!(
            self::busy(&node(NodeState::Up, 200, 200)),
            "200 of 200 slots busy, 64 shown, 136 more · 41/s"
        );
        assert_eq!(self::busy(&node(NodeState::Up, 1, 0)), "0 of 1 slot busy · 41/s");
        assert_eq!(self::busy(&node(NodeState::Up, 0, 0)), "runs no items");
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
