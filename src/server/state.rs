//! What every handler may use.
//!
//! Plain values and handles only; nothing here changes after start but the stop token.

use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Revocations;
use super::gate::{HeaderSignIn, LoginRateLimit, OpenId};
use super::health::Readiness;
use super::live::{FrameBudget, Permits, ReadShare, TopicBudget};
use super::pages::PageFaults;
use super::transport::TrustedProxies;
use crate::service::Service;

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The door to every use case.
    pub service: Service,
    /// Bounds on bodies.
    pub limits: Limits,
    /// How the live connection is run.
    pub live: LiveOptions,
    /// Live connections that are open, and their bounds.
    pub places: Arc<Permits>,
    /// Whose connections, uploads and downloads are under way.
    pub revocations: Revocations,
    /// Downloads that are under way, and their bounds.
    pub downloads: Arc<Permits>,
    /// Reads for live connections, shared fairly among callers.
    pub reads: ReadShare,
    /// Bytes that wait for live connections to take them.
    pub frames: FrameBudget,
    /// Bytes of rows that are kept because live connections listen to them.
    pub topics: TopicBudget,
    /// Where the installation is reached.
    pub site: Arc<Site>,
    /// Which proxies are believed.
    pub proxies: Arc<TrustedProxies>,
    /// Who may name whoever asks by a header, if anybody may.
    pub header_sign_in: Option<Arc<HeaderSignIn>>,
    /// The provider that people may sign in by, if there is one.
    pub openid: Option<Arc<OpenId>>,
    /// How often an address may try to sign in.
    pub login_rate: Arc<LoginRateLimit>,
    /// Pages that failed in a browser.
    pub page_faults: Arc<PageFaults>,
    /// The newest answer of `/readyz`.
    pub readiness: Arc<Readiness>,
    /// Cancelled once the process is to stop: long answers and sockets end on it (sockets: close 1001).
    pub stop: CancellationToken,
    /// Counts sockets and other tasks that outlive their request; the stop waits for them, bounded.
    pub tracker: TaskTracker,
}

/// Bounds on what comes in, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A body that carries items (files, lines, rows), streamed.
    pub upload_bytes_max: u64,
    /// A JSON body, held in memory.
    pub json_body_bytes_max: usize,
    /// A posted form (sign-in and the like), held in memory.
    pub form_body_bytes_max: usize,
}

/// How the live connection is run.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Between pings, in milliseconds.
    pub ping_ms: u64,
    /// Between two updates of one topic at least, in milliseconds.
    pub tick_ms: u64,
    /// Which build of the page belongs to this server.
    pub build: Arc<str>,
    /// Bytes of one message from a client; a larger one is closed with 1009.
    pub message_bytes_max: usize,
}

/// Where the installation is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// `scheme://authority` of the configured `base_url`, if there is one.
    origin: Option<String>,
}

/// What a request's `Origin` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginVerdict {
    /// The installation's own pages.
    Same,
    /// None was sent: a program, not a page. Fit for bearer tokens only.
    Missing,
    /// Another site's page.
    Foreign,
}

impl Site {
    /// The site at `base_url`; none = whatever the `Host` header of a request says.
    #[must_use]
    pub fn new(base_url: Option<&str>) -> Self {
        Self { origin: base_url.map(|url| url.trim_end_matches('/').to_ascii_lowercase()) }
    }

    /// `scheme://authority` of the configured `base_url`, if there is one.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// True where pages are reached by https, so that cookies can be `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Compares the `Origin` of a request with the configured origin, or else with its `Host`.
    #[must_use]
    pub fn judge(&self, headers: &HeaderMap) -> OriginVerdict {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(sent) = origins.next() else { return OriginVerdict::Missing };
        // No browser sends two; whoever does hopes that somebody else reads the other.
        if origins.next().is_some() {
            return OriginVerdict::Foreign;
        }
        let Ok(sent) = sent.to_str() else { return OriginVerdict::Foreign };
        let same = match &self.origin {
            Some(origin) => sent.eq_ignore_ascii_case(origin),
            None => is_at_host(sent, headers),
        };
        if same { OriginVerdict::Same } else { OriginVerdict::Foreign }
    }

    /// True where `address` is a whole one of this installation, as the request with `headers` reached it.
    #[must_use]
    pub fn is_own(&self, address: &str, headers: &HeaderMap) -> bool {
        match &self.origin {
            Some(origin) => address.parse::<Uri>().is_ok_and(|uri| {
                let (scheme, authority) = (uri.scheme_str(), uri.authority());
                matches!((scheme, authority), (Some(scheme), Some(authority))
                    if format!("{scheme}://{authority}").eq_ignore_ascii_case(origin))
            }),
            None => is_at_host(address, headers),
        }
    }
}

/// True where the authority of `address` is the `Host` of the request.
fn is_at_host(address: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = address.parse::<Uri>().ok().and_then(|uri| uri.into_parts().authority);
    matches!((host, authority), (Some(host), Some(authority)) if authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn origins_are_judged() {
        let open = Site::new(None);
        let own = headers(&[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:3000")]);
        assert_eq!(open.judge(&own), OriginVerdict::Same);
        let other = headers(&[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:3000.evil.example")]);
        assert_eq!(open.judge(&other), OriginVerdict::Foreign);
        assert_eq!(open.judge(&headers(&[("host", "a"), ("origin", "null")])), OriginVerdict::Foreign);
        assert_eq!(open.judge(&headers(&[("host", "a")])), OriginVerdict::Missing);
        let mut two = own.clone();
        two.append("origin", "http://127.0.0.1:3000".parse().unwrap());
        assert_eq!(open.judge(&two), OriginVerdict::Foreign);
        let fixed = Site::new(Some("https://Milepost.example/"));
        assert_eq!(fixed.judge(&own), OriginVerdict::Foreign);
        assert_eq!(fixed.judge(&headers(&[("origin", "https://milepost.example")])), OriginVerdict::Same);
        assert!(fixed.is_https() && !open.is_https());
    }

    #[test]
    fn addresses_are_own_or_foreign() {
        let host = headers(&[("host", "m:3000")]);
        let (open, fixed) = (Site::new(None), Site::new(Some("https://m.example")));
        for (site, address, own) in [
            (&open, "http://m:3000/batches/1?a=b", true),
            (&open, "http://m:3000.evil.example/", false),
            (&open, "http://evil.example/m:3000", false),
            (&open, "/batches", false),
            (&fixed, "https://m.example/new", true),
            (&fixed, "http://m.example/new", false),
            (&fixed, "http://m:3000/new", false),
        ] {
            assert_eq!(site.is_own(address, &host), own, "{address}");
        }
    }
}
