//! The list of batches.
//!
//! Reads a page of batches once, then live; newer ones are counted on a chip and do not push rows under the pointer.
//! Filter and position are in the URL.

mod chosen;
mod row;

use leptos::form::ActionForm;
use leptos::prelude::*;

use self::chosen::ChosenBatches;
use self::row::{RowContext, active_row, finished_row};
use super::bulk_acts::bulk_acts;
use super::title::{progress_icon, refreshes, titled};
use crate::app::actions::{ActOnBatches, RunDemo, load_batches, load_counts, load_tasks};
use crate::app::address::{Address, Query};
use crate::app::components::{asking, flash, live_trouble, panel};
use crate::app::current_user::me;
use crate::app::live::{LiveRows, use_listed_batches};
use crate::app::router::{use_address, use_router};
use crate::client::words;
use crate::protocol::{Batch, BatchCounts, BatchId, BatchPage, BatchQuery, Me, TaskPage};

/// Batches on one page of the list.
const ROWS: u32 = 50;

/// What the URL asks for.
fn asked(address: &Address) -> BatchQuery {
    let text = |key: &str| address.asked(key);
    BatchQuery {
        state: text("state"),
        task: text("task"),
        owner: text("owner"),
        q: text("q"),
        parent: None,
        cursor: text("cursor"),
        limit: Some(ROWS),
    }
}

/// True for the newest of all batches.
fn is_plain(query: &BatchQuery) -> bool {
    *query == BatchQuery { limit: query.limit, ..BatchQuery::default() }
}

/// The address of `query`, without its position.
fn address(query: &BatchQuery) -> String {
    let pairs = [("state", &query.state), ("task", &query.task), ("owner", &query.owner), ("q", &query.q)];
    let mut asked = Query::default();
    for (key, value) in pairs {
        if let Some(value) = value {
            asked.set(key, value);
        }
    }
    format!("/{asked}")
}

/// The page.
#[component]
pub fn BatchesPage() -> impl IntoView {
    let url = use_address();
    let query = Memo::new(move |_| url.with(asked));
    let batches = Resource::new(move || query.get(), load_batches);
    let counts = Resource::new(|| (), |()| load_counts());
    let tasks = Resource::new(|| (), |()| load_tasks());
    let rows = RowContext {
        act: ServerAction::new(),
        retry: ServerAction::new(),
        sparks: StoredValue::new(Vec::new()),
    };
    let many = ServerAction::<ActOnBatches>::new();
    let noticed = StoredValue::new(0);
    let refresh = Callback::new(move |newest: u64| {
        noticed.update_value(|noticed| *noticed = newest.max(*noticed));
        batches.refetch();
        counts.refetch();
    });
    view! {
        <section class="page page-wide">
            <header class="head">
                <h1>"Batches"</h1>
                <a class="button button-primary" href="/new">"+ New batch"</a>
            </header>
            {move || flash(rows.act.value().get().and_then(Result::err))}
            {move || flash(rows.retry.value().get().and_then(Result::err))}
            {move || flash(many.value().get().and_then(Result::err))}
            <div class="filters">
                {panel(counts, move |counts| filter_row(counts, query))}
                {panel(tasks, move |tasks| search(&tasks, &query.get_untracked()))}
            </div>
            {panel(batches, move |page: BatchPage| {
                let asked = query.get_untracked();
                let of = page.batches.iter().map(|batch| batch.id);
                rows.sparks.set_value(of.zip(page.sparks.clone()).collect());
                let acts = ListActs { one: rows, many };
                list(page, &asked, me(), acts, UnseenNotice { noticed: noticed.get_value(), refresh })
            })}
            {bulk_acts(many, Callback::new(move |()| refresh.run(0)))}
        </section>
    }
}

fn filter_row(counts: BatchCounts, query: Memo<BatchQuery>) -> AnyView {
    let choices = [
        ("Active", "active", counts.active),
        ("Finished", "finished", counts.finished),
        ("With failures", "failures", counts.with_failures),
        ("All", "", counts.all),
    ];
    let links = choices.map(|(title, state, count)| {
        let chosen = move || query.with(|query| query.state.as_deref().unwrap_or_default() == state);
        let href = move || {
            let state = (!state.is_empty()).then(|| state.to_owned());
            query.with(|query| address(&BatchQuery { state, ..query.clone() }))
        };
        view! {
            <a class="filter" href=href aria-current=move || chosen().then_some("true")>
                {title} " " <span class="count">{words::thousands(count)}</span>
            </a>
        }
    });
    view! { <nav class="filter-row" aria-label="Filter by state">{links.into_iter().collect::<Vec<_>>()}</nav> }.into_any()
}

