//! The form of a new schedule.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::SaveSchedule;
use crate::app::components::timing_fields;

/// The form.
pub fn form(save: ServerAction<SaveSchedule>) -> impl IntoView {
    view! {
        <details class="part schedule-new">
            <summary class="button">"New schedule"</summary>
            <ActionForm action=save>
                <div class="fields">
                    <div class="field">
                        <label for="schedule-from">"Batch to make again"</label>
                        <input id="schedule-from" name="from_batch" placeholder="#12" autocomplete="off" />
                        <span class="hint">"Its number: the same task, parameters and items."</span>
                    </div>
                    <div class="field">
                        <label for="schedule-body">"or a new batch, as JSON"</label>
                        <textarea id="schedule-body" name="body" rows="3" spellcheck="false" placeholder="{\"task\": \"demo\", \"items\": {\"count\": 100}}"></textarea>
                    </div>
                </div>
                {timing_fields()}
                <button class="button button-primary">"Save"</button>
            </ActionForm>
        </details>
    }
}
