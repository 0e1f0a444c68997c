//! Secrets taken out of what a process writes, before anybody reads a line of it.

/// What stands where a secret stood.
const HIDDEN: &str = "***";
/// Characters of a secret, or of a line of it, that is looked for: a shorter one would take words apart that are none.
const CHARS_MIN: usize = 4;

/// The texts that are never shown, the longest first.
#[derive(Clone, Debug, Default)]
pub(in crate::tasks::command) struct Mask(Vec<String>);

impl Mask {
    /// Hides each of `secrets`, each line of it, and how JSON may spell it.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let mut texts = Vec::new();
        for secret in secrets {
            let lines = secret.lines().map(str::trim_end);
            for text in std::iter::once(secret).chain(lines) {
                if text.chars().count() >= CHARS_MIN {
                    let json = serde_json::Value::from(text).to_string();
                    let json = json[1..json.len() - 1].to_owned();
                    texts.extend([in_ascii(&json), json.replace('/', "\\/"), json, text.to_owned()]);
                }
            }
        }
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Self(texts)
    }

    /// True where there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes every secret out of `text`. Of a text that was cut, what may be the start of one goes too.
    pub fn hide(&self, text: &mut String, is_cut: bool) {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        if is_cut && let Some(longest) = self.0.first() {
            text.truncate(text.floor_char_boundary(text.len().saturating_sub(longest.len())));
        }
    }
}

/// As JSON writers do that keep to ASCII.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(secret: &str, text: &str) -> String {
        let mut text = text.to_owned();
        Mask::new(std::iter::once(secret)).hide(&mut text, false);
        text
    }

    #[test]
    fn secrets_are_hidden_however_they_are_spelled() {
        for (secret, text, shown) in [
            ("s3cret", "the key is s3cret.", "the key is ***."),
            ("a\"b\\c", r#"{"log":"a\"b\\c"}"#, r#"{"log":"***"}"#),
            ("pässwort", r#"{"log":"p\u00e4sswort pässwort"}"#, r#"{"log":"*** ***"}"#),
            ("first line\nsecond line\n", "x second line y", "x *** y"),
            ("ab/cd", r#""ab\/cd""#, r#""***""#),
            ("abc", "abc stays: it is too short", "abc stays: it is too short"),
        ] {
            assert_eq!(hidden(secret, text), shown, "{secret:?}");
        }
    }

    #[test]
    fn a_secret_that_was_cut_is_not_shown_in_part() {
        let mut text = "the key is s3cr".to_owned();
        Mask::new(std::iter::once("s3cret")).hide(&mut text, true);
        assert!(!text.contains("s3cr"), "{text}");
    }
}
