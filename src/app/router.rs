//! From one page to the next without reading the document anew.
//!
//! A page is given the address that it is shown for, and hears of another only while it stays the page to be shown: the signals of a
//! page that goes never learn where the next one is. What a page has made goes with it.

use leptos::prelude::*;

use super::address::Address;
use super::address::ProgramPage;
use super::browser::history;

/// Shows pages by their address.
#[derive(Clone, Copy)]
pub struct Router {
    path: RwSignal<String>,
    shown: RwSignal<Shown>,
}

/// The page that is shown.
#[derive(Clone)]
struct Shown {
    /// Which of those that the program knows.
    page: Option<ProgramPage>,
    /// Where it is; belongs to it alone.
    address: ArcRwSignal<Address>,
}

impl Shown {
    fn at(address: Address) -> Self {
        Self { page: ProgramPage::of(&address.path), address: ArcRwSignal::new(address) }
    }
}

impl Router {
    /// Makes the router for everything below: on the server for the address that was asked for, in the browser for
    /// wherever it goes.
    pub fn provide() -> Self {
        let address = use_context::<Address>().unwrap_or_else(history::here);
        let router =
            Self { path: RwSignal::new(address.path.clone()), shown: RwSignal::new(Shown::at(address)) };
        provide_context(router);
        history::listen(move |address| router.show(address));
        router
    }

    /// The path of the page that is shown; tracks it.
    #[must_use]
    pub fn path(self) -> Signal<String> {
        self.path.into()
    }

    /// Goes on to `to`, an address of this site. One that the program does not know is read from the server.
    pub fn go(self, to: &str) {
        history::go(to, move |address| self.show(address));
    }

    /// Shows the page at `address`, which stands in the browser's address bar.
    fn show(self, address: Address) {
        if self.path.with_untracked(|path| *path != address.path) {
            self.path.set(address.path.clone());
        }
        let Shown { page, address: known } = self.shown.get_untracked();
        if page.is_none() || page != ProgramPage::of(&address.path) {
            self.shown.set(Shown::at(address));
        } else if *known.read_untracked() != address {
            known.set(address);
        }
    }

    /// The page that `view` makes of where it is, and after it every other.
    pub fn pages(self, view: fn(Option<ProgramPage>, &str) -> AnyView) -> AnyView {
        let shown = self.shown;
        let page = move || {
            let Shown { page, address } = shown.get();
            let path = address.with_untracked(|address| address.path.clone());
            provide_context(address);
            view(page, &path)
        };
        // The server shows one, and would make it once more for each walk over a closure.
        if cfg!(feature = "ssr") { page() } else { page.into_any() }
    }
}

/// What pages go on with.
#[must_use]
pub fn use_router() -> Router {
    use_context::<Router>().expect("everything in the body is below the router")
}

/// The address of the page around; tracks it as long as the page is shown.
#[must_use]
pub fn use_address() -> RwSignal<Address> {
    use_context::<ArcRwSignal<Address>>().expect("pages are shown by the router").into()
}
