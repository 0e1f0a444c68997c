//! The site's files: embedded in release builds, read from `target/site` in debug builds.
//!
//! A name with a hash in it never changes its content and may be kept for ever; all others are asked for anew by
//! `ETag`.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};
use serde::Deserialize;

use crate::app::shell::Assets;

#[derive(Embed)]
#[folder = "target/site"]
#[allow_missing = true]
struct Site;

/// Where the build says what the hashed files are called.
const MANIFEST: &str = "pkg/manifest.json";
/// Characters of the name of a build: enough that two are never alike.
const BUILD_CHARS: usize = 16;
/// Bytes of a file's hash in its `ETag`.
const TAG_HASH_BYTES: usize = 12;
/// Characters of a hash in a name, at least.
const HASH_CHARS_MIN: usize = 8;

/// `pkg/manifest.json`: names of the files that every page loads.
#[derive(Deserialize)]
struct Manifest {
    js: String,
    wasm: String,
    css: String,
    /// The script that sends files; none in a site that was built without it.
    sender: Option<String>,
    /// The script of the API's page; none in a site that was built without it.
    reference: Option<String>,
}

/// Addresses of what every page loads; without a manifest the plain names.
#[must_use]
pub fn addresses() -> Assets {
    let Some(file) = Site::get(MANIFEST) else { return Assets::default() };
    match serde_json::from_slice::<Manifest>(&file.data) {
        Ok(names) => {
            let address = |name: &str| {
                if name.starts_with('/') { name.to_owned() } else { format!("/pkg/{name}") }
            };
            let (js, wasm, css) = (address(&names.js), address(&names.wasm), address(&names.css));
            let style = Site::get(css.trim_start_matches('/')).and_then(|file| style(&file.data));
            let sender = names.sender.unwrap_or_else(|| Assets::default().sender);
            Assets { build: build(&[&js, &wasm, &css, &sender]), js, wasm, css, sender, style }
        }
        Err(error) => {
            tracing::error!(%error, "the site's manifest cannot be read");
            Assets::default()
        }
    }
}

/// A style sheet as it can stand in a page: without the mark of its encoding, which is a character there; none where it would end
/// the element.
fn style(data: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(data).ok()?.trim_start_matches('\u{feff}');
    (!text.contains("</")).then(|| text.into())
}

/// Address of the script of the API's page, which no other page loads.
#[must_use]
pub fn reference_script() -> String {
    let manifest = Site::get(MANIFEST).and_then(|file| serde_json::from_slice::<Manifest>(&file.data).ok());
    manifest.and_then(|names| names.reference).unwrap_or_else(|| "/pkg/rapidoc.js".to_owned())
}

/// The name of a build: its files' names carry the hashes of what is in them.
fn build(names: &[&str]) -> String {
    blake3::hash(names.join("\n").as_bytes()).to_hex()[..BUILD_CHARS].to_owned()
}

/// The file at `path` (with its leading `/`), as the client can take it; none if there is none.
#[must_use]
pub fn answer(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/')?;
    if !is_public(name) {
        return None;
    }
    let plain = Site::get(name)?;
    let (file, encoding) = negotiated(name, headers).unwrap_or((plain, None));
    let tag = tag(&file, encoding);
    let mut builder = Response::builder()
        .header(header::CONTENT_TYPE, media_type(name))
        .header(header::VARY, "accept-encoding")
        .header(header::CACHE_CONTROL, cache_control(name))
        .header(header::ETAG, &tag);
    if let Some(encoding) = encoding {
        builder = builder.header(header::CONTENT_ENCODING, encoding);
    }
    let known = headers.get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes);
    let response = if known == Some(tag.as_bytes()) {
        builder.status(StatusCode::NOT_MODIFIED).body(Body::empty())
    } else {
        builder.header(header::CONTENT_LENGTH, file.data.len()).body(Body::from(file.data.into_owned()))
    };
    Some(response.expect("tags and types are plain ASCII"))
}

/// True where [`answer`] has a file at `path`.
#[must_use]
pub fn is_file(path: &str) -> bool {
    let Some(name) = path.strip_prefix('/') else { return false };
    is_public(name) && Site::get(name).is_some()
}

/// Names that are served at all.
fn is_public(name: &str) -> bool {
    !(name.is_empty() || name.ends_with(".br") || name.ends_with(".gz") || name == MANIFEST)
}

/// The best variant that lies beside the file and that the client takes.
fn negotiated(name: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, Option<&'static str>)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |wanted: &str| {
        accepted.split(',').any(|part| {
            let (coding, quality) = part.split_once(';').unwrap_or((part, ""));
            let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            coding.trim().eq_ignore_ascii_case(wanted) && !refused
        })
    };
    [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(coding, _)| takes(coding))
        .find_map(|(coding, ending)| Site::get(&format!("{name}.{ending}")).map(|file| (file, Some(coding))))
}

fn tag(file: &EmbeddedFile, encoding: Option<&str>) -> String {
    let hash = hex::encode(&file.metadata.sha256_hash()[..TAG_HASH_BYTES]);
    format!("\"{hash}{}\"", encoding.unwrap_or_default())
}

fn media_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    if guess.type_() == "text" { format!("{guess}; charset=utf-8") } else { guess.to_string() }
}

fn cache_control(name: &str) -> &'static str {
    if name.starts_with("pkg/") && is_hashed(name) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// True for `milepost.0a1b2c3d4e.js` and the like: a part between two dots, or after the last `-`, that is a hash.
fn is_hashed(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let Some((stem, _ending)) = file.rsplit_once('.') else { return false };
    let last = stem.rsplit(['.', '-']).next().unwrap_or_default();
    let hash = last.len() >= HASH_CHARS_MIN
        && last.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && last.bytes().any(|byte| byte.is_ascii_digit());
    hash && last.len() < stem.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_stands_in_a_page_without_its_mark() {
        assert_eq!(
            style("\u{feff}.a::before{content:\"✓\"}".as_bytes()).as_deref(),
            Some(".a::before{content:\"✓\"}")
        );
        assert_eq!(style(b".a{}").as_deref(), Some(".a{}"));
        assert_eq!(style(b".a{content:\"</style>\"}"), None);
        assert_eq!(style(b"\xff"), None);
    }

    #[test]
    fn hashed_names_are_kept_for_ever() {
        for name in ["pkg/milepost.oT4bX2pQ9zLk.js", "pkg/milepost.0a1b2c3d4e.wasm", "pkg/a-0a1b2c3d.css"] {
            assert!(cache_control(name).ends_with("immutable"), "{name}");
        }
        for name in ["pkg/milepost.js", "pkg/milepost.wasm", "favicon.svg", "x.0a1b2c3d4e.js"] {
            assert_eq!(cache_control(name), "no-cache", "{name}");
        }
    }

    #[test]
    fn nothing_outside_is_served() {
        for path in ["/../Cargo.toml", "/", "//", "/pkg/manifest.json", "/nothing-here"] {
            assert!(answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
