//! What the log is told of a request: never what lets somebody in.
//!
//! Links to sign in carry their secret in the path, answers of other sign-in services theirs in the query.

use axum::extract::Request;
use tracing::Span;

/// Paths that begin so go on with a secret.
const SECRET_AFTER: [&str; 3] = ["/first/", "/password/", "/s/"];

/// The span around all that is logged while a request is answered.
pub fn request_span(request: &Request) -> Span {
    let path = shown_path(request.uri().path());
    tracing::debug_span!("request", method = %request.method(), path, version = ?request.version())
}

fn shown_path(path: &str) -> String {
    // However it is spelled: an address that nothing answers may still be a link with a slash too many.
    let plain = format!("/{}", path.trim_start_matches('/'));
    match SECRET_AFTER.iter().find(|begin| plain.starts_with(**begin)) {
        Some(begin) => format!("{begin}***"),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_without_their_secret() {
        for (path, shown) in [
            ("/first/abc", "/first/***"),
            ("//first/abc", "/first/***"),
            ("/password/abc/", "/password/***"),
            ("/s/abc.svg", "/s/***"),
            ("/password", "/password"),
            ("/batches/1", "/batches/1"),
            ("/", "/"),
        ] {
            assert_eq!(shown_path(path), shown);
        }
    }
}
