//! Webhooks: messages about the ends of batches, how far each has come, and what they are signed with.
//!
//! Read once, and again after an act: nothing here is live.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::{
    Redeliver, RotateWebhookSecret, load_deliveries, load_delivery, load_webhook_secret,
};
use crate::app::components::{When, error_panel, flash, panel, panel_or};
use crate::app::pages::{refused_page, titled};
use crate::app::router::use_address;
use crate::client::words;
use crate::protocol::{
    DeliveryAttempt, DeliveryDetail, DeliveryPage, DeliveryQuery, DeliveryState, WebhookDelivery,
    WebhookSecret,
};

/// The list.
#[component]
pub fn WebhooksPage() -> impl IntoView {
    let url = use_address();
    let again = ServerAction::<Redeliver>::new();
    let rotate = ServerAction::<RotateWebhookSecret>::new();
    let asked = move || {
        url.with(|url| DeliveryQuery {
            batch: url.asked("batch").and_then(|batch| batch.parse().ok()),
            state: url.asked("state").as_deref().and_then(DeliveryState::parse),
            cursor: url.asked("cursor"),
            limit: None,
        })
    };
    let deliveries =
        Resource::new(move || (asked(), again.version().get()), |(query, _sent)| load_deliveries(query));
    let secret = Resource::new(move || rotate.version().get(), |_changed| load_webhook_secret());
    titled(|| "Webhooks".into());
    view! {
        <section class="page">
            <header class="head"><h1>"Webhooks"</h1></header>
            <p class="hint">
                "A batch that was submitted with a webhook posts a signed message to that address when it ends. "
                "Nothing is lost while nobody answers there: a message is sent up to ten times over three days."
            </p>
            {move || flash(again.value().get().and_then(Result::err))}
            {move || flash(rotate.value().get().and_then(Result::err))}
            {panel_or(
                deliveries,
                move |page| list(page, again),
                move |error| error_panel(&error, move || deliveries.refetch()),
            )}
            <details class="panel secret">
                <summary>"What my messages are signed with"</summary>
                {panel(secret, move |secret| signing(secret, rotate))}
            </details>
        </section>
    }
}

fn list(page: DeliveryPage, again: ServerAction<Redeliver>) -> AnyView {
    let DeliveryPage { deliveries, next } = page;
    if deliveries.is_empty() {
        return view! {
            <p class="panel panel-empty">
                "No message was sent yet. Name an address under \"Options\" of a new batch, or as "
                <code>"options.webhook"</code> "."
            </p>
        }
        .into_any();
    }
    let rows: Vec<_> = deliveries.into_iter().map(|delivery| row(delivery, again)).collect();
    let more =
        next.map(|cursor| view! { <a class="button" href=format!("/webhooks?cursor={cursor}")>"Older"</a> });
    view! { <ul class="deliveries">{rows}</ul> {more} }.into_any()
}

fn badge(state: DeliveryState) -> impl IntoView {
    let (look, mark, word) = match state {
        DeliveryState::Waiting => ("pending", "·", "waiting"),
        DeliveryState::Delivered => ("succeeded", "✓", "delivered"),
        DeliveryState::Failed => ("failed", "✕", "given up"),
    };
    view! {
        <span class=format!("badge badge-{look}")>
            <span class="badge-mark" aria-hidden="true">{mark}</span>
            <span>{word}</span>
        </span>
    }
}

fn row(delivery: WebhookDelivery, again: ServerAction<Redeliver>) -> impl IntoView {
    let detail = format!("/webhooks/{}", delivery.id);
    view! {
        <li class="delivery">
            {badge(delivery.state)}
            <a class="delivery-url" href=detail>{words::shown(&delivery.url)}</a>
            <span class="delivery-facts">
                <a href=format!("/batches/{}", delivery.batch)>"batch"</a>
                " · ended " <When at=Signal::stored(delivery.created_at) /> " · "
                {words::counted(delivery.attempts, "attempt")}
                {delivery.next_at.map(|at| view! { " · next " <When at=Signal::stored(at) /> })}
            </span>
            {delivery.error.map(|error| view! { <span class="delivery-error">{words::shown(&error)}</span> })}
            {send_again(delivery.id.0, again)}
        </li>
    }
}

fn send_again(id: String, again: ServerAction<Redeliver>) -> impl IntoView {
    view! {
        <ActionForm action=again>
            <input type="hidden" name="delivery" value=id />
            <button class="button button-quiet">"Send again"</button>
        </ActionForm>
    }
}

fn signing(secret: WebhookSecret, rotate: ServerAction<RotateWebhookSecret>) -> AnyView {
    let old = secret.previous_until.map(|until| {
        view! { <p>"The secret before it signs too, until " {words::absolute(until)} "."</p> }
    });
    view! {
        <p><code class="secret-text">{secret.secret}</code></p>
        <p class="hint">
            "Whoever receives a message proves with it that the message is yours: see "
            <a href="https://www.standardwebhooks.com/" rel="noreferrer">"Standard Webhooks"</a> "."
        </p>
        {old}
        <ActionForm action=rotate>
            <button class="button button-quiet">"Make a new one"</button>
        </ActionForm>
    }
    .into_any()
}

/// One delivery.
#[component]
pub fn DeliveryDetailPage() -> impl IntoView {
    let address = use_address();
    let again = ServerAction::<Redeliver>::new();
    let id = Memo::new(move |_| address.with(|address| address.part(1)));
    let delivery = Resource::new(move || (id.get(), again.version().get()), |(id, _sent)| load_delivery(id));
    titled(|| "Webhook".into());
    view! {
        <section class="page">
            {move || flash(again.value().get().and_then(Result::err))}
            {panel_or(
                delivery,
                move |detail| show(detail, again),
                move |error| refused_page(error, move || delivery.refetch()),
            )}
        </section>
    }
}

fn show(detail: DeliveryDetail, again: ServerAction<Redeliver>) -> AnyView {
    let DeliveryDetail { delivery, payload, history } = detail;
    let attempts: Vec<_> = history.into_iter().map(attempt).collect();
    let none = attempts.is_empty().then(|| view! { <p class="hint">"It was not sent yet."</p> });
    view! {
        <header class="head">
            <p class="hint"><a href="/webhooks">"Webhooks"</a></p>
            <h1 class="delivery-url">{words::shown(&delivery.url)}</h1>
        </header>
        <p class="delivery-facts">
            {badge(delivery.state)} " " <a href=format!("/batches/{}", delivery.batch)>"batch"</a> " · "
            <code>{delivery.id.0.clone()}</code>
            {delivery.next_at.map(|at| view! { " · next " <When at=Signal::stored(at) /> })}
        </p>
        {send_again(delivery.id.0, again)}
        <h2>"Attempts"</h2>
        {none}
        <ol class="deliveries">{attempts}</ol>
        <h2>"Message"</h2>
        <pre class="panel payload">{words::shown(&payload)}</pre>
    }
    .into_any()
}

fn attempt(attempt: DeliveryAttempt) -> impl IntoView {
    let outcome = match attempt.status {
        Some(status) => format!("answered {status}"),
        None => "no answer".to_owned(),
    };
    view! {
        <li class="delivery">
            <span class="numbers">{format!("#{}", attempt.number)}</span>
            <span>{outcome} " after " {words::duration(attempt.ms)} " · " <When at=Signal::stored(attempt.started_at) /></span>
            {attempt.error.map(|error| view! { <span class="delivery-error">{words::shown(&error)}</span> })}
            {attempt.answer.map(|answer| view! { <pre class="payload">{words::shown(&answer)}</pre> })}
        </li>
    }
}
