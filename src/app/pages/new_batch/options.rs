//! The folded options of a new batch.
//!
//! A field is named `option.NAME`, and an empty one leaves the default.

use leptos::prelude::*;

use super::start;

/// A number that may be left empty.
struct Number {
    name: &'static str,
    title: &'static str,
    hint: &'static str,
    min: &'static str,
    step: &'static str,
}

const NUMBERS: [Number; 8] = [
    Number { name: "priority", title: "Priority", hint: "higher first; 0", min: "", step: "1" },
    Number {
        name: "attempts_max",
        title: "Attempts per item",
        hint: "as the engine is set",
        min: "1",
        step: "1",
    },
    Number {
        name: "timeout_seconds",
        title: "Time limit of an attempt, s",
        hint: "as the task says",
        min: "0",
        step: "any",
    },
    Number { name: "concurrency", title: "Slots at once", hint: "no limit of its own", min: "1", step: "1" },
    Number { name: "rate_per_s", title: "Items per second at most", hint: "no limit", min: "0", step: "any" },
    Number { name: "try_first", title: "Try first", hint: "run so many, then pause", min: "1", step: "1" },
    Number {
        name: "budget.failed_percent",
        title: "Pause at failed, %",
        hint: "never",
        min: "0",
        step: "any",
    },
    Number {
        name: "budget.failed_in_a_row",
        title: "Pause at failed in a row",
        hint: "never",
        min: "1",
        step: "1",
    },
];

/// The options.
pub fn options() -> impl IntoView {
    let numbers: Vec<_> = NUMBERS
        .iter()
        .map(|number| {
            let id = format!("option.{}", number.name);
            let min = (!number.min.is_empty()).then_some(number.min);
            view! {
                <div class="field">
                    <label for=id.clone()>{number.title}</label>
                    <input type="number" id=id.clone() name=id min=min step=number.step placeholder=number.hint />
                </div>
            }
        })
        .collect();
    view! {
        <div class="field">
            <label for="name">"Name"</label>
            <input id="name" name="name" maxlength="200" placeholder="made from the input" />
        </div>
        <details class="options">
            <summary>"Options"</summary>
            <div class="fields">
                {numbers}
                {start::start()}
                <div class="field">
                    <label for="option.webhook">"Tell this address at the end"</label>
                    <input
                        type="url"
                        id="option.webhook"
                        name="option.webhook"
                        maxlength="2000"
                        placeholder="https://hooks.example/milepost"
                    />
                </div>
                <div class="field field-check">
                    <input type="checkbox" id="option.private" name="option.private" value="true" />
                    <label for="option.private">"Only I and admins see it"</label>
                </div>
            </div>
        </details>
    }
}