fn search(tasks: &TaskPage, query: &BatchQuery) -> AnyView {
    let options: Vec<_> = tasks
        .tasks
        .iter()
        .map(|task| {
            let chosen = query.task.as_deref() == Some(task.name.as_str());
            view! { <option value=task.name.clone() selected=chosen>{words::shown(&task.title)}</option> }
        })
        .collect();
    let state = query.state.clone().map(|state| view! { <input type="hidden" name="state" value=state /> });
    view! {
        <a class="button only-moving" href=asking("search")>"Search"</a>
        <button type="button" class="button only-narrow" popovertarget="search">"Search"</button>
        <form class="search fold" id="search" popover="auto" method="get" action="/" role="search">
            {state}
            <input type="search" name="q" aria-label="Search by name or #number" placeholder="name or #number" value=query.q.clone().unwrap_or_default() />
            <select name="task" aria-label="Task">
                <option value="">"Any task"</option>
                {options}
            </select>
            <input class="owner" name="owner" aria-label="Owner" placeholder="owner" value=query.owner.clone().unwrap_or_default() />
            <button class="button">"Find"</button>
        </form>
    }
    .into_any()
}

/// What the list asks: of one batch, and of those that are chosen.
#[derive(Clone, Copy)]
struct ListActs {
    one: RowContext,
    many: ServerAction<ActOnBatches>,
}

fn list(page: BatchPage, query: &BatchQuery, me: Option<Me>, acts: ListActs, news: UnseenNotice) -> AnyView {
    let running = page.batches.iter().any(|batch| !batch.state.is_finished());
    let plain = is_plain(query);
    if page.batches.is_empty() {
        return if plain { empty(news) } else { nothing_found(query, news) };
    }
    let older = page.next.clone().map(|cursor| {
        let base = address(query);
        let joint = if base.contains('?') { '&' } else { '?' };
        view! { <a class="button" href=format!("{base}{joint}cursor={cursor}")>"Older"</a> }
    });
    let newest = query.cursor.is_some().then(|| view! { <a class="button" href=address(query)>"Newest"</a> });
    let (finished, active): (Vec<_>, Vec<_>) =
        page.batches.iter().partition(|batch| batch.state.is_finished());
    let (finished, active) = (ids(&finished), ids(&active));
    let me = StoredValue::new(me);
    let here = use_address().with_untracked(|address| address.query.clone());
    let chosen = ChosenBatches::of(&page.batches, &here, me);
    let rows = use_listed_batches(page.batches, news.belongs(query));
    let look = Look { me, context: acts.one, rows, chosen };
    titled(move || list_title(&rows.list()));
    progress_icon(move || list_part(&rows.list()));
    view! {
        {refreshes(running)}
        {unseen_chip(rows, news)}
        {live_trouble(rows)}
        {chosen::choosing(chosen, rows, &here)}
        {group("Active", active_row, look, active)}
        {group("Finished", finished_row, look, finished)}
        {chosen::bar(chosen, acts.many)}
        <nav class="pager" aria-label="Pages of the list">{newest}{older}</nav>
    }
    .into_any()
}

fn ids(batches: &[&Batch]) -> Vec<BatchId> {
    batches.iter().map(|batch| batch.id).collect()
}

/// What the rows of a list look at.
#[derive(Clone, Copy)]
struct Look {
    me: StoredValue<Option<Me>>,
    context: RowContext,
    rows: LiveRows<Batch>,
    chosen: ChosenBatches,
}

/// A row, with the box that chooses it.
type RowView = fn(Signal<Batch>, AnyView, Option<&Me>, RowContext) -> AnyView;

