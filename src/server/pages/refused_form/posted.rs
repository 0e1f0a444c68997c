//! What was typed into a form, from the start of its body: texts by their names, in order; no files.

use bytes::Bytes;

/// The texts of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Posted(Vec<(String, String)>);

impl Posted {
    /// Reads what of a body of this content type is there; what is cut off in the middle is left out.
    pub async fn read(kind: &str, held: &[u8]) -> Self {
        match multer::parse_boundary(kind) {
            Ok(boundary) => Self(parts(held, boundary).await),
            Err(_no_multipart) => {
                let pairs = url::form_urlencoded::parse(held);
                Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
            }
        }
    }

    /// The first text of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _text)| found == name).map(|(_name, text)| text.as_str())
    }

    /// True where `name` was posted with this text.
    pub fn has(&self, name: &str, text: &str) -> bool {
        self.0.iter().any(|(found, value)| found == name && value == text)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _text)| name.as_str())
    }
}

async fn parts(held: &[u8], boundary: String) -> Vec<(String, String)> {
    let bytes = Bytes::copy_from_slice(held);
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let mut form = multer::Multipart::new(body, boundary);
    let mut found = Vec::new();
    while let Ok(Some(part)) = form.next_field().await {
        let is_file = part.file_name().is_some();
        let name = part.name().unwrap_or_default().to_owned();
        // What is cut off is not what was typed.
        let Ok(text) = part.text().await else { break };
        if !is_file {
            found.push((name, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_read_and_files_are_not() {
        let part = |head: &str, content: &str| {
            format!("--b\r\nContent-Disposition: form-data; name={head}\r\n\r\n{content}\r\n")
        };
        let whole = [
            part("\"task\"", "demo"),
            part("\"file\"; filename=\"a.txt\"", "not typed"),
            part("\"lines\"", "a\r\nb"),
            part("\"last\"", "cut off"),
        ]
        .concat();
        let kind = "multipart/form-data; boundary=b";
        let posted = Posted::read(kind, &whole.as_bytes()[..whole.len() - 5]).await;
        assert_eq!(posted.names().collect::<Vec<_>>(), ["task", "lines"]);
        assert_eq!(posted.text("lines"), Some("a\r\nb"));
        let posted = Posted::read("application/x-www-form-urlencoded", b"name=Ada+L&role=a&role=b").await;
        assert!(posted.has("role", "b") && !posted.has("role", "c"));
        assert_eq!(posted.text("name"), Some("Ada L"));
    }
}
