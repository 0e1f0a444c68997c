//! Batches that somebody has chosen in the list, and what can be done to them.
//!
//! What is done goes to those that it fits, and each button says to how many. While any is chosen, rows stay as they are: what
//! is seen is what is acted on. Without scripts the boxes stand in a form of their own, whose page knows what was chosen.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::ActOnBatches;
use crate::app::address::Query;
use crate::app::components::Confirm;
use crate::app::current_user::{may_act, offers};
use crate::app::live::LiveRows;
use crate::app::plain_forms::{ASK, CHOSEN};
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchId, Me};

/// The form without scripts.
const FORM: &str = "choose";

/// The batches that somebody has chosen, as they stood on the page.
#[derive(Clone, Copy)]
pub struct ChosenBatches {
    batches: RwSignal<Vec<Batch>>,
    me: StoredValue<Option<Me>>,
}

impl ChosenBatches {
    /// Those of a page that its address names; who chooses is `me`.
    pub fn of(page: &[Batch], query: &Query, me: StoredValue<Option<Me>>) -> Self {
        let named = |batch: &&Batch| {
            let number = batch.number.to_string();
            query.all(CHOSEN).any(|chosen| chosen == number)
                && me.with_value(|me| may_act(me.as_ref(), batch))
        };
        Self { batches: RwSignal::new(page.iter().filter(named).cloned().collect()), me }
    }

    /// True while any is chosen; tracks.
    pub fn any(self) -> bool {
        self.batches.with(|batches| !batches.is_empty())
    }

    fn has(self, id: BatchId) -> bool {
        self.batches.with(|batches| batches.iter().any(|batch| batch.id == id))
    }

    fn may_choose(self, batch: &Batch) -> bool {
        self.me.with_value(|me| may_act(me.as_ref(), batch))
    }

    /// `batch`, which stays as it is while any is chosen.
    pub fn held(self, batch: Signal<Batch>) -> Signal<Batch> {
        let held = Memo::new(move |before: Option<&Batch>| match before {
            Some(before) if self.any() => before.clone(),
            Some(_) | None => batch.get(),
        });
        held.into()
    }

    /// Chooses all of a page that may be.
    fn choose_all(self, rows: LiveRows<Batch>) {
        let others = untrack(|| rows.list()).into_iter().filter(|batch| self.may_choose(batch));
        self.batches.update(|chosen| {
            let held: Vec<_> = chosen.iter().map(|batch| batch.id).collect();
            chosen.extend(others.filter(|batch| !held.contains(&batch.id)));
        });
    }

    fn clear(self) {
        self.batches.set(Vec::new());
    }

    /// Those that `act` would do something to; tracks.
    fn fit(self, act: BatchAct) -> Vec<Batch> {
        let fits = |batch: &&Batch| {
            let offered = self.me.with_value(|me| offers(me.as_ref(), batch, act));
            offered && (act != BatchAct::Retry || batch.failed > 0)
        };
        self.batches.with(|batches| batches.iter().filter(fits).cloned().collect())
    }
}

/// The box that chooses a batch; an empty place of its size where nobody may.
pub fn check_box(chosen: ChosenBatches, batch: Signal<Batch>) -> AnyView {
    let (id, number) = batch.with_untracked(|batch| (batch.id, batch.number));
    if !batch.with_untracked(|batch| chosen.may_choose(batch)) {
        return view! { <span class="row-check"></span> }.into_any();
    }
    let checked = move || chosen.has(id);
    let choose = move |event: leptos::ev::Event| {
        let batch = batch.get_untracked();
        let on = event_target_checked(&event);
        chosen.batches.update(|batches| {
            batches.retain(|held| held.id != id);
            if on {
                batches.push(batch);
            }
        });
    };
    let initially = untrack(checked);
    view! {
        <input type="checkbox" class="row-check" name=CHOSEN value=number.to_string() form=FORM checked=initially aria-label=format!("Choose #{number}") prop:checked=checked on:change=choose />
    }
    .into_any()
}

/// Chooses all of the page; without scripts, leads to a page that stays as it is, and on from there.
pub fn choosing(chosen: ChosenBatches, rows: LiveRows<Batch>, query: &Query) -> AnyView {
    if chosen.me.with_value(|me| me.as_ref().is_none_or(|me| me.role == crate::protocol::PersonRole::Viewer))
    {
        return ().into_any();
    }
    let all = move || {
        rows.order.track();
        chosen.any()
            && rows.list().iter().filter(|batch| chosen.may_choose(batch)).all(|batch| chosen.has(batch.id))
    };
    let choose_all = move |event: leptos::ev::Event| {
        if event_target_checked(&event) {
            chosen.choose_all(rows);
        } else {
            chosen.clear();
        }
    };
    let asks = query.get(ASK) == Some(FORM);
    let mut here = query.clone();
    here.remove(CHOSEN);
    here.set(ASK, FORM);
    let kept = here.pairs().filter(|(name, _)| *name != ASK);
    let kept: Vec<_> = kept
        .map(|(name, value)| view! { <input type="hidden" name=name.to_owned() value=value.to_owned() /> })
        .collect();
    let plain = if asks {
        view! {
            <form method="get" action="/" id=FORM>
                {kept}
                <input type="hidden" name=ASK value=FORM />
                <button class="button only-still">"Go on with what is chosen"</button>
            </form>
        }
        .into_any()
    } else {
        view! { <a class="button button-quiet only-still" href=here.to_string()>"Choose"</a> }.into_any()
    };
    view! {
        <div class="choosing" class:choosing-plain=asks>
            <label class="only-alive">
                <input type="checkbox" prop:checked=all on:change=choose_all />
                " Choose all on this page"
            </label>
            {plain}
        </div>
    }
    .into_any()
}

