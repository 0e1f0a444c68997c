//! The strip: the whole batch as at most 1,024 cells, with a lens on one of them; a click or Enter goes to its stretch.
//!
//! One path per look, whatever the number of cells: a page of a million items stays a few kilobytes. Rows come for
//! cells in which something has ended; the others are drawn from the total.

mod cells;
mod table;

use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::prelude::*;

use self::cells::{
    CELLS_PER_ROW, CellDrawing, CellLook, PITCH, SIDE, cell_of, cells_of, path, scale, stepped, width, words,
};
use self::table::table;
use super::panel::{live_trouble, panel};
use crate::app::live::{LiveRows, use_strip};
use crate::app::router::use_router;
use crate::protocol::{ApiError, Batch, BatchId, Strip, StripCell};

/// The strip of a batch; a cell leads to `address` with the number of its first item, if there is one.
pub fn strip_of(
    id: BatchId,
    batch: Signal<Batch>,
    strip: Resource<Result<Strip, ApiError>>,
    address: Option<String>,
) -> AnyView {
    panel(strip, move |initial| drawing(id, batch, address.clone(), initial))
}

/// What the parts of a strip share.
#[derive(Clone, Copy)]
struct Scene {
    rows: LiveRows<StripCell>,
    total: Memo<u64>,
    count: Memo<usize>,
    /// The cell under the pointer, or the one that the keys have come to.
    pointed: RwSignal<Option<usize>>,
}

impl Scene {
    /// The row of cell `at`; tracks.
    fn cell(self, at: usize) -> Option<StripCell> {
        cell_of(&self.rows.list(), self.total.get(), at)
    }
}

fn drawing(id: BatchId, batch: Signal<Batch>, address: Option<String>, initial: Strip) -> AnyView {
    let rows = use_strip(id, initial);
    let total = Memo::new(move |_| batch.with(|batch| batch.total));
    let cells = Memo::new(move |_| cells_of(&rows.list(), total.get()));
    let count = Memo::new(move |_| cells.with(Vec::len));
    let scene = Scene { rows, total, count, pointed: RwSignal::new(None) };
    let frame = move || {
        let cells = count.get().max(1);
        let across = cells.min(CELLS_PER_ROW);
        format!("0 0 {} {}", across * PITCH, cells.div_ceil(CELLS_PER_ROW) * PITCH)
    };
    let paths = CellLook::ALL.map(|(look, class)| {
        let part = move |cell: &CellDrawing| if cell.look == look { SIDE } else { 0 };
        view! { <path class=class d=move || cells.with(|cells| path(cells, part))></path> }
    });
    // Drawn last: over the looks, as high as its share.
    let failed = move || cells.with(|cells| path(cells, |cell| cell.failed));
    let mark = move || {
        let at = scene.pointed.get().unwrap_or(0);
        format!("M{} {}h{SIDE}v{SIDE}h-{SIDE}z", at % CELLS_PER_ROW * PITCH, at / CELLS_PER_ROW * PITCH)
    };
    let image = view! {
        <svg class="strip-drawing" viewBox=frame preserveAspectRatio="none" aria-hidden="true" class:strip-tall=move || { count.get() > CELLS_PER_ROW }>
            {paths.into_iter().collect::<Vec<_>>()}
            <path class="cell cell-failed" d=failed></path>
            <path class="cell-mark" d=mark class:shown=move || scene.pointed.get().is_some()></path>
        </svg>
    };
    let (keyed, clicked) = (goes(scene, address.clone()), goes(scene, address.clone()));
    view! {
        {live_trouble(rows)}
        <figure class="strip" class:strip-few=move || { count.get() < 2 }>
            {steps(scene, image.into_any(), keyed, clicked)}
            <figcaption class="hint">
                <span class="strip-scale">{move || scale(width(&rows.list(), total.get()), total.get())}</span>
                {LEGEND.map(|(class, word)| view! { <span class=class>{word}</span> }).into_iter().collect::<Vec<_>>()}
                {table(scene, address)}
            </figcaption>
        </figure>
    }
    .into_any()
}

