//! A JSON value as a tree: objects and arrays fold, each plain value as it was written.
//!
//! Works without scripts. Bounded: what is deeper or more is shown as its start, and [`as_text`] has all of it.

use super::escape::put;
use crate::client::words;
use crate::protocol::Json;

/// Values in one tree; of the rest is said how many they are.
const NODES_MAX: usize = 2_000;
/// How deep a tree goes; what is deeper stands in it as text.
const DEPTH_MAX: usize = 24;
/// An object or array below the first with more members than this is folded at first.
const OPEN_MAX: usize = 20;
/// A text of more characters is folded, with its start before it.
const TEXT_CHARS_MAX: usize = 300;

/// The tree of `json`; a plain value is its text.
#[must_use]
pub fn value(json: &Json) -> String {
    let mut out = String::new();
    let text = json.as_str();
    if children(text).next().is_some() {
        out.push_str("<ul class=\"tree\">");
        let mut tree = Tree { out, left: NODES_MAX };
        tree.node("", text, 0);
        out = tree.out;
        out.push_str("</ul><details class=\"as-text\"><summary>As text</summary>");
        out.push_str(&as_text(text, "text"));
        out.push_str("</details>");
        return out;
    }
    as_text(&json.display_text(), "text")
}

/// All of `text`, as it is, in an element of `class`.
#[must_use]
pub fn as_text(text: &str, class: &str) -> String {
    let mut out = String::new();
    // Not the first of the element: there the parser drops a line feed.
    put(&mut out, &["<pre class=\"", class, "\" tabindex=\"0\"><span>", text, "</span></pre>"]);
    out
}

struct Tree {
    out: String,
    /// Values that may still be put in.
    left: usize,
}

impl Tree {
    fn node(&mut self, name: &str, text: &str, depth: usize) {
        self.left = self.left.saturating_sub(1);
        let count = if depth < DEPTH_MAX { children(text).count() } else { 0 };
        if count == 0 {
            return self.leaf(name, text);
        }
        let is_open = depth == 0 || count <= OPEN_MAX;
        let noun = if text.starts_with('{') { "member" } else { "entry" };
        self.out.push_str(if is_open { "<li><details open>" } else { "<li><details>" });
        let counted = words::counted(count as u64, noun);
        put(&mut self.out, &["<summary><b>", name, "</b> <i>", &counted, "</i></summary><ul>"]);
        let mut number = 0_u64;
        for (name, text) in children(text) {
            if self.left == 0 {
                break;
            }
            let name = if name.is_empty() { number.to_string() } else { decoded(name) };
            self.node(&name, text, depth + 1);
            number += 1;
        }
        let rest = count as u64 - number;
        if rest > 0 {
            let more = format!("{} more: as text, all are shown", words::thousands(rest));
            put(&mut self.out, &["<li><i>", &more, "</i></li>"]);
        }
        self.out.push_str("</ul></details></li>");
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let kind = match text.as_bytes().first() {
            Some(b'"') => "text",
            Some(b'{' | b'[') => "rest",
            _ => "word",
        };
        let shown = decoded(text);
        let out = &mut self.out;
        match shown.char_indices().nth(TEXT_CHARS_MAX) {
            Some((end, _)) => {
                let start = shown[..end].replace('\n', " ");
                let long = words::counted(shown.chars().count() as u64, "character");
                put(out, &["<li><details><summary><b>", name, "</b> <span class=\"tree-text\">", &start]);
                put(
                    out,
                    &["…</span> <i>", &long, "</i></summary><pre class=\"tree-long\" tabindex=\"0\"><span>"],
                );
                put(out, &["", &shown, "</span></pre></details></li>"]);
            }
            None => {
                put(out, &["<li><b>", name, "</b> <span class=\"tree-", kind, "\">", &shown, "</span></li>"])
            }
        }
    }
}

/// The content of a JSON string, or the text itself.
fn decoded(text: &str) -> String {
    Json::parse(text).map_or_else(|_too_deep| text.to_owned(), |json| json.display_text())
}

