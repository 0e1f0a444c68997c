//! People: who may come in, and what they may do. For admins.
//!
//! Read once, and again after an act. A link by which somebody sets their password is shown once.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::account::shown_once;
use crate::app::actions::{AddPerson, ChangePerson, ResetPassword, load_people};
use crate::app::components::{When, flash, panel_or};
use crate::app::pages::refused_page;
use crate::app::pages::titled;
use crate::client::words;
use crate::protocol::{Person, PersonPage, PersonRole, SignInBy};

const LINK: &str = "Give them this link: it sets their password, once, within a day. It is shown this once";

#[derive(Clone, Copy)]
struct Acts {
    add: ServerAction<AddPerson>,
    change: ServerAction<ChangePerson>,
    reset: ServerAction<ResetPassword>,
}

/// The page.
#[component]
pub fn PeoplePage() -> impl IntoView {
    let acts = Acts { add: ServerAction::new(), change: ServerAction::new(), reset: ServerAction::new() };
    let done = move || (acts.add.version().get(), acts.change.version().get());
    let people = Resource::new(done, |_done| load_people());
    let added = move || acts.add.value().get().and_then(Result::ok);
    let reset = move || acts.reset.value().get().and_then(Result::ok);
    titled(|| "People".into());
    view! {
        <section class="page">
            <header class="head"><h1>"People"</h1></header>
            {move || flash(acts.add.value().get().and_then(Result::err))}
            {move || flash(acts.change.value().get().and_then(Result::err))}
            {move || flash(acts.reset.value().get().and_then(Result::err))}
            {move || added().map(|link| shown_once(&link, LINK))}
            {move || reset().map(|link| shown_once(&link, LINK))}
            {panel_or(
                people,
                move |(page, once, ways)| show(page, once, &ways, acts),
                move |error| refused_page(error, move || people.refetch()),
            )}
        </section>
    }
}

fn show(page: PersonPage, once: Option<String>, ways: &[SignInBy], acts: Acts) -> AnyView {
    let none = page.people.is_empty().then(|| {
        view! {
            <p class="panel panel-empty">
                "Nobody can sign in with a password yet. Once somebody can, the one-time sign-in link is void, and this session with it: add an admin first."
            </p>
        }
    });
    let rows: Vec<_> = page.people.into_iter().map(|person| row(person, ways, acts)).collect();
    view! {
        {once.map(|link| shown_once(&link, LINK))}
        {none}
        <ul class="deliveries">{rows}</ul>
        <ActionForm action=acts.add attr:class="card form">
            <div class="field">
                <label for="person-name">"Name of a new person"</label>
                <input id="person-name" name="name" maxlength="64" required />
            </div>
            <div class="field">
                <label for="person-role">"They may"</label>
                {role_select("person-role".to_owned(), PersonRole::Operator)}
            </div>
            <button class="button">"Add them"</button>
        </ActionForm>
    }
    .into_any()
}

fn role_select(id: String, chosen: PersonRole) -> impl IntoView {
    let options: Vec<_> = PersonRole::ALL
        .into_iter()
        .map(|role| view! { <option value=role.as_str() selected=role == chosen>{role.as_str()}</option> })
        .collect();
    view! { <select id=id name="role">{options}</select> }
}

/// How somebody comes in who does not by a password.
fn comes_in(by: SignInBy) -> Option<&'static str> {
    match by {
        SignInBy::Password => None,
        SignInBy::Header => Some("named by the proxy · "),
        SignInBy::OpenId => Some("named by the provider · "),
    }
}

/// Has somebody come in otherwise.
fn come_in_otherwise(name: StoredValue<String>, by: SignInBy, acts: Acts) -> impl IntoView {
    let label = match by {
        SignInBy::Password => "By password only",
        SignInBy::Header => "By the proxy",
        SignInBy::OpenId => "By the provider",
    };
    view! {
        <ActionForm action=acts.change>
            <input type="hidden" name="name" value=name.get_value() />
            <input type="hidden" name="sign_in" value=by.as_str() />
            <button class="button button-quiet">{label}</button>
        </ActionForm>
    }
}

fn row(person: Person, ways: &[SignInBy], acts: Acts) -> impl IntoView + use<> {
    let Person { name, role, disabled, created_at, sign_in } = person;
    let names = StoredValue::new(name.clone());
    let id = format!("role-{name}");
    let select = id.clone();
    let label = format!("Role of {}", words::shown(&name));
    let others: Vec<_> = std::iter::once(&SignInBy::Password)
        .chain(ways)
        .filter(|by| **by != sign_in)
        .map(|by| come_in_otherwise(names, *by, acts))
        .collect();
    view! {
        <li class="delivery">
            <strong class="delivery-url">{words::shown(&name)}</strong>
            <span class="delivery-facts">
                {disabled.then_some("disabled · ")} {comes_in(sign_in)} "added " <When at=Signal::stored(created_at) />
            </span>
            <ActionForm action=acts.change attr:class="acts">
                <input type="hidden" name="name" value=names.get_value() />
                <label class="visually-hidden" for=id>{label}</label>
                {role_select(select, role)}
                <button class="button button-quiet">"Set"</button>
            </ActionForm>
            <ActionForm action=acts.change>
                <input type="hidden" name="name" value=names.get_value() />
                <input type="hidden" name="disabled" value=(!disabled).to_string() />
                <button class="button button-quiet">{if disabled { "Enable" } else { "Disable" }}</button>
            </ActionForm>
            {others}
            <ActionForm action=acts.reset>
                <input type="hidden" name="name" value=names.get_value() />
                <button class="button button-quiet">"Reset password"</button>
            </ActionForm>
        </li>
    }
}
