//! Items by state, family or text, or sorted: pages by key, saying what was searched.
//!
//! A search looks at a bounded stretch per request; in the browser it goes on by itself until a page is full, says how far it
//! is, and can be stopped. The next page starts where this one ended, whatever has changed meanwhile.

use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::chosen;
use crate::app::actions::load_items;
use crate::app::address::Query;
use crate::app::components::{Chosen, LineOrder, head_line, item_address, item_line, panel};
use crate::app::markup::{item_heads, sorting_heads};
use crate::app::pages::batch::Scene;
use crate::client::words;
use crate::protocol::{ItemCursor, ItemPage, ItemQuery, ItemRow, ItemSort, ItemState, Seq, Timestamp};

/// Rows of a page.
const ROWS: usize = 100;

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

/// The heads of a list by `query`, with links to the same one in another order.
pub fn heads(scene: Scene, query: &ItemQuery) -> String {
    // What holds a text is listed by position.
    if query.q.is_some() {
        return item_heads();
    }
    sorting_heads(query.sort, &|sort| address(scene, &ItemQuery { sort, ..query.clone() }, None))
}

fn address(scene: Scene, query: &ItemQuery, after: Option<ItemCursor>) -> String {
    let mut asked = Query::default();
    if let Some(state) = query.state {
        asked.set("state", state.as_str());
    }
    if let Some(family) = &query.family {
        asked.set("family", &family.to_string());
    }
    if let Some(q) = &query.q {
        asked.set("q", q);
    }
    if let Some(sort) = query.sort {
        asked.set("sort", sort.as_str());
    }
    if let Some(after) = after {
        asked.set("after", &after.to_string());
    }
    format!("/batches/{}{asked}", scene.id)
}

/// A search that goes on.
#[derive(Clone, Copy)]
struct Search {
    rows: RwSignal<Vec<ItemRow>>,
    /// Where the next request begins; none at the end.
    next: RwSignal<Option<ItemCursor>>,
    searched_to: RwSignal<Option<Seq>>,
    stopped: RwSignal<bool>,
    /// Why it has stopped by itself; empty while it has not.
    failed: RwSignal<String>,
}

impl Search {
    fn of(page: ItemPage) -> Self {
        Self {
            rows: RwSignal::new(page.items),
            next: RwSignal::new(page.next),
            searched_to: RwSignal::new(page.searched_to),
            stopped: RwSignal::new(false),
            failed: RwSignal::new(String::new()),
        }
    }

    /// True while it goes on by itself. Tracks.
    fn goes_on(self) -> bool {
        self.searched_to.get().is_some()
            && self.next.get().is_some()
            && !self.stopped.get()
            && self.rows.with(Vec::len) < ROWS
    }

    /// Asks for stretch after stretch; whoever has left is not asked for.
    fn go_on(self, scene: Scene, query: ItemQuery) {
        spawn_local(async move {
            while self.rows.try_get_untracked().is_some() && untrack(|| self.goes_on()) {
                let after = self.next.get_untracked();
                let page = load_items(scene.id, ItemQuery { after, ..query.clone() }).await;
                if self.rows.try_get_untracked().is_none() {
                    return;
                }
                match page {
                    Ok(page) => {
                        self.rows.update(|rows| rows.extend(page.items));
                        self.next.set(page.next);
                        self.searched_to.set(page.searched_to);
                    }
                    Err(error) => {
                        self.failed.set(error.to_string());
                        self.stopped.set(true);
                    }
                }
            }
        });
    }
}