/// What stands in the object or array `text`: each member's name as it is written, none for entries, and the value.
fn children(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.strip_prefix(['{', '[']).unwrap_or_default();
    let is_object = text.starts_with('{');
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\n', '\r', '\t', ',']);
        if rest.is_empty() || rest.starts_with(['}', ']']) {
            return None;
        }
        let mut name = "";
        if is_object {
            (name, rest) = rest.split_at(end(rest));
            rest = rest.trim_start_matches([' ', '\n', '\r', '\t', ':']);
        }
        let (value, after) = rest.split_at(end(rest));
        rest = after;
        Some((name, value))
    })
}

/// Where the value at the start of `text`, which is valid JSON, ends.
fn end(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            // Of what is around a plain value.
            b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::escape::texts;
    use super::*;

    const TAGS: [&str; 17] = [
        "ul class=",
        "ul",
        "/ul",
        "li",
        "/li",
        "b",
        "/b",
        "i",
        "/i",
        "span class=",
        "span",
        "/span",
        "details class=",
        "details",
        "details open",
        "/details",
        "summary",
    ];

    fn tree(json: &str) -> (String, String) {
        let html = value(&Json::parse(json).unwrap());
        let tags: Vec<&str> = TAGS.into_iter().chain(["/summary", "pre class= tabindex=", "/pre"]).collect();
        let text = texts(&html, &tags);
        (html, text)
    }

    #[test]
    fn values_stand_as_they_were_written() {
        let (html, text) =
            tree(r#"{"n": 1.10 ,"big":36893488147419103231,"a":[true,null,"x\ny"],"e":{},"f":[ ]}"#);
        assert!(html.contains(r#"<b>n</b> <span class="tree-word">1.10</span>"#), "{html}");
        assert!(html.contains(r#"<b>big</b> <span class="tree-word">36893488147419103231</span>"#), "{html}");
        assert!(html.contains("<summary><b>a</b> <i>3 entries</i></summary>"), "{html}");
        assert!(html.contains(r#"<b>2</b> <span class="tree-text">x"#), "{html}");
        assert!(html.contains(r#"<b>e</b> <span class="tree-rest">{}</span>"#), "{html}");
        assert!(text.contains("5 members"), "{text}");
        for plain in ["1.10", "\"text\"", "null", "[]", "{}", " {} "] {
            assert!(tree(plain).0.starts_with("<pre class=\"text\""), "{plain}");
        }
    }

    #[test]
    fn a_tree_is_bounded_and_the_text_has_all() {
        let many = format!("[{}]", (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let (html, text) = tree(&many);
        assert_eq!(html.matches("<li>").count(), NODES_MAX + 1, "one says what is left out");
        assert!(text.contains("3,001 more") && text.ends_with(&format!("As text{many}")), "{text}");
        let deep = format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000));
        let (html, _) = tree(&deep);
        assert_eq!(html.matches("<details open>").count(), DEPTH_MAX);
        let long = "ä".repeat(TEXT_CHARS_MAX + 1);
        let (html, text) = tree(&format!("[\"{long}\",\"{}\"]", &long[..600]));
        assert_eq!(html.matches("tree-long").count(), 1);
        assert!(text.contains("301 characters"));
        let wide = format!("[[{}]]", ["1"; OPEN_MAX + 1].join(","));
        assert!(tree(&wide).0.contains("<details><summary>"), "what is long is folded");
    }

    proptest! {
        #[test]
        fn what_is_hostile_is_text(name in "[<>\"'&a-z/=\\PC]{0,24}", text in "[<>\"'&a-z/=\\x00-\\x1f\\PC]{0,400}") {
            let json = serde_json::json!([{ &name: [&text, { &text: &name }] }, 1]).to_string();
            let (_, shown) = tree(&json);
            prop_assert!(shown.contains(words::legible(&name).as_ref()));
            prop_assert!(shown.contains(words::legible(&text).as_ref()));
        }

        #[test]
        fn a_value_ends_where_the_parser_ends_it(text in "[\\[\\]{}\",:\\\\ a1]{0,24}") {
            if let Ok(json) = serde_json::from_str::<Vec<Json>>(&text) {
                let found: Vec<&str> = children(&text).map(|(_, value)| value).collect();
                // What stands before the bracket is no part of the value.
                if text.starts_with('[') {
                    prop_assert_eq!(found, json.iter().map(Json::as_str).collect::<Vec<_>>());
                }
            }
        }
    }
}
