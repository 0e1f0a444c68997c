//! The addresses of the pages, and the frame around them.
//!
//! Every page is rendered whole before it is sent, so that it is complete without scripts. The program comes only with the pages
//! that move ([`has_program`](super::program_pages::has_program)). The others are forms and lists.

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::SsrMode::Async;
use leptos_router::any_nested_route::AnyNestedRoute;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

use super::clock::provide_clock;
use super::current_user::provide_current_user;
use super::form_pages;
use super::live::provide_live_client;
use super::page_header::Header;
use super::pages::{BatchPage, BatchesPage, ItemPage, NewBatchPage, NodesPage, NotFoundPage, SharedPage};
use super::upload::Upload;

/// Everything in the body.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_clock();
    provide_current_user();
    provide_live_client();
    Upload::provide();
    view! {
        <Router>
            <Header />
            <main id="main">
                <Routes fallback=NotFoundPage>
                    <Route path=path!("/") view=BatchesPage ssr=Async />
                    <Route path=path!("/new") view=NewBatchPage ssr=Async />
                    <Route path=path!("/batches/:id") view=BatchPage ssr=Async />
                    <Route path=path!("/batches/:id/items/:seq") view=ItemPage ssr=Async />
                    <Route path=path!("/nodes") view=NodesPage ssr=Async />
                    <Route path=path!("/s/:secret") view=SharedPage ssr=Async />
                    <FormPages />
                </Routes>
            </main>
        </Router>
    }
}

/// The pages without the program.
#[component(transparent)]
fn FormPages() -> AnyNestedRoute {
    form_pages::routes()
}
