//! Every item by position: a window on up to millions of rows, of which at most 36 are in the document.
//!
//! Exactly the rows in the document are subscribed. Without scripts it is a page of 24 with links. Where one has scrolled to
//! is kept in the address, so that Back returns there. Heights are set
//! through the CSSOM, never as attributes.

use leptos::html::Div;
use leptos::prelude::*;

use super::chosen;
use super::filtered::heads;
use crate::app::actions::load_window;
use crate::app::components::{Chosen, LineOrder, head_line, item_address, item_line, live_trouble, panel};
use crate::app::live::{LiveRows, use_window};
use crate::app::pages::batch::Scene;
use crate::client::words;
use crate::protocol::{ItemPage, ItemQuery, ItemRow, Seq};

/// Rows in the first HTML.
const FIRST_ROWS: u64 = 22;
/// Rows in the document while scrolling: the highest view shows 22, and some stand ready on both sides.
const WINDOW_ROWS: u64 = 33;
/// The window moves in steps of so many rows, so that a scroll is not a subscription.
const STEP_ROWS: u64 = 5;
/// Browsers cut elements higher than about 17 million pixels; beyond this, scrolling is scaled.
const HEIGHT_PX_MAX: f64 = 8_000_000.0;

/// Where rows are, for one number of rows and one height of each.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Geometry {
    total: u64,
    row_px: f64,
    view_px: f64,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are far below 2^53 and not negative"
)]
impl Geometry {
    /// Height of all rows as the scroll bar knows it.
    fn height_px(self) -> f64 {
        (self.total as f64 * self.row_px).min(HEIGHT_PX_MAX)
    }

    /// The row at the top, as a fraction from 0.
    fn top_row(self, scroll_px: f64) -> f64 {
        let real = self.total as f64 * self.row_px;
        if real <= HEIGHT_PX_MAX {
            return scroll_px / self.row_px;
        }
        let part = scroll_px / (HEIGHT_PX_MAX - self.view_px).max(1.0);
        part.clamp(0.0, 1.0) * (self.total as f64 - self.view_px / self.row_px)
    }

    /// Where to scroll for item `seq` to be at the top.
    fn scroll_px(self, seq: Seq) -> f64 {
        let real = self.total as f64 * self.row_px;
        let before = seq.saturating_sub(1) as f64;
        if real <= HEIGHT_PX_MAX {
            return before * self.row_px;
        }
        before / (self.total as f64 - self.view_px / self.row_px) * (HEIGHT_PX_MAX - self.view_px)
    }

    /// The window of items around what is seen.
    fn window(self, scroll_px: f64) -> (Seq, Seq) {
        let top = self.top_row(scroll_px) as u64;
        let from = (top.saturating_sub(STEP_ROWS / 2) / STEP_ROWS * STEP_ROWS + 1)
            .min(self.total.saturating_sub(WINDOW_ROWS - 1).max(1));
        (from, (from + WINDOW_ROWS - 1).min(self.total.max(1)))
    }

    /// Where the first row of a window lies.
    fn offset_px(self, scroll_px: f64, from: Seq) -> f64 {
        scroll_px - (self.top_row(scroll_px) - (from - 1) as f64) * self.row_px
    }
}

/// The panel, from item `from` on.
pub fn window_panel(scene: Scene, from: Seq) -> AnyView {
    let items = Resource::new(move || from, move |from| load_window(scene.id, from, from + FIRST_ROWS - 1));
    panel(items, move |page| list(scene, from, page))
}

