//! The document around every page: head, scripts, style, theme.
//!
//! Owns everything that is not hydrated. Called by server for every page, with [`Assets`] and a nonce in
//! context. Invariant: nothing here needs more than `script-src 'nonce-…'`, `'wasm-unsafe-eval'` and
//! `style-src 'self'`. Deliberately does not know which page it surrounds.

use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::MetaTags;

use super::{App, theme::Theme};

/// Addresses of what every page loads; the server provides them in context, with hashes in their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// The script that wasm-bindgen wrote.
    pub js: String,
    /// The program.
    pub wasm: String,
    /// The style sheet.
    pub css: String,
    /// Which build they are: the live connection tells the server's, and the page compares.
    pub build: String,
}

impl Default for Assets {
    fn default() -> Self {
        Self {
            js: "/pkg/milepost.js".into(),
            wasm: "/pkg/milepost.wasm".into(),
            css: "/pkg/milepost.css".into(),
            build: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

impl Assets {
    /// The module script that loads the program and hands the page over to it.
    fn bootstrap(&self) -> String {
        let (js, wasm) = (&self.js, &self.wasm);
        format!(
            "import start,{{hydrate}} from {js:?};start({{module_or_path:{wasm:?}}}).then(()=>hydrate());"
        )
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

/// The document.
#[must_use]
pub fn shell() -> impl IntoView {
    let assets = use_context::<Assets>().unwrap_or_default();
    let nonce = use_nonce();
    let bootstrap = assets.bootstrap();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=chosen_theme().map(Theme::as_str) data-build=assets.build.clone()>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="description" content="Runs a task over many items and shows, live, how far it has come." />
                <link rel="stylesheet" href=assets.css />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" id="favicon" />
                <link rel="modulepreload" href=assets.js nonce=nonce.clone() />
                <link rel="preload" href=assets.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous" />
                <script type="module" nonce=nonce inner_html=bootstrap></script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
