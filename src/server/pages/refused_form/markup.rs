//! Tags of our own HTML: where each stands, what it is called, its attributes.
//!
//! Knows what the renderer writes, and no more: attributes in double quotes or without a value, text in which `<` is always
//! escaped but in scripts and styles.

use std::ops::Range;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag<'h> {
    /// Where it stands, from `<` to `>`.
    pub span: Range<usize>,
    /// Its name, with `/` before it for the end of an element.
    pub name: &'h str,
    /// Names and values, as they are written.
    pub attributes: Vec<(&'h str, &'h str)>,
}

impl Tag<'_> {
    /// The value of an attribute as it is meant; empty for one without a value.
    pub fn value(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(found, _)| *found == name).map(|(_, value)| unescaped(value))
    }

    /// The tag written anew, with `changes`: a value sets an attribute, none takes it away.
    pub fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut text = format!("<{}", self.name);
        let changed = |name: &str| changes.iter().any(|(change, _)| *change == name);
        for (name, value) in self.attributes.iter().filter(|(name, _)| !changed(name)) {
            text.push_str(&format!(" {name}=\"{value}\""));
        }
        for (name, value) in changes {
            if let Some(value) = value {
                text.push_str(&format!(" {name}=\"{}\"", escaped(value)));
            }
        }
        text.push('>');
        text
    }
}

/// All tags, in order.
pub fn tags(html: &str) -> Vec<Tag<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = html[at..].find('<').map(|offset| at + offset) {
        let rest = &html[start + 1..];
        if rest.starts_with('!') {
            let end = if rest.starts_with("!--") && !rest.starts_with("!-->") { "-->" } else { ">" };
            at = start + 1 + rest.find(end).map_or(rest.len(), |offset| offset + end.len());
            continue;
        }
        let Some(tag) = tag(html, start) else { break };
        at = tag.span.end;
        if matches!(tag.name, "script" | "style") {
            let end = format!("</{}", tag.name);
            at += html[at..].find(&end).unwrap_or(html.len() - at);
        }
        found.push(tag);
    }
    found
}

fn tag(html: &str, start: usize) -> Option<Tag<'_>> {
    let name_end = start + 1 + html[start + 1..].find(|c: char| c.is_ascii_whitespace() || c == '>')?;
    let name = &html[start + 1..name_end];
    let (mut attributes, mut at) = (Vec::new(), name_end);
    loop {
        at += html[at..].find(|c: char| !c.is_ascii_whitespace() && c != '/')?;
        if html[at..].starts_with('>') {
            return Some(Tag { span: start..at + 1, name, attributes });
        }
        let end = at + html[at..].find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>'))?;
        let attribute = &html[at..end];
        at = end;
        if let Some(rest) = html[end..].strip_prefix("=\"") {
            let length = rest.find('"')?;
            attributes.push((attribute, &rest[..length]));
            at = end + 2 + length + 1;
        } else {
            attributes.push((attribute, ""));
            // Without quotes, which we do not write: its value is passed over.
            if html[end..].starts_with('=') {
                at = end + html[end..].find(|c: char| c.is_ascii_whitespace() || c == '>')?;
            }
        }
    }
}

/// A text as it is written in HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&#x27;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_as_we_write_them() {
        let html = "<!DOCTYPE html><p class=\"a b\">x<!----><br/><script>if (1<2) \"</p>\"</script><input required \
                    value=\"&quot;&amp;lt;\"></p><!-- <b> -->";
        let found = tags(html);
        let names: Vec<&str> = found.iter().map(|tag| tag.name).collect();
        assert_eq!(names, ["p", "br/", "script", "/script", "input", "/p"]);
        assert_eq!(found[0].value("class").as_deref(), Some("a b"));
        assert_eq!(found[4].value("value").as_deref(), Some("\"&lt;"));
        assert_eq!(found[4].value("required").as_deref(), Some(""));
        assert_eq!(&html[found[4].span.clone()], "<input required value=\"&quot;&amp;lt;\">");
        let changed = found[4].with(&[("value", Some("<\">")), ("required", None)]);
        assert_eq!(changed, "<input value=\"&lt;&quot;&gt;\">");
        assert_eq!(tags("<p class=\"cut").len(), 0);
        assert_eq!(tags("").len(), 0);
    }
}
