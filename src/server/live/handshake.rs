//! The upgrade to a WebSocket, and which codec is spoken on it.
//!
//! The compact codec is chosen only for a page of this very build; every other offer is answered in JSON. Done here
//! and not by the web framework because frames are written to the bare connection (see `wire`).

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::protocol::{ApiError, Codec};

/// A request that asks for a WebSocket.
pub struct Handshake {
    /// Resolves to the connection once the answer has left.
    pub upgrade: OnUpgrade,
    /// What will be spoken.
    pub codec: Codec,
    /// The subprotocol to name; none where none was offered that is known.
    subprotocol: Option<&'static str>,
    accept: String,
}

impl Handshake {
    /// Reads the request of a server whose page is `build`.
    ///
    /// # Errors
    /// `malformed`, with what was expected.
    pub fn read(parts: &mut Parts, build: &str) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let asks = parts.method == Method::GET
            && has_word(headers, &header::CONNECTION, "upgrade")
            && has_word(headers, &header::UPGRADE, "websocket");
        if !asks {
            return Err(ApiError::malformed("This address speaks WebSocket: GET with Upgrade: websocket."));
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
            return Err(ApiError::malformed("Sec-WebSocket-Version must be 13."));
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return Err(ApiError::malformed("Sec-WebSocket-Key is missing."));
        };
        let accept = derive_accept_key(key.as_bytes());
        let (codec, subprotocol) = choose(headers, is_of(parts.uri.query(), build))?;
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return Err(ApiError::malformed("This connection cannot become a WebSocket."));
        };
        Ok(Self { upgrade, codec, subprotocol, accept })
    }

    /// The answer that makes the connection a WebSocket.
    pub fn answer(&self) -> Response {
        let mut builder = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, &self.accept);
        if let Some(name) = self.subprotocol {
            builder = builder.header(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        builder.body(Body::empty()).expect("base64 and names of protocols are plain ASCII")
    }
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn has_word(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// True where the query says that the page is of this build.
fn is_of(query: Option<&str>, build: &str) -> bool {
    query.unwrap_or_default().split('&').any(|pair| pair.strip_prefix("build=") == Some(build))
}

/// The first offer that can be met.
fn choose(headers: &HeaderMap, same_build: bool) -> Result<(Codec, Option<&'static str>), ApiError> {
    let offers: Vec<&str> = words(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    let known = |name: &str| Codec::ALL.into_iter().find(|codec| codec.subprotocol() == name);
    let met = offers.iter().filter_map(|name| known(name)).find(|codec| match codec {
        Codec::Json => true,
        Codec::Binary => same_build,
    });
    match met {
        Some(codec) => Ok((codec, Some(codec.subprotocol()))),
        None if offers.iter().any(|name| known(name) == Some(Codec::Binary)) => Err(ApiError::malformed(
            "milepost.v1.bin is for pages of this very build; offer milepost.v1.json as well.",
        )),
        None => Ok((Codec::Json, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(names: &[&str], same_build: bool) -> Result<(Codec, Option<&'static str>), ApiError> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, name.parse().unwrap());
        }
        choose(&headers, same_build)
    }

    #[test]
    fn the_compact_codec_is_for_pages_of_this_build() {
        let (json, bin) = ("milepost.v1.json", "milepost.v1.bin");
        assert_eq!(offered(&[json], false), Ok((Codec::Json, Some(json))));
        assert_eq!(offered(&["milepost.v1.bin, milepost.v1.json"], true), Ok((Codec::Binary, Some(bin))));
        assert_eq!(offered(&[bin, json], false), Ok((Codec::Json, Some(json))));
        assert_eq!(offered(&[json, bin], true), Ok((Codec::Json, Some(json))), "the client's order counts");
        assert!(offered(&[bin], false).is_err());
        assert_eq!(offered(&["chat"], true), Ok((Codec::Json, None)));
        assert_eq!(offered(&[], false), Ok((Codec::Json, None)));
    }

    #[test]
    fn a_page_says_its_build() {
        assert!(is_of(Some("build=abc"), "abc") && is_of(Some("a=b&build=abc"), "abc"));
        assert!(!is_of(Some("build=abcd"), "abc") && !is_of(None, "abc"));
    }
}
