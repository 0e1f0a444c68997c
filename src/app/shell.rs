//! The document around every page: head, scripts, style, theme.
//!
//! Nothing here needs more than `script-src 'nonce-…'`, `'wasm-unsafe-eval'` and `style-src 'self'`.

use std::sync::{Arc, LazyLock};

use axum_extra::extract::CookieJar;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::MetaTags;

use super::plain_forms::{DoneBefore, RefusedForm};
use super::{App, address::has_program, clock, theme::Theme};
use crate::protocol::SignInBy;

/// Name of the cookie that tells the page after a form what was done.
pub const DONE_COOKIE: &str = "milepost-done";

/// Where the bootstrap tells that a page has failed.
pub const FAULTS_PATH: &str = "/page-faults";

/// Scripts without their comments and indents: they stand in the page.
fn packed(scripts: &[&str]) -> String {
    let lines = scripts.iter().flat_map(|script| script.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Loads what sees to focus, menus, places and keys on every page, and looks at a CSV before it runs: each page is whole without.
const PARTS: &str = "for (const part of [\"/focus.js\", \"/csv.js\"]) import(part).catch(() => {});";
/// Starts the program.
static BOOTSTRAP: LazyLock<String> = LazyLock::new(|| packed(&[PARTS, include_str!("bootstrap.js")]));
/// The script of pages without the program.
static FORMS: LazyLock<String> = LazyLock::new(|| packed(&[PARTS, include_str!("forms.js")]));

/// Addresses of what every page loads; the server provides them in context, with hashes in their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// The script that wasm-bindgen wrote.
    pub js: String,
    /// The program.
    pub wasm: String,
    /// The style sheet.
    pub css: String,
    /// The script that sends files, which is loaded when there are some.
    pub sender: String,
    /// What is in it, to stand in the page: nothing is asked for before the first paint. Without it the page names the file.
    pub style: Option<Arc<str>>,
    /// Which build they are: the live connection tells the server's, and the page compares.
    pub build: String,
}

/// Names the sign-in that a page is made for: tabs with the same one may share a live connection. The server provides it in
/// context; it tells nothing of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineKey(pub String);
/// In context where a page comes without the program although its address has one: it answers what was posted.
#[derive(Clone, Copy, Debug)]
pub struct PlainPage;

/// How people may come in from outside; the server provides it in context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideSignIn {
    /// What the provider is called, where there is one.
    pub provider: Option<String>,
    /// In which ways.
    pub ways: Vec<SignInBy>,
}

impl Default for Assets {
    fn default() -> Self {
        Self {
            js: "/pkg/milepost.js".into(),
            wasm: "/pkg/milepost.wasm".into(),
            css: "/pkg/milepost.css".into(),
            sender: "/pkg/sender.js".into(),
            style: None,
            build: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

impl Assets {
    /// The module script that loads the program and hands the page over to it. The names are the build's own.
    fn bootstrap(&self) -> String {
        let (js, wasm, sender, program) = (&self.js, &self.wasm, &self.sender, &*BOOTSTRAP);
        format!("const js={js:?},wasm={wasm:?},sender={sender:?},report={FAULTS_PATH:?};\n{program}")
    }
}

/// What the person chose, as the request's cookies say it.
fn chosen_theme() -> Option<Theme> {
    let parts = use_context::<http::request::Parts>()?;
    parts
        .headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .find_map(Theme::in_cookies)
}

/// What a form did before this page, which no other page says again.
fn take_done() -> Option<String> {
    let (parts, response) = (use_context::<http::request::Parts>()?, use_context::<ResponseOptions>()?);
    let cookies = CookieJar::from_headers(&parts.headers);
    let act = cookies.get(DONE_COOKIE).map(|cookie| cookie.value().to_owned())?;
    let gone = http::HeaderValue::from_static("milepost-done=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    response.append_header(http::header::SET_COOKIE, gone);
    Some(act)
}

/// The style: in the page, where the server has it at hand.
fn style(assets: &Assets, nonce: Option<leptos::nonce::Nonce>) -> AnyView {
    match &assets.style {
        Some(style) => view! { <style nonce=nonce inner_html=style.to_string()></style> }.into_any(),
        None => view! { <link rel="stylesheet" href=assets.css.clone() /> }.into_any(),
    }
}

/// Loads the program and starts it.
fn program(assets: &Assets, nonce: Option<leptos::nonce::Nonce>) -> AnyView {
    view! {
        <link rel="modulepreload" href=assets.js.clone() nonce=nonce.clone() />
        <link rel="preload" href=assets.wasm.clone() r#as="fetch" r#type="application/wasm" crossorigin="anonymous" />
        <script type="module" nonce=nonce inner_html=assets.bootstrap()></script>
    }
    .into_any()
}

/// On pages without the program: has their forms answer in place.
fn forms(nonce: Option<leptos::nonce::Nonce>) -> AnyView {
    view! { <script type="module" nonce=nonce inner_html=FORMS.as_str()></script> }.into_any()
}

/// The document.
#[must_use]
pub fn shell() -> impl IntoView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let nonce = use_nonce();
    let path_has_program =
        use_context::<http::request::Parts>().is_some_and(|parts| has_program(parts.uri.path()));
    // Its program would look for itself at the address of the form, and without it no script has anything to do.
    let stands_still =
        path_has_program && (use_context::<RefusedForm>().is_some() || use_context::<PlainPage>().is_some());
    let path_has_program = path_has_program && !stands_still;
    if let (false, Some(shared)) = (path_has_program, Owner::current_shared_context()) {
        // Nobody reads on the page what it was made of: it is not sent.
        shared.set_is_hydrating(false);
    }
    let scripts = match (path_has_program, stands_still) {
        (_, true) => ().into_any(),
        (true, false) => program(&assets, nonce.clone()),
        (false, false) => forms(nonce.clone()),
    };
    if let Some(act) = take_done() {
        provide_context(DoneBefore(act));
    }
    let now = clock::rendered_at().map(|at| at.0.to_string());
    let line = use_context::<LineKey>().map(|LineKey(key)| key);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=chosen_theme().map(Theme::as_str) data-build=assets.build.clone() data-now=now data-line=line>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="description" content="Runs a task over many items and shows, live, how far it has come." />
                {style(&assets, nonce.clone())}
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" id="favicon" />
                {scripts}
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_ends_its_element() {
        let script = Assets::default().bootstrap();
        assert!(!script.contains('<') && !FORMS.contains('<'), "scripts stand in the page as they are");
        assert!(script.starts_with("const js=\"/pkg/milepost.js\"") && script.contains("hydrate()"));
        assert!(!script.contains("//"), "comments stay at home");
    }
}
