//! Puts what was typed into the form of a page, and the reason at the field that it is about.
//!
//! A form is the one that was posted where its address and its hidden fields are. Passwords and files are not given back.

use super::markup::{Tag, escaped, tags};
use super::posted::Posted;

/// Address of the functions that forms post to.
const FUNCTIONS: &str = "/api/";

/// `html` with the form that posts to `function` filled in; all forms say with `from` where they stand.
pub fn refilled(html: &str, function: &str, from: &str, posted: &Posted, reason: &str) -> String {
    let tags = tags(html);
    let mut page = Page { html, posted, out: String::with_capacity(html.len()), done: 0 };
    let fault = fault_field(posted, reason);
    let mut at = 0;
    while at < tags.len() {
        let tag = &tags[at];
        let action = tag.value("action").unwrap_or_default();
        if tag.name != "form" || !action.starts_with(FUNCTIONS) {
            at += 1;
            continue;
        }
        let end = at + tags[at..].iter().position(|tag| tag.name == "/form").unwrap_or(tags.len() - at);
        page.put(tag, &tag.with(&[("action", Some(&format!("{action}{from}")))]));
        let inside = &tags[at + 1..end];
        if action == function && inside.iter().all(|tag| page.is_as_posted(tag)) {
            page.fill(inside, fault.map(|field| (field, reason)));
        }
        at = end;
    }
    page.finish()
}

/// The field that a reason is about: the last that it names, whole.
fn fault_field<'p>(posted: &'p Posted, reason: &str) -> Option<&'p str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let words: Vec<&str> = reason.split(|c: char| !is_word(c)).map(|word| word.trim_matches('.')).collect();
    let named = |name: &str| {
        let short = name.strip_prefix("param.").or_else(|| name.strip_prefix("option.")).unwrap_or(name);
        let longer = name.replacen("option.", "options.", 1);
        words.iter().any(|word| *word == short || *word == longer)
    };
    posted.names().filter(|name| !matches!(*name, "task" | "kind")).filter(|name| named(name)).last()
}

/// A page that is written anew, from tag to tag.
struct Page<'h> {
    html: &'h str,
    posted: &'h Posted,
    out: String,
    /// So far it is written.
    done: usize,
}

impl<'h> Page<'h> {
    /// Writes `text` in place of a tag.
    fn put(&mut self, tag: &Tag<'_>, text: &str) {
        self.out.push_str(&self.html[self.done..tag.span.start]);
        self.out.push_str(text);
        self.done = tag.span.end;
    }

    fn finish(mut self) -> String {
        self.out.push_str(&self.html[self.done..]);
        self.out
    }

    /// False for a hidden field that has another value than the one that was posted.
    fn is_as_posted(&self, tag: &Tag<'_>) -> bool {
        let kind = tag.value("type").unwrap_or_default();
        let (Some(name), Some(value)) = (tag.value("name"), tag.value("value")) else { return true };
        tag.name != "input" || kind != "hidden" || value.is_empty() || self.posted.has(&name, &value)
    }

    /// Fills in the fields between these tags; `fault` is the field that is wrong, and why.
    fn fill(&mut self, inside: &[Tag<'_>], fault: Option<(&str, &str)>) {
        let mut select = String::new();
        for (at, tag) in inside.iter().enumerate() {
            let name = tag.value("name").unwrap_or_default();
            let marks = fault.filter(|(field, _reason)| *field == name);
            let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
            if marks.is_some() {
                changes.extend([
                    ("aria-invalid", Some("true")),
                    ("aria-describedby", Some("fault")),
                    ("autofocus", Some("")),
                ]);
            }
            match tag.name {
                "details" => self.put(tag, &tag.with(&[("open", Some(""))])),
                "input" => {
                    self.input(tag, &name, &mut changes);
                    self.explain(marks);
                }
                "textarea" => {
                    self.put(tag, &tag.with(&changes));
                    if let (Some(text), Some(end)) = (self.posted.text(&name), inside.get(at + 1)) {
                        // The first line end after the tag is not part of the text.
                        self.out.push('\n');
                        self.out.push_str(&escaped(text));
                        self.done = end.span.start;
                    }
                }
                "select" => {
                    self.put(tag, &tag.with(&changes));
                    select = name;
                }
                "option" if self.posted.text(&select).is_some() => {
                    let chosen = self.posted.has(&select, &tag.value("value").unwrap_or_default());
                    self.put(tag, &tag.with(&[("selected", chosen.then_some(""))]));
                }
                "/select" | "/textarea" => {
                    self.put(tag, &format!("<{}>", tag.name));
                    let opened =
                        inside[..at].iter().rev().find(|before| format!("/{}", before.name) == tag.name);
                    let name = opened.and_then(|opened| opened.value("name")).unwrap_or_default();
                    self.explain(fault.filter(|(field, _reason)| *field == name));
                    select.clear();
                }
                _ => {}
            }
        }
    }

    fn input<'c>(&mut self, tag: &Tag<'_>, name: &str, changes: &mut Vec<(&'c str, Option<&'c str>)>)
    where
        'h: 'c,
    {
        match tag.value("type").unwrap_or_default().as_str() {
            "hidden" | "password" | "file" | "submit" | "button" => {}
            "checkbox" | "radio" => {
                let value = tag.value("value").unwrap_or_else(|| "on".into());
                changes.push(("checked", self.posted.has(name, &value).then_some("")));
            }
            _ => {
                if let Some(text) = self.posted.text(name) {
                    changes.push(("value", Some(text)));
                }
            }
        }
        self.put(tag, &tag.with(changes));
    }