fn matches(scene: Scene, query: &ItemQuery, page: ItemPage) -> AnyView {
    let family =
        page.family_message.as_deref().map(|message| format!("Family: {}", words::shortened(message)));
    let ended_at: Vec<Timestamp> = page.ended_at.iter().filter_map(|at| at.parse().ok()).collect();
    let search = Search::of(page);
    let asked = StoredValue::new(query.clone());
    Effect::new(move |_| search.go_on(scene, asked.get_value()));
    let total = move || scene.batch.with(|batch| words::thousands(batch.total));
    let searched = move || {
        if asked.with_value(|query| query.sort == Some(ItemSort::Took)) {
            return Some(", those too quick to be timed alone left out".to_owned());
        }
        let to = search.searched_to.get().map(words::thousands)?;
        Some(if search.goes_on() {
            format!(", searching: #{to} of {}", total())
        } else {
            format!(", searched to #{to}")
        })
    };
    let next = move || {
        let after = search.next.get().filter(|_| !search.goes_on())?;
        let href = asked.with_value(|query| address(scene, query, Some(after)));
        Some(view! { <a class="button" href=href>"Next"</a> })
    };
    let again = move |_| {
        search.stopped.set(false);
        search.failed.set(String::new());
        search.go_on(scene, asked.get_value());
    };
    // From one to another that was chosen lie others than are shown between them, where they are sorted.
    let chosen = (query.sort.is_none() && chosen::may_choose(scene)).then(Chosen::none);
    let sort = query.sort;
    let row = move |(at, row): (usize, ItemRow)| {
        let seq = row.seq;
        let order = match sort {
            None => LineOrder::Position,
            Some(ItemSort::Took) => LineOrder::Took,
            Some(ItemSort::Ended) => ended_at.get(at).copied().map_or(LineOrder::Took, LineOrder::Ended),
        };
        item_line(Some(item_address(scene.id, seq)), seq, move || Some(row.clone()), chosen, order)
    };
    view! {
        <p class="family-asked hint">{family}</p>
        <div class="found">
            <p class="hint" role="status">{move || words::counted(search.rows.with(|rows| rows.len() as u64), "item")} " here" {searched}</p>
            <button type="button" class="button button-quiet only-alive" class:act-none=move || !search.goes_on() on:click=move |_| search.stopped.set(true)>"Stop"</button>
            <button type="button" class="button button-quiet only-alive" class:act-none=move || !search.stopped.get() on:click=again>"Go on"</button>
            {retry_all(scene, query)}
        </div>
        <p class="hint" role="alert">{move || words::shown(&search.failed.get())}</p>
        {chosen.map(|chosen| chosen::bar(scene, chosen))}
        <div class="lines" role="table" aria-label="Items that match" class:lines-none=move || search.rows.with(Vec::is_empty)>
            {head_line(heads(scene, query))}
            {move || search.rows.get().into_iter().enumerate().map(&row).collect::<Vec<_>>()}
        </div>
        <nav class="pager" aria-label="Pages of matches">{next}</nav>
    }
    .into_any()
}

/// All that match, shown or not, again: of a state that can be retried, or of a family.
fn retry_all(scene: Scene, query: &ItemQuery) -> Option<AnyView> {
    let retried = matches!(query.state, Some(ItemState::Failed | ItemState::Cancelled));
    if query.q.is_some() || !(retried || query.family.is_some()) || !chosen::may_choose(scene) {
        return None;
    }
    let state = query.state.unwrap_or(ItemState::Failed);
    let family = query.family.clone();
    let count = {
        let family = family.clone();
        move || match &family {
            Some(family) => scene.families.with(|families| families.get(family).copied()),
            None => Some(scene.batch.with(|batch| batch.count(state))),
        }
    };
    let label = move || match count() {
        Some(count) => format!("Retry all {} that match", words::thousands(count)),
        None => "Retry all that match".to_owned(),
    };
    let family =
        family.map(|family| view! { <input type="hidden" name="family" value=family.to_string() /> });
    Some(
        view! {
            <ActionForm action=scene.retry>
                <input type="hidden" name="batch" value=scene.id.to_string() />
                <input type="hidden" name="state" value=state.as_str() />
                {family}
                <button class="button">{label}</button>
            </ActionForm>
        }
        .into_any(),
    )
}