fn list(scene: Scene, from: Seq, page: ItemPage) -> AnyView {
    let total = Memo::new(move |_| scene.batch.with(|batch| batch.total));
    let window = RwSignal::new((from, from + FIRST_ROWS - 1));
    let rows = use_window(scene.id, window.into(), page);
    let (scroller, spacer, layer) = (NodeRef::<Div>::new(), NodeRef::<Div>::new(), NodeRef::<Div>::new());
    let alive = RwSignal::new(false);
    // A scroll is told a frame late: the list may be out of the page by then.
    let geometry = move || measured(total.try_get_untracked()?, scroller, layer);
    let place = move || {
        let here = |part: NodeRef<Div>| part.try_get_untracked().flatten();
        let (Some(geometry), Some(outer), Some(inner)) = (geometry(), here(scroller), here(layer)) else {
            return;
        };
        let scroll_px = f64::from(outer.scroll_top());
        let seen = geometry.window(scroll_px);
        if window.try_get_untracked().is_some_and(|window| window != seen) {
            window.set(seen);
        }
        let offset = geometry.offset_px(scroll_px, seen.0);
        let _unchanged = (*inner).style().set_property("transform", &format!("translateY({offset}px)"));
    };
    // A page that was just opened in the browser has no heights before its first frame.
    let frames = RwSignal::new(0_u32);
    Effect::new(move |before: Option<bool>| {
        frames.track();
        let rows = total.get();
        let (Some(outer), Some(inner), Some(geometry)) = (scroller.get(), spacer.get(), geometry()) else {
            if rows > 0 {
                request_animation_frame(move || {
                    let _gone = frames.try_update(|count| *count += 1);
                });
            }
            return false;
        };
        let _unchanged = (*inner).style().set_property("height", &format!("{}px", geometry.height_px()));
        if before != Some(true) {
            alive.set(true);
            #[expect(clippy::cast_possible_truncation, reason = "below the greatest height")]
            outer.set_scroll_top(geometry.scroll_px(from) as i32);
        }
        place();
        true
    });
    let chosen = chosen::may_choose(scene).then(Chosen::none);
    let seqs = Memo::new(move |_| {
        let (from, to) = window.get();
        (from..=to.min(total.get())).collect::<Vec<_>>()
    });
    let row = move |seq: Seq| line(scene, rows, chosen, seq);
    view! {
        {live_trouble(rows)}
        {chosen.map(|chosen| chosen::bar(scene, chosen))}
        <div class="lines" role="table" aria-label="Items" aria-rowcount=move || total.get()>
            {head_line(heads(scene, &ItemQuery::default()))}
            <div class="lines-scroller" class:lines-alive=move || alive.get() node_ref=scroller tabindex="0" role="rowgroup" aria-label="Items by position" on:scroll=move |_| place()>
                <div class="lines-spacer" role="presentation" node_ref=spacer>
                    <div class="lines-layer" role="presentation" node_ref=layer>
                        <For each=move || seqs.get() key=|seq| *seq children=row />
                    </div>
                </div>
            </div>
        </div>
        {move || (total.get() == 0).then(|| view! { <p class="panel panel-empty">"No items yet."</p> })}
        <Show when=move || !alive.get()>{pages(scene, from, total)}</Show>
    }
    .into_any()
}

/// One item of the window.
fn line(scene: Scene, rows: LiveRows<ItemRow>, chosen: Option<Chosen>, seq: Seq) -> AnyView {
    let row = move || {
        rows.order.track();
        rows.row(&seq).map(|row| row.get())
    };
    item_line(Some(item_address(scene.id, seq)), seq, row, chosen, LineOrder::Position)
}

/// How high rows and view are now; none before the first frame.
fn measured(total: u64, scroller: NodeRef<Div>, layer: NodeRef<Div>) -> Option<Geometry> {
    let shown = layer.try_get_untracked()??;
    let row_px = f64::from(shown.client_height()) / f64::from(shown.child_element_count().max(1));
    let view_px = f64::from(scroller.try_get_untracked()??.client_height());
    (row_px > 0.0).then_some(Geometry { total, row_px, view_px })
}

/// The way on without scripts.
fn pages(scene: Scene, from: Seq, total: Memo<u64>) -> impl IntoView {
    let to = |from: Seq| format!("/batches/{}?from={from}", scene.id);
    let last = (from + FIRST_ROWS - 1).min(total.get_untracked());
    let previous = (from > 1).then(|| {
        view! { <a class="button" href=to(from.saturating_sub(FIRST_ROWS).max(1))>"Previous"</a> }
    });
    let next =
        (last < total.get_untracked()).then(|| view! { <a class="button" href=to(last + 1)>"Next"</a> });
    view! {
        <nav class="pager" aria-label="Pages of items">
            {previous}
            <span class="hint">{format!("{}–{} of {}", words::thousands(from), words::thousands(last), words::thousands(total.get_untracked()))}</span>
            {next}
        </nav>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_scroll_as_they_are() {
        let few = Geometry { total: 1_000, row_px: 32.0, view_px: 640.0 };
        assert!((few.height_px() - 32_000.0).abs() < 1e-6);
        assert_eq!(few.window(0.0), (1, WINDOW_ROWS));
        let (from, to) = few.window(32_000.0 - 640.0);
        assert_eq!((from, to), (1_000 - WINDOW_ROWS + 1, 1_000));
        for scroll_px in 0..32_000 - 640_u32 {
            let (from, to) = few.window(f64::from(scroll_px));
            let (first, last) = (u64::from(scroll_px) / 32 + 1, u64::from(scroll_px + 639) / 32 + 1);
            assert!(from <= first && last <= to, "rows {first} to {last} are seen, {from} to {to} are there");
        }
        assert!((few.offset_px(3_200.0, 81) - 2_560.0).abs() < 1e-6);
    }

    #[test]
    fn a_million_rows_reach_both_ends() {
        let many = Geometry { total: 1_000_000, row_px: 32.0, view_px: 640.0 };
        assert!(many.height_px() <= HEIGHT_PX_MAX);
        assert_eq!(many.window(0.0).0, 1);
        assert_eq!(many.window(HEIGHT_PX_MAX - 640.0).1, 1_000_000);
        let middle = many.scroll_px(500_000);
        let (from, to) = many.window(middle);
        assert!(from <= 500_000 && 500_000 <= to);
    }

    #[test]
    fn a_short_list_is_one_window() {
        let short = Geometry { total: 7, row_px: 32.0, view_px: 640.0 };
        assert_eq!(short.window(0.0), (1, 7));
    }
}
