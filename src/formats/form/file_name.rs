//! What a file of a form is called, as browsers and programs write it.
//!
//! A browser writes `"`, CR and LF of a name as `%22`, `%0D` and `%0A`, and nothing else so (WHATWG HTML, multipart/form-data
//! encoding): these three are undone, and `50%25.pdf` is called just that. Other programs write `\"`, or `filename*`
//! (RFC 8187), which goes before `filename`.

use http::{HeaderMap, header};
use percent_encoding::percent_decode;

use crate::protocol::ApiError;

/// The name in the headers of a part; empty where there is none.
///
/// # Errors
/// `invalid` where it is in an encoding that cannot be read.
pub(super) fn file_name(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(disposition) = headers.get(header::CONTENT_DISPOSITION) else { return Ok(String::new()) };
    let (mut plain, mut extended) = (None, None);
    for (name, value) in Parameters::of(disposition.as_bytes()) {
        if name.eq_ignore_ascii_case(b"filename") {
            plain.get_or_insert(value);
        } else if name.eq_ignore_ascii_case(b"filename*") {
            extended.get_or_insert(value);
        }
    }
    if let Some(name) = extended.and_then(|value| extended_name(&value)) {
        return Ok(name);
    }
    let name = String::from_utf8(plain.unwrap_or_default())
        .map_err(|_none| ApiError::invalid("The name of a file is not in UTF-8."))?;
    Ok(name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

/// `charset'language'value`, percent-encoded; none where it is written otherwise, or in another charset than UTF-8.
fn extended_name(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    String::from_utf8(percent_decode(encoded).collect()).ok()
}

/// The parameters of a header, `; name=value`, quotes and their escapes undone.
struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Parameters<'a> {
    fn of(header: &'a [u8]) -> Self {
        let start = header.iter().position(|byte| *byte == b';').unwrap_or(header.len());
        Self { rest: &header[start..] }
    }

    /// Reads to the end of a quoted value, whose first quote has been read.
    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        while let Some((byte, rest)) = self.rest.split_first() {
            match byte {
                b'"' => {
                    self.rest = rest;
                    break;
                }
                // A browser leaves a backslash as it is, and one may be the last character of a name.
                b'\\' if rest.first() == Some(&b'"') && !ends_here(&rest[1..]) => {
                    value.push(b'"');
                    self.rest = &rest[1..];
                }
                byte => {
                    value.push(*byte);
                    self.rest = rest;
                }
            }
        }
        value
    }
}

/// True where no more of the value follows.
fn ends_here(rest: &[u8]) -> bool {
    matches!(rest.trim_ascii_start().first(), None | Some(b';'))
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.rest.iter().position(|byte| *byte == b';')? + 1;
        let rest = &self.rest[from..];
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let name = rest[..end].trim_ascii();
        let Some(value) = rest[end..].strip_prefix(b"=") else {
            self.rest = &rest[end..];
            return Some((name, Vec::new()));
        };
        let value = value.trim_ascii_start();
        if let Some(quoted) = value.strip_prefix(b"\"") {
            self.rest = quoted;
            return Some((name, self.quoted()));
        }
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        self.rest = &value[end..];
        Some((name, value[..end].trim_ascii().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named(disposition: &[u8]) -> Result<String, ApiError> {
        let value = HeaderValue::from_bytes(disposition).unwrap();
        file_name(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value)]))
    }

    #[test]
    fn escapes_of_browsers_are_undone_and_no_others() {
        for (written, name) in [
            ("file%22q.txt", "file\"q.txt"),
            ("two%0Alines.txt", "two\nlines.txt"),
            ("two%0D%0Alines.txt", "two\r\nlines.txt"),
            ("50%off.pdf", "50%off.pdf"),
            ("50%25.pdf", "50%25.pdf"),
            ("a%2Fb%0a", "a%2Fb%0a"),
            ("a; filename=b", "a; filename=b"),
            ("back\\slash", "back\\slash"),
            ("ends\\", "ends\\"),
            ("say \\\"hi\\\".txt", "say \"hi\".txt"),
            ("x\\\"", "x\""),
            ("Grüße 日本.txt", "Grüße 日本.txt"),
            ("", ""),
        ] {
            let header = format!("form-data; name=\"file\"; filename=\"{written}\"");
            assert_eq!(named(header.as_bytes()).unwrap(), name, "{written}");
            let header = format!("form-data; filename=\"{written}\"; name=\"file\"");
            assert_eq!(named(header.as_bytes()).unwrap(), name, "{written}, then its field");
        }
    }

    #[test]
    fn extended_names_go_first() {
        for (header, name) in [
            ("form-data; name=file; filename=\"E_.txt\"; filename*=UTF-8''%E2%82%AC%25.txt", "€%.txt"),
            ("form-data; name=file; filename*=utf-8'en'a%22b", "a\"b"),
            ("form-data; name=file; filename=plain.txt; filename*=iso-8859-1''%A3", "plain.txt"),
            ("form-data; name=file; filename*=UTF-8''%FF; filename=plain.txt", "plain.txt"),
            ("form-data; name=\"filename=x\"", ""),
            ("form-data", ""),
        ] {
            assert_eq!(named(header.as_bytes()).unwrap(), name, "{header}");
        }
        assert!(named(b"form-data; name=file; filename=\"K\xF6ln\"").is_err());
    }
}
