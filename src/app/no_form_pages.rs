//! The browser's place of `form_pages/`: none. Who follows a link to one has it from the server (`pages/not_found.rs`).

use leptos_router::any_nested_route::{AnyNestedRoute, IntoAnyNestedRoute as _};

/// No address.
pub fn routes() -> AnyNestedRoute {
    ().into_any_nested_route()
}
