//! Text into markup: the only way in.

use crate::client::words;

/// Appends `text` such that it is text between tags and between double quotes, and reads the same from the server and
/// from a script ([`words::legible`]).
pub fn escape(out: &mut String, text: &str) {
    for c in words::legible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// Appends `parts`: markup and text in turn, beginning with markup.
pub fn put(out: &mut String, parts: &[&str]) {
    for (at, part) in parts.iter().enumerate() {
        if at % 2 == 0 {
            out.push_str(part);
        } else {
            escape(out, part);
        }
    }
}

/// For tests: the texts of `html`, and a panic where a tag is not one of `allowed`, tags and attributes as they are
/// written there without the attributes' values.
#[cfg(test)]
pub fn texts(html: &str, allowed: &[&str]) -> String {
    let (mut text, mut rest) = (String::new(), html);
    while let Some((before, from)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = from.split_once('>').expect("a tag ends");
        let mut shape = String::new();
        for (at, part) in tag.split('"').enumerate() {
            if at % 2 == 0 {
                shape.push_str(part);
            }
        }
        assert!(allowed.contains(&shape.as_str()), "<{tag}> in {html}");
        rest = after;
    }
    text.push_str(rest);
    assert!(!text.contains('>'), "{html}");
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    named.iter().fold(text, |text, (name, c)| text.replace(name, c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_breaks_out(hostile in "[<>\"'&;a-z/= \\n\\r\\x00-\\x1f\\PC]{0,64}") {
            let mut html = String::new();
            put(&mut html, &["<b title=\"", &hostile, "\">", &hostile, "</b>"]);
            let inner = html.strip_prefix("<b title=\"").unwrap();
            let (title, rest) = inner.split_once("\">").unwrap();
            prop_assert!(!title.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(texts(&html, &["b title=", "/b"]), words::legible(&hostile));
            prop_assert!(rest.ends_with("</b>"));
        }
    }
}
