//! The browser's place while the server renders: the same functions as in `browser/`, which do nothing.

/// Would say that the program has panicked.
pub fn panicked(_message: &str) {}

/// The address bar.
pub mod history {
    use crate::app::address::Address;

    /// Would read the address; the server says itself which one was asked for.
    pub fn here() -> Address {
        Address::default()
    }

    /// Would follow links.
    pub fn listen(_show: impl Fn(Address) + Copy + Send + Sync + 'static) {}

    /// Would show another page.
    pub fn go(_to: &str, _show: impl Fn(Address)) {}
}

/// The live connection of a tab.
pub mod live_tab {
    use crate::app::live::LiveClient;

    /// Would open the connection.
    pub fn start(_client: &LiveClient) {}
}

/// Uploads.
pub mod upload {
    use leptos::ev::Event;
    use leptos::prelude::RwSignal;
    use leptos::web_sys::HtmlFormElement;

    use crate::app::upload::{Upload, UploadContent};

    /// Would take files dropped on the page.
    pub fn accept_drops(_upload: Upload, _over: RwSignal<bool>, _dropped: impl Fn() + 'static) {}

    /// Would have the browser ask before the page is left.
    pub fn ask_before_leaving(_upload: Upload) {}

    /// Would take files chosen in an input.
    pub fn take_input(_upload: Upload, _event: &Event) {}

    /// Would take a file out of the queue.
    pub fn remove(_upload: Upload, _at: usize) {}

    /// Would forget the queue.
    pub fn clear(_upload: Upload) {}

    /// Would send the form.
    pub fn send(
        _upload: Upload,
        _form: HtmlFormElement,
        _content: UploadContent,
        _arrived: impl FnOnce(String) + 'static,
    ) {
    }
}
