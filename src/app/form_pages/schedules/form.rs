//! The form of a new schedule.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::SaveSchedule;

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

/// When it is due, and by what name.
pub fn timing_fields() -> impl IntoView {
    view! {
        <div class="fields">
            <div class="field">
                <label for="schedule-name">"Name"</label>
                <input id="schedule-name" name="name" maxlength="200" placeholder="that of the batch" autocomplete="off" />
            </div>
            <div class="field">
                <label for="schedule-cron">"Cron"</label>
                <input id="schedule-cron" name="cron" required placeholder="30 2 * * MON-FRI" autocomplete="off" spellcheck="false" />
                <span class="hint">"minute, hour, day, month, weekday; or @daily"</span>
            </div>
            <div class="field">
                <label for="schedule-zone">"Time zone"</label>
                <input id="schedule-zone" name="time_zone" placeholder="UTC" autocomplete="off" spellcheck="false" />
                <span class="hint">"like Europe/Berlin"</span>
            </div>
            <div class="field">
                <label for="schedule-from-time">"Not before"</label>
                <input id="schedule-from-time" type="time" name="window_from" />
            </div>
            <div class="field">
                <label for="schedule-until-time">"Not from"</label>
                <input id="schedule-until-time" type="time" name="window_until" />
            </div>
            <div class="field">
                <label for="schedule-overlap">"While the last one runs"</label>
                <select id="schedule-overlap" name="overlap">
                    <option value="skip">"leave it out"</option>
                    <option value="queue">"wait"</option>
                </select>
            </div>
        </div>
    }
}
