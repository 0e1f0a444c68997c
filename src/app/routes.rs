//! The addresses of the pages, and the frame around them.
//!
//! Every page is rendered whole before it is sent, so that it is complete without scripts.

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::SsrMode::Async;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

use super::clock::provide_clock;
use super::current_user::provide_current_user;
use super::live::provide_live_client;
use super::page_header::Header;
use super::pages::{
    AccountPage, AuditLogPage, BatchPage, BatchesPage, DeliveryDetailPage, FirstPage, ItemPage, LoginPage,
    NewBatchPage, NodesPage, NotFoundPage, PasswordPage, PeoplePage, SchedulesPage, SharedPage, WebhooksPage,
};
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
                    <Route path=path!("/schedules") view=SchedulesPage ssr=Async />
                    <Route path=path!("/nodes") view=NodesPage ssr=Async />
                    <Route path=path!("/webhooks") view=WebhooksPage ssr=Async />
                    <Route path=path!("/webhooks/:id") view=DeliveryDetailPage ssr=Async />
                    <Route path=path!("/account") view=AccountPage ssr=Async />
                    <Route path=path!("/people") view=PeoplePage ssr=Async />
                    <Route path=path!("/audit") view=AuditLogPage ssr=Async />
                    <Route path=path!("/password/:code") view=PasswordPage ssr=Async />
                    <Route path=path!("/s/:secret") view=SharedPage ssr=Async />
                    <Route path=path!("/login") view=LoginPage ssr=Async />
                    <Route path=path!("/first/:code") view=FirstPage ssr=Async />
                </Routes>
            </main>
        </Router>
    }
}