    /// Says at the field why it is refused.
    fn explain(&mut self, fault: Option<(&str, &str)>) {
        if let Some((_field, reason)) = fault {
            self.out.push_str(&format!("<span class=\"fault\" id=\"fault\">{}</span>", escaped(reason)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(html: &str, body: &str, reason: &str) -> String {
        let posted = Posted::read("application/x-www-form-urlencoded", body.as_bytes()).await;
        refilled(html, "/api/save1", "?from=%2Fp", &posted, reason)
    }

    #[tokio::test]
    async fn what_was_typed_is_there_again() {
        let html = "<form action=\"/api/save1\"><input type=\"hidden\" name=\"id\" value=\"7\"><input name=\"name\" value=\"old\">\
            <input type=\"password\" name=\"secret\" value=\"\"><input type=\"checkbox\" name=\"a\" checked><input type=\"checkbox\" name=\"b\" value=\"true\">\
            <select name=\"role\"><option value=\"x\" selected>X</option><option value=\"y\">Y</option></select>\
            <textarea name=\"text\">before</textarea></form><form action=\"/logout\"></form>";
        let page = filled(html, "id=7&name=%22%3Cb%3E&secret=s&b=true&role=y&text=%0A1+%3C+2", "").await;
        assert_eq!(
            page,
            "<form action=\"/api/save1?from=%2Fp\"><input type=\"hidden\" name=\"id\" value=\"7\"><input name=\"name\" value=\"&quot;&lt;b&gt;\">\
            <input type=\"password\" name=\"secret\" value=\"\"><input type=\"checkbox\" name=\"a\"><input type=\"checkbox\" name=\"b\" value=\"true\" checked=\"\">\
            <select name=\"role\"><option value=\"x\">X</option><option value=\"y\" selected=\"\">Y</option></select>\
            <textarea name=\"text\">\n\n1 &lt; 2</textarea></form><form action=\"/logout\"></form>"
        );
    }

    #[tokio::test]
    async fn only_the_form_that_was_posted_is_filled() {
        let one = |id: u32| {
            format!(
                "<form action=\"/api/save1\"><input type=\"hidden\" name=\"id\" value=\"{id}\"><input name=\"n\"></form>"
            )
        };
        let page = filled(&(one(1) + &one(2)), "id=2&n=typed", "").await;
        let (first, second) = page.split_once("</form>").unwrap();
        assert!(!first.contains("typed") && second.contains("value=\"typed\""), "{page}");
    }

    #[tokio::test]
    async fn the_reason_stands_at_its_field() {
        let html = "<form action=\"/api/save1\"><details><input name=\"option.rate_per_s\"></details><textarea name=\"lines\"></textarea></form>";
        let page =
            filled(html, "option.rate_per_s=x&lines=a", "options.rate_per_s: a number is expected").await;
        assert!(page.contains("aria-invalid=\"true\" aria-describedby=\"fault\" autofocus=\"\" value=\"x\"><span class=\"fault\" id=\"fault\">options.rate"), "{page}");
        assert!(page.contains("<details open=\"\">"), "{page}");
        let page = filled(html, "option.rate_per_s=&lines=a", "line 3 of lines: no text").await;
        assert!(page.contains("<textarea name=\"lines\" aria-invalid"), "{page}");
        assert!(page.contains("a</textarea><span class=\"fault\""), "{page}");
        let page = filled(html, "option.rate_per_s=&lines=a", "The disk is full.").await;
        assert!(!page.contains("aria-invalid"));
    }
}