/// The batches `ids`, which were under way when the list was read, or had ended; nothing where there are none.
fn group(title: &'static str, row: RowView, look: Look, ids: Vec<BatchId>) -> Option<AnyView> {
    if ids.is_empty() {
        return None;
    }
    let Look { me, context, rows, chosen } = look;
    let shown = Memo::new(move |before: Option<&Vec<BatchId>>| match before {
        Some(before) if chosen.any() => before.clone(),
        Some(_) | None => {
            let listed = rows.order.get();
            ids.iter().filter(|id| listed.contains(id)).copied().collect::<Vec<_>>()
        }
    });
    let row = move |id| {
        let batch = chosen.held(rows.row(&id)?);
        let check = chosen::check_box(chosen, batch);
        Some(me.with_value(|me| row(batch, check, me.as_ref(), context)))
    };
    let class = format!("rows rows-{}", title.to_lowercase());
    Some(
        view! {
            <section class="group">
                <h2>{title}</h2>
                <ol class=class aria-label=format!("{title} batches")>
                    <For each=move || shown.get() key=|id| *id children=row />
                </ol>
            </section>
        }
        .into_any(),
    )
}

/// The tab carries the progress of what runs.
fn list_title(batches: &[Batch]) -> String {
    let running = batches.iter().filter(|batch| !batch.state.is_finished()).count() as u64;
    match list_part(batches) {
        Some(tenths) => format!("{} % of {}", tenths / 10, words::counted(running, "batch")),
        None => "Batches".into(),
    }
}

/// How much of all that runs has ended, in per mille.
fn list_part(batches: &[Batch]) -> Option<u64> {
    let running = batches.iter().filter(|batch| !batch.state.is_finished());
    let (ended, total) =
        running.fold((0, 0), |(ended, total), batch| (ended + batch.ended(), total + batch.total));
    words::per_mille(ended, total)
}

/// Batches that came after the list was read.
#[derive(Clone, Copy)]
struct UnseenNotice {
    /// Number of the newest that somebody has asked for already: it is told no more, should the list not show it.
    noticed: u64,
    /// Reads the list anew, with the newest number that was told.
    refresh: Callback<u64>,
}

impl UnseenNotice {
    /// Which batches would stand on the list of `query`, were it read now.
    fn belongs(self, query: &BatchQuery) -> impl Fn(&Batch) -> bool + Send + Sync + 'static {
        let query = query.clone();
        move |batch| batch.number > self.noticed && query.admits(batch)
    }

    fn read(self, rows: LiveRows<Batch>) {
        let newest = rows.unseen_rows().iter().map(|batch| batch.number).max();
        self.refresh.run(newest.unwrap_or_default());
    }
}

fn unseen_chip(rows: LiveRows<Batch>, news: UnseenNotice) -> impl IntoView {
    view! {
        <div class="unseen" role="status">
            <Show when=move || rows.unseen.get() != 0>
                <button type="button" class="button chip-new" on:click=move |_| news.read(rows)>
                    {move || format!("{} new", rows.unseen.get())}
                </button>
            </Show>
        </div>
    }
}

fn nothing_found(query: &BatchQuery, news: UnseenNotice) -> AnyView {
    titled(|| "Batches".into());
    let rows = use_listed_batches(Vec::new(), news.belongs(query));
    view! {
        {unseen_chip(rows, news)}
        <p class="panel panel-empty">"No batch is like that. " <a href="/">"Show all"</a></p>
    }
    .into_any()
}

/// Nothing yet: one sentence, a place to drop files, and a demonstration. A first batch by others appears by itself.
fn empty(news: UnseenNotice) -> AnyView {
    let demo = ServerAction::<RunDemo>::new();
    let rows = use_listed_batches(Vec::new(), |_| true);
    let router = use_router();
    Effect::new(move |_| {
        // The demo goes to its own batch: nothing is to be read anew for it.
        if rows.unseen.get() != 0 && demo.version().get_untracked() == 0 && !demo.pending().get_untracked() {
            news.read(rows);
        }
    });
    let open = move |_| router.go("/new");
    titled(|| "Batches".into());
    view! {
        <div class="welcome">
            <p class="lead">"Milepost runs a task over many items and shows, live, how far it has come."</p>
            <div class="drop-zone" on:dblclick=open>
                <p><strong>"Drop files or a folder anywhere"</strong></p>
                <p class="hint">"or " <a href="/new">"choose files, paste lines, or take a CSV"</a></p>
            </div>
            {move || flash(demo.value().get().and_then(Result::err))}
            <ActionForm action=demo>
                <button class="button button-primary">"Run the demo"</button>
                <p class="hint">"2,000 small items, a few of which fail: bar, families and retry within 30 seconds."</p>
            </ActionForm>
        </div>
    }
    .into_any()
}
