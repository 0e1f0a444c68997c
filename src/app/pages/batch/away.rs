//! What happened while nobody looked: contact was lost, or the tab was hidden.
//!
//! The sentence is made of committed counts, and stands until it is dismissed.

use std::collections::HashMap;
use std::time::Duration;

use leptos::prelude::*;

use super::Scene;
use crate::app::clock;
use crate::app::live::use_live;
use crate::client::words;
use crate::protocol::{FamilyId, Timestamp};

/// Lost contact of so long is told: the banner has been seen.
const LOST_MS_MIN: u64 = 5_000;
/// A hidden tab is told of after so long.
const HIDDEN_MS_MIN: u64 = 20_000;
/// After the return, until the topics have answered.
const SETTLE: Duration = Duration::from_millis(1_500);

/// So often after that it is looked whether the causes of new failures have come.
const LATER_LOOKS: u32 = 6;

/// The numbers when somebody left.
#[derive(Clone, Debug)]
struct Before {
    at: Timestamp,
    least_ms: u64,
    done: u64,
    failed: u64,
    families: HashMap<FamilyId, u64>,
}

/// The sentence, after a return.
pub fn away(scene: Scene) -> impl IntoView {
    let lost = use_live().away();
    let now = clock::use_clock();
    let hidden = RwSignal::new(false);
    let before = StoredValue::new(None::<Before>);
    let said = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        let handle =
            window_event_listener_untyped("visibilitychange", move |_| hidden.set(document().hidden()));
        on_cleanup(move || handle.remove());
    });
    Effect::new(move |was: Option<bool>| {
        let gone = hidden.get() || lost.get().is_some();
        match (was == Some(true), gone) {
            (false, true) => before.set_value(leave(scene, lost.get_untracked(), now.get_untracked())),
            (true, false) => set_timeout(move || back(scene, before, now, said), SETTLE),
            (true, true) | (false, false) => {}
        }
        gone
    });
    let close = move |_| said.set(None);
    view! {
        <div role="status">
            {move || said.get().map(|words| view! {
                <p class="away">
                    <span>{words}</span>
                    <button type="button" class="button button-quiet" on:click=close>"Dismiss"</button>
                </p>
            })}
        </div>
    }
}

fn leave(scene: Scene, lost: Option<Timestamp>, now: Option<Timestamp>) -> Option<Before> {
    let (done, failed) = scene.batch.with_untracked(|batch| (batch.succeeded, batch.failed));
    let least_ms = if lost.is_some() { LOST_MS_MIN } else { HIDDEN_MS_MIN };
    Some(Before { at: lost.or(now)?, least_ms, done, failed, families: scene.families.get_untracked() })
}

/// The page may have gone meanwhile: then nothing is there to be told.
fn back(
    scene: Scene,
    before: StoredValue<Option<Before>>,
    now: Signal<Option<Timestamp>>,
    said: RwSignal<Option<String>>,
) {
    let Some(before) = before.try_update_value(Option::take).flatten() else { return };
    let (Some(Some(now)), Some(batch)) = (now.try_get_untracked(), scene.batch.try_get_untracked()) else {
        return;
    };
    if now.ms_since(before.at) >= before.least_ms {
        say(scene, before, (batch.succeeded, batch.failed), said, LATER_LOOKS);
    }
}

/// Says it, and while it is not known of which causes the new failures are, says it better once that is.
fn say(scene: Scene, before: Before, counts: (u64, u64), said: RwSignal<Option<String>>, looks: u32) {
    let Some(families) = scene.families.try_get_untracked() else { return };
    let words = words(&before, counts.0, counts.1, &families);
    let unexplained = counts.1 > before.failed && risen(&before, &families) == 0;
    if said.try_set(words.clone()).is_some() || !unexplained || looks == 0 {
        return;
    }
    let again = move || {
        // Dismissed, or said anew: this absence is over.
        if said.try_get_untracked() == Some(words) {
            say(scene, before, counts, said, looks - 1);
        }
    };
    set_timeout(again, SETTLE);
}

/// Causes of which there are more failures.
fn risen(before: &Before, families: &HashMap<FamilyId, u64>) -> u64 {
    let more = |(id, count): &(&FamilyId, &u64)| **count > before.families.get(*id).copied().unwrap_or(0);
    families.iter().filter(more).count() as u64
}

/// None where nothing has changed.
fn words(before: &Before, done: u64, failed: u64, families: &HashMap<FamilyId, u64>) -> Option<String> {
    let (done, failed) = (done.saturating_sub(before.done), failed.saturating_sub(before.failed));
    let failures = match (failed, risen(before, families)) {
        (0, _) => None,
        (_, 0) => Some(words::counted(failed, "new failure")),
        (_, risen) => {
            Some(format!("{} in {}", words::counted(failed, "new failure"), words::counted(risen, "family")))
        }
    };
    let done = (done > 0).then(|| format!("{} done", words::thousands(done)));
    let parts: Vec<_> = [done, failures].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("While you were away: {}.", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_new_only() {
        let family = |id: &str| FamilyId(id.to_owned());
        let before = Before {
            at: Timestamp(0),
            least_ms: 0,
            done: 100,
            failed: 5,
            families: HashMap::from([(family("a"), 5)]),
        };
        let now = HashMap::from([(family("a"), 15), (family("b"), 21), (family("c"), 0)]);
        let told = words(&before, 12_500, 36, &now);
        assert_eq!(told.as_deref(), Some("While you were away: 12,400 done, 31 new failures in 2 families."));
        assert_eq!(words(&before, 100, 5, &now), None);
        assert_eq!(words(&before, 101, 5, &now).as_deref(), Some("While you were away: 1 done."));
    }
}