/// The looks of cells in words, beside the cell that has them.
const LEGEND: [(&str, &str); 4] = [
    ("legend legend-open", "none yet"),
    ("legend legend-done", "succeeded"),
    ("legend legend-failed", "share that failed"),
    ("legend legend-cancelled", "cancelled"),
];

/// Goes to the first item of the pointed cell.
fn goes(scene: Scene, address: Option<String>) -> impl Fn() + 'static {
    let router = use_router();
    move || {
        let cell = scene.pointed.get_untracked().and_then(|at| untrack(|| scene.cell(at)));
        if let (Some(cell), Some(address)) = (cell, &address) {
            router.go(&format!("{address}{}", cell.first));
        }
    }
}

/// The drawing with its pointer and keys: one stop, from cell to cell by arrows, to the ends by Home and End. The lens
/// says what is in the cell.
fn steps(
    scene: Scene,
    image: AnyView,
    keyed: impl Fn() + 'static,
    clicked: impl Fn() + 'static,
) -> impl IntoView {
    let Scene { pointed, count, .. } = scene;
    let told = Memo::new(move |_| {
        let cell = pointed.get().and_then(|at| scene.cell(at));
        cell.as_ref().map(words).unwrap_or_default()
    });
    let lens = NodeRef::<leptos::html::P>::new();
    // Beside the cell, on the side where there is room. Through the CSSOM: the page forbids inline styles.
    Effect::new(move |_| {
        let (Some(at), Some(lens)) = (pointed.get(), lens.get()) else { return };
        let across = count.get_untracked().clamp(1, CELLS_PER_ROW);
        let percent = at % CELLS_PER_ROW * 100 / across;
        let _unchanged = (*lens).style().set_property("left", &format!("{percent}%"));
        let _unchanged = (*lens).style().set_property("transform", &format!("translateX(-{percent}%)"));
    });
    let point = move |event: MouseEvent| {
        let at = cell_at(&event, count.get_untracked());
        if pointed.get_untracked() != at {
            pointed.set(at);
        }
    };
    let press = move |event: KeyboardEvent| {
        if event.key() == "Enter" {
            return keyed();
        }
        let at = pointed.get_untracked().unwrap_or(0);
        if let Some(at) = stepped(&event.key(), at, count.get_untracked()) {
            event.prevent_default();
            pointed.set(Some(at));
        }
    };
    view! {
        <div
            class="strip-steps"
            tabindex="0"
            role="slider"
            aria-label="How the items ended, stretch by stretch"
            aria-valuemin="1"
            aria-valuemax=move || count.get().max(1)
            aria-valuenow=move || pointed.get().unwrap_or(0) + 1
            aria-valuetext=move || told.get()
            on:mousemove=point
            on:mouseleave=move |_| pointed.set(None)
            on:click=move |event| { point(event); clicked() }
            on:focus=move |_| pointed.update(|at| *at = at.or(Some(0)))
            on:blur=move |_| pointed.set(None)
            on:keydown=press
        >
            {image}
            <p class="strip-lens" aria-hidden="true" node_ref=lens class:shown=move || pointed.get().is_some()>
                {move || told.get()}
            </p>
        </div>
    }
}

/// The cell under the pointer: the drawing fills its element.
fn cell_at(event: &MouseEvent, count: usize) -> Option<usize> {
    let element = event_target::<leptos::web_sys::Element>(event).closest(".strip-steps").ok()??;
    let across = count.min(CELLS_PER_ROW);
    let down = count.div_ceil(CELLS_PER_ROW);
    let part = |at: i32, of: i32, cells: usize| {
        usize::try_from(at).ok()?.checked_mul(cells)?.checked_div(usize::try_from(of).ok()?)
    };
    let column = part(event.offset_x(), element.client_width(), across)?;
    let row = part(event.offset_y(), element.client_height(), down)?;
    Some(row * CELLS_PER_ROW + column.min(across.saturating_sub(1))).filter(|cell| *cell < count)
}
