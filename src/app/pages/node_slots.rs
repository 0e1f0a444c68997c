//! The slots of a node: how many are busy, a cell for each, and what the first of them run.

use leptos::prelude::*;

use crate::app::clock;
use crate::app::components::item_address;
use crate::app::live::LiveRows;
use crate::client::words;
use crate::protocol::limits::SLOT_WORK_SHOWN_MAX;
use crate::protocol::{Batch, Node, SlotWork};

/// Slots of one node whose work is said in words.
const LISTED_MAX: usize = 5;

/// Cells of one node.
fn cells(node: &Node) -> usize {
    usize::try_from(node.slots).unwrap_or(usize::MAX).min(SLOT_WORK_SHOWN_MAX)
}

/// `200 of 200 slots busy, 64 shown, 136 more · 41/s`.
pub fn busy(node: &Node) -> String {
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
pub fn slots(node: &Node, batches: LiveRows<Batch>) -> Vec<AnyView> {
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
pub fn list(node: &Node, batches: LiveRows<Batch>) -> Vec<AnyView> {
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
    use crate::protocol::{NodeId, NodeState, Role};

    fn node(slots: u32, busy: u32) -> Node {
        Node {
            id: NodeId("a".into()),
            name: "a".into(),
            role: Role::All,
            version: "1".into(),
            slots,
            busy,
            state: NodeState::Up,
            heartbeat_age_ms: 400,
            rate_per_s: 41.0,
            work: Vec::new(),
            rev: 1,
        }
    }

    #[test]
    fn what_is_not_shown_is_said() {
        assert_eq!(busy(&node(200, 200)), "200 of 200 slots busy, 64 shown, 136 more · 41/s");
        assert_eq!(busy(&node(1, 0)), "0 of 1 slot busy · 41/s");
        assert_eq!(busy(&node(0, 0)), "runs no items");
    }
}
