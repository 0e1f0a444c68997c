//! When a schedule is due: fields of its form, here and on the page of a batch.

use leptos::prelude::*;

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
