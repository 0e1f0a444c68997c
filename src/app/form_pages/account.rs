//! One's own account: password, sessions, tokens.
//!
//! Read once, and again after an act. A token is shown once, when it is made.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::{Account, ChangePassword, CreateToken, EndSession, RevokeToken, load_account};
use crate::app::components::{When, flash, panel};
use crate::app::pages::titled;
use crate::client::words;
use crate::protocol::{AccessToken, LoginSession};

/// What people do here.
#[derive(Clone, Copy)]
struct Acts {
    password: ServerAction<ChangePassword>,
    end: ServerAction<EndSession>,
    create: ServerAction<CreateToken>,
    revoke: ServerAction<RevokeToken>,
}

/// The page.
#[component]
pub fn AccountPage() -> impl IntoView {
    let acts = Acts {
        password: ServerAction::new(),
        end: ServerAction::new(),
        create: ServerAction::new(),
        revoke: ServerAction::new(),
    };
    let done = move || {
        let versions = [acts.end.version(), acts.create.version(), acts.revoke.version()];
        versions.map(|version| version.get())
    };
    let account = Resource::new(done, |_done| load_account());
    titled(|| "Account".into());
    let made = move || acts.create.value().get().and_then(Result::ok);
    let changed = move || acts.password.value().get().is_some_and(|done| done.is_ok());
    view! {
        <section class="page">
            <header class="head"><h1>"Account"</h1></header>
            {move || flash(acts.password.value().get().and_then(Result::err))}
            {move || flash(acts.end.value().get().and_then(Result::err))}
            {move || flash(acts.create.value().get().and_then(Result::err))}
            {move || flash(acts.revoke.value().get().and_then(Result::err))}
            {move || made().map(|secret| shown_once(&secret, "This token is shown this once"))}
            <Show when=changed>
                <p class="panel" role="status">"Your password is changed. Your other sessions have ended."</p>
            </Show>
            {panel(account, move |account| show(account, acts))}
        </section>
    }
}

/// A secret that nobody is shown again.
pub fn shown_once(secret: &str, what: &'static str) -> AnyView {
    view! {
        <p class="panel secret" role="status">{what} ": " <code class="secret-text">{words::shown(secret)}</code></p>
    }
    .into_any()
}

fn show(account: Account, acts: Acts) -> AnyView {
    let Account { sessions, tokens, once, has_password } = account;
    let others = sessions.sessions.iter().any(|session| !session.current);
    let sessions: Vec<_> = sessions.sessions.into_iter().map(|session| session_row(session, acts)).collect();
    let tokens: Vec<_> = tokens.tokens.into_iter().map(|token| token_row(token, acts)).collect();
    let none = tokens.is_empty().then(|| view! { <p class="hint">"You have none."</p> });
    view! {
        {once.map(|secret| shown_once(&secret, "This token is shown this once"))}
        {has_password.then(|| password_form(acts))}
        <h2>"Sessions"</h2>
        <ul class="deliveries">{sessions}</ul>
        {others.then(|| view! {
            <ActionForm action=acts.end><button class="button">"End all others"</button></ActionForm>
        })}
        <h2>"Tokens"</h2>
        <p class="hint">"For programs: a token may what you may, or less."</p>
        {none}
        <ul class="deliveries">{tokens}</ul>
        {token_form(acts)}
    }
    .into_any()
}

fn password_form(acts: Acts) -> impl IntoView {
    view! {
        <h2>"Password"</h2>
        <ActionForm action=acts.password attr:class="card form">
            <div class="field">
                <label for="current">"Password until now"</label>
                <input id="current" type="password" name="current" autocomplete="current-password" required />
            </div>
            <div class="field">
                <label for="new">"New password"</label>
                <input id="new" type="password" name="new" autocomplete="new-password" minlength="8" maxlength="256" required />
            </div>
            <button class="button">"Change it"</button>
        </ActionForm>
    }
}

fn session_row(session: LoginSession, acts: Acts) -> impl IntoView {
    let device = if session.device.is_empty() { "unknown".to_owned() } else { words::shown(&session.device) };
    view! {
        <li class="delivery">
            <span class="delivery-url">{device}</span>
            <span class="delivery-facts">
                {words::shown(&session.address)} " · used " <When at=Signal::stored(session.seen_at) />
            </span>
            {if session.current {
                view! { <span class="hint">"this one"</span> }.into_any()
            } else {
                view! {
                    <ActionForm action=acts.end>
                        <input type="hidden" name="id" value=session.id />
                        <button class="button button-quiet">"End"</button>
                    </ActionForm>
                }
                .into_any()
            }}
        </li>
    }
}

fn token_row(token: AccessToken, acts: Acts) -> impl IntoView {
    let mut reach: Vec<String> = token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    reach.extend(token.task.map(|task| format!("task {}", words::shown(&task))));
    reach.extend(token.batch.map(|batch| format!("batch {batch}")));
    let reach = if reach.is_empty() { String::new() } else { format!(" · {}", reach.join(", ")) };
    view! {
        <li class="delivery">
            <strong class="delivery-url">{words::shown(&token.name)}</strong>
            <span class="delivery-facts">
                {token.role.as_str()} {reach}
                {match token.used_at {
                    Some(at) => view! { " · used " <When at=Signal::stored(at) /> }.into_any(),
                    None => view! { " · never used" }.into_any(),
                }}
                {token.expires_at.map(|at| view! { " · ends " <When at=Signal::stored(at) /> })}
            </span>
            <ActionForm action=acts.revoke>
                <input type="hidden" name="name" value=token.name.clone() />
                <button class="button button-quiet">"Revoke"</button>
            </ActionForm>
        </li>
    }
}

fn token_form(acts: Acts) -> impl IntoView {
    view! {
        <ActionForm action=acts.create attr:class="card form">
            <div class="field">
                <label for="token-name">"Name of a new token"</label>
                <input id="token-name" name="name" maxlength="64" required />
            </div>
            <div class="field">
                <label for="token-role">"It may at most"</label>
                <select id="token-role" name="role">
                    <option value="viewer">"look"</option>
                    <option value="operator">"submit and act as well"</option>
                    <option value="admin">"everything"</option>
                </select>
            </div>
            <div class="field">
                <label for="token-task">"For one task only"</label>
                <input id="token-task" name="task" maxlength="64" placeholder="any task" />
            </div>
            <div class="field">
                <label for="token-days">"Days until it ends"</label>
                <input id="token-days" type="number" name="days" min="1" max="3650" placeholder="never" />
            </div>
            <button class="button">"Make it"</button>
        </ActionForm>
    }
}