/// The bar: how many are chosen, that the rows are held, and what can be done to how many of them.
pub fn bar(chosen: ChosenBatches, action: ServerAction<ActOnBatches>) -> AnyView {
    Effect::new(move |before: Option<usize>| {
        let version = action.version().get();
        // What was refused is still chosen.
        if before.is_some_and(|before| before != version)
            && action.value().with_untracked(|value| matches!(value, Some(Ok(_))))
        {
            chosen.clear();
        }
        version
    });
    let count = move || chosen.batches.with(|batches| words::thousands(batches.len() as u64));
    view! {
        <div class="chosen chosen-batches" class:shown=move || chosen.any() role="group" aria-label="Chosen batches">
            <span role="status">{move || chosen.any().then(|| format!("{} chosen · updates held", count()))}</span>
            {at_once(chosen, action, BatchAct::Pause, "Pause")}
            {at_once(chosen, action, BatchAct::Resume, "Resume")}
            {asking_first(chosen, action, BatchAct::Cancel)}
            {at_once(chosen, action, BatchAct::Retry, "Retry failed of")}
            {asking_first(chosen, action, BatchAct::Delete)}
            <button type="button" class="button button-quiet only-alive" on:click=move |_| chosen.clear()>"Clear"</button>
        </div>
    }
    .into_any()
}

/// The chosen ones that an act fits: how many, how many items it ends or takes away, and the fields that name them.
#[derive(Clone, Copy)]
struct Fit {
    act: BatchAct,
    count: Memo<u64>,
    items: Memo<u64>,
    ids: Memo<String>,
}

impl Fit {
    fn of(chosen: ChosenBatches, act: BatchAct) -> Self {
        let items = move |batch: &Batch| {
            if act == BatchAct::Cancel { batch.total - batch.ended() } else { batch.total }
        };
        let ids =
            move || chosen.fit(act).iter().map(|batch| batch.id.to_string()).collect::<Vec<_>>().join(",");
        Self {
            act,
            count: Memo::new(move |_| chosen.fit(act).len() as u64),
            items: Memo::new(move |_| chosen.fit(act).iter().map(items).sum()),
            ids: Memo::new(move |_| ids()),
        }
    }

    fn fields(self) -> impl IntoView {
        view! {
            <input type="hidden" name="act" value=self.act.as_str() />
            <input type="hidden" name="batches" value=move || self.ids.get() />
        }
    }
}

fn at_once(
    chosen: ChosenBatches,
    action: ServerAction<ActOnBatches>,
    act: BatchAct,
    word: &'static str,
) -> AnyView {
    let fit = Fit::of(chosen, act);
    view! {
        <Show when=move || { fit.count.get() > 0 }>
            <ActionForm action=action>
                {fit.fields()}
                <button class="button">{move || format!("{word} {}", words::thousands(fit.count.get()))}</button>
            </ActionForm>
        </Show>
    }
    .into_any()
}

/// A question first, which says once more how much it is.
fn asking_first(chosen: ChosenBatches, action: ServerAction<ActOnBatches>, act: BatchAct) -> AnyView {
    let fit = Fit::of(chosen, act);
    let (word, warning) = match act {
        BatchAct::Delete => ("Delete", "They are taken away with their results, for good."),
        BatchAct::Cancel | BatchAct::Pause | BatchAct::Resume | BatchAct::Retry => {
            ("Cancel", "What runs is stopped. What has ended stays as it is.")
        }
    };
    let label = move || format!("{word} {}", words::thousands(fit.count.get()));
    let much = move || {
        let (batches, items) =
            (words::counted(fit.count.get(), "batch"), words::counted(fit.items.get(), "item"));
        format!("{word} {batches} with {items}")
    };
    view! {
        <Show when=move || { fit.count.get() > 0 }>
            <Confirm label=Signal::derive(label) warning=Signal::stored(warning.to_owned())>
                <ActionForm action=action>
                    {fit.fields()}
                    <button class="button button-danger">{much}</button>
                </ActionForm>
            </Confirm>
        </Show>
    }
    .into_any()
}
