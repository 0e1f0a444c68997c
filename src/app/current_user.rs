//! Who is signed in, for everything on the page.

use leptos::prelude::*;

use super::actions::load_me;
use crate::protocol::{ApiError, Batch, BatchAct, Me, Move, PersonRole};

/// Who is signed in, for everything on the page.
#[derive(Clone, Copy)]
pub struct CurrentUser {
    loading: Resource<Result<Me, ApiError>>,
    /// What `loading` has brought, for the browser: a resource keeps every `Transition` that ever read it, this memo
    /// keeps none that read it once it is known. Made at the root, so that it belongs to no panel.
    known: Memo<Option<Result<Me, ApiError>>>,
}

impl CurrentUser {
    /// The answer; none while it is not known. Tracks as long as it is not, and on the server the `Transition` around
    /// waits for it.
    #[must_use]
    pub fn get(self) -> Option<Result<Me, ApiError>> {
        if cfg!(target_arch = "wasm32") {
            // Known from the start of hydration, and never loaded again: nothing is left to track.
            self.known.get_untracked().or_else(|| self.known.get())
        } else {
            self.loading.get()
        }
    }
}

/// Reads who is signed in, once for the page.
pub fn provide_current_user() {
    let loading = Resource::new(|| (), |()| load_me());
    provide_context(CurrentUser { loading, known: Memo::new(move |_| loading.get()) });
}

/// Who is signed in; none where nobody is, or it is not known yet. Tracks, and the panel around waits for it.
#[must_use]
pub fn me() -> Option<Me> {
    use_context::<CurrentUser>().and_then(CurrentUser::get).and_then(Result::ok)
}

/// Whether `me` may act on `batch` at all: its owner and admins may.
#[must_use]
pub fn may_act(me: Option<&Me>, batch: &Batch) -> bool {
    me.is_some_and(|me| match me.role {
        PersonRole::Viewer => false,
        PersonRole::Operator => me.name == batch.owner,
        PersonRole::Admin => true,
    })
}

/// Whether to offer `act` on `batch` to `me`: what the state allows, to whoever may act.
#[must_use]
pub fn offers(me: Option<&Me>, batch: &Batch, act: BatchAct) -> bool {
    may_act(me, batch) && batch.state.on(act) == Move::Do
}
