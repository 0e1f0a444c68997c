//! The browser's place of `form_pages/`: none. Who follows a link to one has it from the server.

use leptos::prelude::AnyView;

/// No page.
pub fn page(_path: &str) -> Option<AnyView> {
    None
}
