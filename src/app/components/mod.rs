//! Pieces of pages: what one row, bar, badge or panel looks like.
//!
//! Data comes in as values or signals; no piece calls a server function. No piece writes a `style` attribute into
//! HTML (`style-src 'self'`): widths are SVG attributes, the rest is classes, and heights known only in the browser
//! are set through the CSSOM.

mod badge;
mod chart;
mod chip;
mod confirm;
mod item_lines;
mod long_text;
mod panel;
mod params_form;
mod progress_bar;
mod steady_button;
mod strip;
mod time;
mod timing_fields;

pub use badge::{batch_badge, item_badge, short_badge, state_badge};
pub use chart::{acts_list, chart_of};
pub use chip::ConnectionChip;
pub use confirm::{Confirm, asking};
pub use item_lines::{Chosen, LineOrder, head_line, item_address, item_line};
pub use long_text::long_text;
pub use panel::{empty_panel, error_panel, flash, heal, live_trouble, once_loaded, panel, panel_or};
pub use params_form::{FieldKind, ParamField, ParamsForm, fill, param_fields};
pub use progress_bar::ProgressBar;
pub use steady_button::steady_button;
pub use strip::strip_of;
pub use time::{LocalTime, When};
pub use timing_fields::timing_fields;
