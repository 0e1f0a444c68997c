//! What is on every page: the name, the ways, the chip, the theme, who is signed in; and the drop of files.
//!
//! It renders for nobody signed in, too.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::actions::SetTheme;
use super::address::has_program;
use super::components::{ConnectionChip, once_loaded};
use super::current_user::me;
use super::plain_forms::DoneBefore;
use super::router::use_router;
use super::upload::{self, use_upload};
use crate::client::words;
use crate::protocol::PersonRole;

/// Where the pages of share links are.
const SHARED_PATHS: &str = "/s/";

/// The header.
#[component]
pub fn Header() -> impl IntoView {
    let path = use_router().path();
    // The page of a share link leads nowhere: who has the link sees one batch, whoever they are.
    if path.with_untracked(|path| path.starts_with(SHARED_PATHS)) {
        return shared().into_any();
    }
    // Without the program there is no contact that could be shown, and files that are dropped go nowhere.
    let has_program = path.with_untracked(|path| has_program(path));
    let here = move |to: &'static str| {
        let path = path.get();
        (path == to || (to == "/" && path.starts_with("/batches"))).then_some("page")
    };
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <header class="top">
            <a class="brand" href="/">{brand()}</a>
            <nav class="ways" aria-label="Pages">
                <a href="/" aria-current=move || here("/")>"Batches"</a>
                <a href="/schedules" rel="external" aria-current=move || here("/schedules")>"Schedules"</a>
                <a href="/nodes" aria-current=move || here("/nodes")>"Nodes"</a>
                <a href="/webhooks" rel="external" aria-current=move || here("/webhooks")>"Webhooks"</a>
            </nav>
            <div class="top-end">
                {has_program.then(|| view! { <ConnectionChip /> })}
                <button type="button" class="button-icon only-alive" data-commands="" title="Commands and keys (Ctrl K)" aria-label="Commands and keys">"⌕"</button>
                <ThemeSwitch />
                {once_loaded(|| ().into_any(), || drop(me()), who)}
            </div>
        </header>
        <div class="done-place" inner_html=done()></div>
        {has_program.then(|| view! { <DropAnywhere /> })}
    }
    .into_any()
}

/// What a form that was posted without scripts has done; with scripts, the page says it where it was done.
fn done() -> String {
    let words = use_context::<DoneBefore>().and_then(|DoneBefore(act)| words::done(&act));
    words
        .map(|words| format!("<p class=\"flash flash-done\" role=\"status\">{words}</p>"))
        .unwrap_or_default()
}

/// The sign and the name.
fn brand() -> impl IntoView {
    view! {
        <svg class="brand-mark" viewBox="0 0 16 16" aria-hidden="true">
            <path d="M3 15V4a3 3 0 0 1 3-3h4a3 3 0 0 1 3 3v11z"></path>
            <rect class="brand-done" x="5" y="4" width="6" height="1.6"></rect>
            <rect class="brand-running" x="5" y="7" width="6" height="1.6"></rect>
            <rect class="brand-pending" x="5" y="10" width="6" height="1.6"></rect>
        </svg>
        <span class="brand-word">"milepost"</span>
    }
}

/// The header of a share link's page.
fn shared() -> impl IntoView {
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <header class="top">
            <span class="brand">{brand()}</span>
            <div class="top-end"><ConnectionChip /></div>
        </header>
    }
}

fn who() -> impl IntoView {
    me().map(|me| {
        view! {
            <details class="who" name="menu">
                <summary>{words::shown(&me.name)}</summary>
                <div class="who-menu">
                    <p class="hint">{me.role.as_str()}</p>
                    <a href="/account" rel="external">"Account"</a>
                    {(me.role == PersonRole::Admin).then(|| view! { <a href="/people" rel="external">"People"</a> <a href="/audit" rel="external">"Log"</a> })}
                    <button type="button" class="button button-quiet only-alive" data-notify="" aria-pressed="false">"Notify me of ends"</button>
                    <form method="post" action="/logout">
                        <button class="button button-quiet">"Sign out"</button>
                    </form>
                </div>
            </details>
        }
    })
}

/// Light, dark, system: three buttons that post, and with scripts change the page at once.
#[component]
fn ThemeSwitch() -> impl IntoView {
    let action = ServerAction::<SetTheme>::new();
    let show = |theme: &'static str| {
        if let Some(root) = document().document_element() {
            let _unchanged = match theme {
                "" => root.remove_attribute("data-theme"),
                chosen => root.set_attribute("data-theme", chosen),
            };
        }
    };
    let choice = move |theme: &'static str, mark: &'static str, name: &'static str| {
        view! {
            <ActionForm action=action>
                <input type="hidden" name="theme" value=theme />
                <button class="button-icon" title=name aria-label=name on:click=move |_| show(theme)>{mark}</button>
            </ActionForm>
        }
    };
    view! {
        <details class="theme" name="menu">
            <summary class="button-icon" title="Theme" aria-label="Theme">"◐"</summary>
            <div class="theme-menu">
                {choice("light", "☀", "Light")} {choice("dark", "☾", "Dark")} {choice("", "◐", "As the system")}
            </div>
        </details>
    }
}

/// Files dropped on any page open New batch with them.
#[component]
fn DropAnywhere() -> impl IntoView {
    let router = use_router();
    let path = router.path();
    let over = RwSignal::new(false);
    let dropped = move || {
        if path.get_untracked() != "/new" {
            router.go("/new");
        }
    };
    let queue = use_upload();
    Effect::new(move |_| upload::accept_drops(queue, over, dropped));
    Effect::new(move |_| upload::ask_before_leaving(queue));
    view! {
        <div class="drop-veil" class:shown=move || over.get() aria-hidden="true">"Drop to make a batch"</div>
    }
}
