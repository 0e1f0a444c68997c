//! The pages and what belongs to them: rendering, their files, the functions that they call, refusals as pages, forms
//! that are shown again, a CSV that is looked at without scripts, and what failed in people's browsers.

pub mod csv_page;
mod functions;
pub mod page_faults;
pub mod refused_form;
pub mod refusal_page;
pub mod render;

pub use self::functions::answers;
pub use self::page_faults::PageFaults;
