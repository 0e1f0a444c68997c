//! Everything in the body: the header, and the page at the address.
//!
//! Every page is rendered whole before it is sent, so that it is complete without scripts. The program comes only with the pages
//! that move ([`ProgramPage`](super::address::ProgramPage)). The others are forms and lists.

use leptos::prelude::*;
use leptos_meta::provide_meta_context;

use super::address::ProgramPage;
use super::clock::provide_clock;
use super::current_user::provide_current_user;
use super::form_pages;
use super::live::provide_live_client;
use super::page_header::Header;
use super::pages::{BatchPage, BatchesPage, ItemPage, NewBatchPage, NodesPage, NotFoundPage, SharedPage};
use super::router::Router;
use super::upload::Upload;

/// Everything in the body.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_clock();
    provide_current_user();
    provide_live_client();
    Upload::provide();
    let router = Router::provide();
    view! {
        <Header />
        <main id="main">{router.pages(page)}</main>
    }
}

fn page(page: Option<ProgramPage>, path: &str) -> AnyView {
    match page {
        Some(ProgramPage::Batches) => BatchesPage().into_any(),
        Some(ProgramPage::NewBatch) => NewBatchPage().into_any(),
        Some(ProgramPage::Batch) => BatchPage().into_any(),
        Some(ProgramPage::Item) => ItemPage().into_any(),
        Some(ProgramPage::Nodes) => NodesPage().into_any(),
        Some(ProgramPage::Shared) => SharedPage().into_any(),
        None => form_pages::page(path).unwrap_or_else(|| NotFoundPage().into_any()),
    }
}
