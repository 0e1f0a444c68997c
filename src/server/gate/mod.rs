//! What every request passes: who asks, from where, and within which bounds.

pub mod auth;
mod bodies;
mod header_sign_in;
mod limits;
mod login_rate_limit;
pub mod openid;
mod request_span;
mod revocation;
mod revocation_watch;
pub mod sign_in;

pub use self::auth::{
    accepts_html, cookie_name, identify, is_for_programs, require_caller, require_caller_but_to_sign_in,
    require_share, same_site, turn_away,
};
pub use self::bodies::{paced, read_or_close};
pub use self::header_sign_in::HeaderSignIn;
pub use self::limits::{guard_forms, harden, one_host, page_policy, refuse_large};
pub use self::login_rate_limit::LoginRateLimit;
pub use self::openid::OpenId;
pub use self::request_span::request_span;
pub use self::revocation::{RevocationGuard, Revocations, watch_revocations};
pub use self::revocation_watch::watch;
