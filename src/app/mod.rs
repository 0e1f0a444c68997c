//! What people see: pages that are complete as server HTML and come alive with scripts.
//!
//! ```text
//! shell, routes   the document and its body           pages/       one file or folder per screen
//! router          from one page to the next           address/     what an address asks for, and of which page
//! actions/        server functions, thin doors        components/  pieces of pages, without server calls
//! live/           topics as signals                   upload       files on their way to the server
//! markup/         long and nested parts as HTML text
//! browser/        what only a browser does            bootstrap.js starts the program in the browser
//! csv_look        what the server has seen in a CSV      csv.js       puts it into the page
//! form_pages/     forms and lists, whole without it   forms.js     has their forms answer in place
//! ```
//!
//! The first HTML is the truth, and what hydrates is equal to it.

pub mod actions;
pub mod address;
#[cfg(all(feature = "hydrate", not(feature = "ssr")))]
mod browser;
#[cfg(not(all(feature = "hydrate", not(feature = "ssr"))))]
#[path = "no_browser.rs"]
mod browser;
pub mod clock;
pub mod components;
pub mod live;
#[cfg(feature = "ssr")]
pub mod csv_look;
mod current_user;
#[cfg(feature = "ssr")]
mod form_pages;
#[cfg(not(feature = "ssr"))]
#[path = "no_form_pages.rs"]
mod form_pages;
mod markup;
mod page_header;
pub mod pages;
pub mod plain_forms;
mod router;
pub mod routes;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod theme;
pub mod upload;

pub use browser::panicked;
pub use routes::App;
