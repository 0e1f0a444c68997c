//! Files of an item: a link each, with what can be shown of it without risk.
//!
//! A picture is an `img`, which runs nothing; of a text there is a link to its start, at an address that answers plain text only,
//! in a sandbox. Nothing is ever shown as the page that it may be.

use super::escape::put;
use crate::client::words;
use crate::protocol::{BatchId, FileRow, Json, Seq};

/// Bytes of a text that are shown, as the address answers them.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Which files of an item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FilesOf {
    /// What it works on.
    Input,
    /// What it left.
    Output,
}

/// The file that `input` is, if it is one: it has these members and no others.
#[must_use]
pub fn input_file(input: &Json) -> Option<FileRow> {
    let is_file = input.members().is_some_and(|members| members.len() == 3);
    serde_json::from_str(input.as_str()).ok().filter(|_| is_file)
}

/// True where browsers show it as a picture, by its content.
#[must_use]
pub fn is_picture(file: &FileRow) -> bool {
    matches!(file.media_type.as_str(), "image/png" | "image/jpeg" | "image/webp" | "image/gif")
}

fn is_text(file: &FileRow) -> bool {
    const ENDINGS: [&str; 6] = [".txt", ".log", ".csv", ".json", ".ndjson", ".md"];
    let (kind, name) = (file.media_type.as_str(), file.name.as_str());
    kind.starts_with("text/")
        || matches!(kind, "application/json" | "application/x-ndjson" | "application/ndjson")
        || kind == "application/octet-stream" && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

impl FilesOf {
    /// The address of one of them.
    fn address(self, id: BatchId, seq: Seq, file: &FileRow) -> String {
        let side = match self {
            Self::Input => "input",
            Self::Output => "output",
        };
        format!("/api/v1/batches/{id}/items/{seq}/files/{}?side={side}", words::path_segment(&file.name))
    }

    /// All of `files` of an item; beside its first picture `before`, the picture that it was made of.
    #[must_use]
    pub fn list(self, id: BatchId, seq: Seq, files: &[FileRow], before: Option<&FileRow>) -> String {
        let mut out = String::new();
        let mut pair = before.filter(|_| files.iter().any(is_picture));
        out.push_str("<ul class=\"files\">");
        for file in files {
            let href = self.address(id, seq, file);
            let facts = format!("{} · {}", words::bytes(file.bytes), words::shown(&file.media_type));
            put(
                &mut out,
                &["<li><a href=\"", &href, "\" rel=\"external\" download=\"\">", &words::name(&file.name)],
            );
            put(&mut out, &["</a> <span class=\"hint\">", &facts, "</span>"]);
            if is_picture(file) {
                out.push_str("<div class=\"pictures\">");
                let after = if let Some(before) = pair.take() {
                    picture(&mut out, "Before", &Self::Input.address(id, seq, before), before);
                    "After"
                } else {
                    ""
                };
                picture(&mut out, after, &href, file);
                out.push_str("</div>");
            } else if is_text(file) {
                start(&mut out, &href, file);
            }
            out.push_str("</li>");
        }
        out.push_str("</ul>");
        out
    }
}

fn picture(out: &mut String, caption: &str, href: &str, file: &FileRow) {
    let name = words::name(&file.name);
    out.push_str("<figure>");
    if !caption.is_empty() {
        put(out, &["<figcaption>", caption, "</figcaption>"]);
    }
    put(
        out,
        &[
            "<img class=\"preview\" loading=\"lazy\" src=\"",
            href,
            "\" alt=\"Preview of ",
            &name,
            "\"></figure>",
        ],
    );
}

fn start(out: &mut String, href: &str, file: &FileRow) {
    let name = words::name(&file.name);
    let told = match file.bytes {
        0..=TEXT_BYTES_MAX => "show it as text".to_owned(),
        more => format!("show the first 64 KiB of {} as text", words::bytes(more)),
    };
    put(
        out,
        &[
            " <a class=\"show-text\" target=\"_blank\" rel=\"external noopener\" aria-label=\"",
            &name,
            ": ",
            &told,
        ],
    );
    put(out, &["\" href=\"", href, "&amp;as=text\">", &told, "</a>"]);
}

#[cfg(test)]
mod tests {
    use super::super::escape::texts;
    use super::*;

    fn file(name: &str, kind: &str) -> FileRow {
        FileRow { name: name.to_owned(), bytes: 100_000, media_type: kind.to_owned() }
    }

    fn listed(files: &[FileRow], before: Option<&FileRow>) -> String {
        FilesOf::Output.list(BatchId::from_u128(1), 7, files, before)
    }

    #[test]
    fn pictures_and_texts_are_shown_and_nothing_else() {
        let kinds = ["image/png", "image/svg+xml", "text/html", "application/pdf", "application/json"];
        let html = listed(&kinds.map(|kind| file("a", kind)), Some(&file("b?.png", "image/jpeg")));
        assert_eq!(html.matches("<img").count(), 2, "the picture and what it was made of: {html}");
        assert!(
            html.contains("files/b%3F.png?side=input\"") && html.contains("Before") && html.contains("After")
        );
        assert_eq!(html.matches("target=\"_blank\"").count(), 2, "{html}");
        assert_eq!(html.matches("&amp;as=text\"").count(), 2);
        let logs = listed(
            &["1.log", "2.log", "3.log", "4.log", "5.bin"].map(|name| file(name, "application/octet-stream")),
            None,
        );
        assert_eq!(logs.matches("&amp;as=text\"").count(), 4);
    }

    #[test]
    fn names_and_kinds_are_text() {
        let hostile = "\"><script>alert(1)</script>'&.txt";
        let html = listed(&[file(hostile, "text/<b>\"")], None);
        let tags = [
            "ul class=",
            "/ul",
            "li",
            "/li",
            "a href= rel= download=",
            "/a",
            "span class=",
            "/span",
            "a class= target= rel= aria-label= href=",
        ];
        assert!(texts(&html, &tags).contains(hostile));
    }

    #[test]
    fn a_file_is_known_by_its_members() {
        let json = |text: &str| Json::parse(text).unwrap();
        let known = input_file(&json(r#"{"name":"a.png","bytes":3,"type":"image/png"}"#)).unwrap();
        assert!(is_picture(&known));
        assert!(input_file(&json(r#"{"name":"a.png"}"#)).is_none() && input_file(&json("1")).is_none());
    }
}
