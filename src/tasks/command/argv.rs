//! Command lines with placeholders: read once at start, filled once per item.
//!
//! A value is put in once, is never read for placeholders again, and never becomes more than one argument.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use super::super::task::{Item, ItemInput, TaskError};
use super::Params;
use crate::protocol::{InputKind, Json};

/// Placeholders that are there for every input.
const ALWAYS: [&str; 3] = ["seq", "batch", "out"];
/// Those of a file.
const OF_FILE: [&str; 4] = ["file", "name", "stem", "ext"];
/// The name of a file that has none left once nothing in it leads elsewhere.
const NAMELESS: &str = "file";

/// What is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Placeholder {
    File,
    Name,
    Stem,
    Ext,
    Line,
    Record,
    Column(String),
    Seq,
    Batch,
    Out,
    Param(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Put(Placeholder),
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argv(Vec<Vec<Part>>);

impl Argv {
    /// Reads `words`, for items of `input` and parameters named `params`.
    ///
    /// # Errors
    /// A sentence that names the placeholder at fault and those that there are.
    pub fn read(words: &[String], input: InputKind, params: &[String]) -> Result<Self, String> {
        words.iter().map(|word| read_word(word, input, params)).collect::<Result<_, _>>().map(Self)
    }

    /// Every argument as it stands: for processes that outlive an item.
    pub fn literal(words: &[String]) -> Self {
        Self(words.iter().map(|word| vec![Part::Text(word.clone())]).collect())
    }

    /// The arguments that are literal and name a file in `folder` become its full path; so does a program with a `/`.
    pub fn beside(mut self, folder: &Path) -> Self {
        for (at, argument) in self.0.iter_mut().enumerate() {
            let [Part::Text(text)] = argument.as_mut_slice() else { continue };
            let path = folder.join(&*text);
            let named = if at == 0 { text.contains('/') } else { !text.starts_with('-') && path.is_file() };
            if named
                && let Ok(Ok(full)) =
                    std::path::absolute(path).map(|path| path.into_os_string().into_string())
            {
                *text = full;
            }
        }
        self
    }

    /// True where a value that others choose stands inside a text that a shell reads as a script.
    pub fn scripts_a_value(&self) -> bool {
        let literal = |argument: &Vec<Part>| match argument.as_slice() {
            [Part::Text(text)] => text.clone(),
            _ => String::new(),
        };
        let words: Vec<String> = self.0.iter().map(literal).collect();
        let shell = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        let script = words.iter().position(|word| word == "-c").and_then(|at| self.0.get(at + 1));
        matches!(shell, "sh" | "bash" | "dash" | "zsh" | "ksh")
            && script.is_some_and(|parts| parts.iter().any(is_chosen_by_others))
    }

    /// The command line for one item.
    ///
    /// # Errors
    /// Where the item has no such column.
    pub fn fill(&self, item: &Item, params: &Params, out: &Path) -> Result<Vec<OsString>, TaskError> {
        self.0
            .iter()
            .map(|parts| {
                let mut argument = OsString::new();
                for part in parts {
                    match part {
                        Part::Text(text) => argument.push(text),
                        Part::Put(placeholder) => argument.push(value(placeholder, item, params, out)?),
                    }
                }
                Ok(argument)
            })
            .collect()
    }

    /// The arguments of a command line without placeholders.
    pub fn words(&self) -> Vec<OsString> {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Put(_) => String::new(),
        };
        self.0.iter().map(|parts| OsString::from(parts.iter().map(text).collect::<String>())).collect()
    }
}

/// True for values that come with the item or the batch, and could hold anything.
fn is_chosen_by_others(part: &Part) -> bool {
    match part {
        Part::Text(_) => false,
        Part::Put(placeholder) => match placeholder {
            Placeholder::File | Placeholder::Seq | Placeholder::Batch | Placeholder::Out => false,
            Placeholder::Name
            | Placeholder::Stem
            | Placeholder::Ext
            | Placeholder::Line
            | Placeholder::Record
            | Placeholder::Column(_)
            | Placeholder::Param(_) => true,
        },
    }
}

/// One argument. `{word}` is a placeholder and `{{word}}` the text `{word}`; any other brace is itself.
fn read_word(word: &str, input: InputKind, params: &[String]) -> Result<Vec<Part>, String> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), word);
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(name) = rest
            .strip_prefix("{{")
            .and_then(|inner| named(inner))
            .filter(|name| rest[2 + name.len()..].starts_with("}}"))
        {
            text.push_str(&format!("{{{name}}}"));
            rest = &rest[name.len() + 4..];
        } else if let Some(name) = named(&rest[1..]) {
            let placeholder = placeholder(name, input, params)?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Put(placeholder));
            rest = &rest[name.len() + 2..];
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    if !text.is_empty() || parts.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// What stands before the first `}` where that is shaped like a name: a word, or `column:` and anything.
fn named(inner: &str) -> Option<&str> {
    let name = &inner[..inner.find('}')?];
    let word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    (word || name.strip_prefix("column:").is_some_and(|column| !column.is_empty())).then_some(name)
}

fn placeholder(name: &str, input: InputKind, params: &[String]) -> Result<Placeholder, String> {
    let found = match (name, input) {
        ("seq", _) => Placeholder::Seq,
        ("batch", _) => Placeholder::Batch,
        ("out", _) => Placeholder::Out,
        ("file", InputKind::File) => Placeholder::File,
        ("name", InputKind::File) => Placeholder::Name,
        ("stem", InputKind::File) => Placeholder::Stem,
        ("ext", InputKind::File) => Placeholder::Ext,
        ("line", InputKind::Line) => Placeholder::Line,
        ("record", InputKind::Record) => Placeholder::Record,
        _ => match name.strip_prefix("column:") {
            Some(column) if input == InputKind::Record => Placeholder::Column(column.to_owned()),
            _ if params.iter().any(|param| param == name) => Placeholder::Param(name.to_owned()),
            _ => return Err(unknown(name, input, params)),
        },
    };
    Ok(found)
}

fn unknown(name: &str, input: InputKind, params: &[String]) -> String {
    let own: &[&str] = match input {
        InputKind::File => &OF_FILE,
        InputKind::Line => &["line"],
        InputKind::Record => &["record", "column:NAME"],
    };
    let known: Vec<String> = own
        .iter()
        .chain(&ALWAYS)
        .copied()
        .chain(params.iter().map(String::as_str))
        .map(|known| format!("{{{known}}}"))
        .collect();
    let known = known.join(" ");
    format!("unknown placeholder {{{name}}}: expected one of {known}, or {{{{{name}}}}} for that very text")
}

/// True for names that placeholders of some input have: no parameter of a command may be called so.
pub(super) fn is_taken(name: &str) -> bool {
    ALWAYS.contains(&name) || OF_FILE.contains(&name) || matches!(name, "line" | "record")
}

fn value<'a>(
    placeholder: &'a Placeholder,
    item: &'a Item,
    params: &'a Params,
    out: &'a Path,
) -> Result<Cow<'a, std::ffi::OsStr>, TaskError> {
    let text: String = match (placeholder, &item.input) {
        (Placeholder::Out, _) => return Ok(Cow::Borrowed(out.as_os_str())),
        (Placeholder::Seq, _) => item.seq.to_string(),
        (Placeholder::Batch, _) => item.batch.to_string(),
        (Placeholder::Param(name), _) => params.get(name).map(shown).unwrap_or_default(),
        (Placeholder::File, ItemInput::File { path, .. }) => {
            let full = std::path::absolute(path).map_err(|fault| {
                TaskError::passing("io", format!("The path of the file cannot be told: {fault}"))
            })?;
            return Ok(Cow::Owned(full.into_os_string()));
        }
        (Placeholder::Name, ItemInput::File { name, .. }) => inner_name(name),
        (Placeholder::Stem, ItemInput::File { name, .. }) => split_name(&inner_name(name)).0,
        (Placeholder::Ext, ItemInput::File { name, .. }) => split_name(&inner_name(name)).1,
        (Placeholder::Line, ItemInput::Value(json)) => json.display_text(),
        (Placeholder::Record, ItemInput::Value(json)) => json.as_str().to_owned(),
        (Placeholder::Column(column), ItemInput::Value(json)) => column_of(json, column)?,
        (
            Placeholder::File | Placeholder::Name | Placeholder::Stem | Placeholder::Ext,
            ItemInput::Value(_),
        ) => {
            return Err(TaskError::input("input", "The input is no file."));
        }
        (Placeholder::Line | Placeholder::Record | Placeholder::Column(_), ItemInput::File { .. }) => {
            return Err(TaskError::input("input", "The input is a file."));
        }
    };
    Ok(Cow::Owned(text.into()))
}

/// A text as it reads, nothing for null, any other value as it was written.
fn shown(value: &Json) -> String {
    if value.as_str() == "null" { String::new() } else { value.display_text() }
}

fn column_of(json: &Json, column: &str) -> Result<String, TaskError> {
    // Where a name stands twice, the last counts, as with other readers.
    let members = json.members().unwrap_or_default();
    match members.iter().rev().find(|(name, _)| name == column) {
        Some((_, value)) => Ok(shown(value)),
        None => Err(TaskError::input("input", format!("The record has no column {column:?}."))),
    }
}

/// `name` as a relative path that leads nowhere else: uploads may be called anything.
pub(super) fn inner_name(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('/').filter(|part| !matches!(*part, "" | "." | "..") && !part.contains('\0')).collect();
    if parts.is_empty() { NAMELESS.to_owned() } else { parts.join("/") }
}

/// The last part of a name without its extension, and the extension without its dot.
fn split_name(name: &str) -> (String, String) {
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() => (stem.to_owned(), ext.to_owned()),
        _ => (last.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;
    use crate::protocol::BatchId;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn fill(argv: &[&str], input: InputKind, item: ItemInput, params: &Value) -> Vec<String> {
        let params: Params = Json::from_value(params).members().unwrap().into_iter().collect();
        let names: Vec<String> = params.keys().cloned().collect();
        let argv = Argv::read(&words(argv), input, &names).unwrap();
        let item = Item { batch: BatchId::from_u128(1), seq: 41, generation: 1, attempt: 1, input: item };
        let filled = argv.fill(&item, &params, Path::new("/out")).unwrap();
        filled.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    fn file(name: &str) -> ItemInput {
        ItemInput::File {
            name: name.to_owned(),
            path: PathBuf::from("/files/ab"),
            bytes: 1,
            media_type: String::new(),
        }
    }

    fn none() -> Value {
        serde_json::json!({})
    }

    #[test]
    fn values_are_put_in_once_and_stay_one_argument() {
        for hostile in ["-rf /", "a b\nc", "{seq}", "{{seq}}", "$(id) `id` ; id", "\"", "", "{file}{out}"] {
            let line = ItemInput::Value(Json::string(hostile));
            let filled = fill(&["x", "{line}", "a{line}b{seq}"], InputKind::Line, line, &none());
            assert_eq!(filled, ["x", hostile, &format!("a{hostile}b41")]);
            let record = ItemInput::Value(Json::from_value(&serde_json::json!({"a b": hostile, "n": 1})));
            let filled = fill(&["x", "{column:a b}", "{column:n}"], InputKind::Record, record, &none());
            assert_eq!(filled, ["x", hostile, "1"]);
            let params = serde_json::json!({"word": hostile, "list": [1], "nothing": null});
            let line = ItemInput::Value(Json::number(3));
            let filled = fill(&["{word}", "{list}", "{nothing}", "{line}"], InputKind::Line, line, &params);
            assert_eq!(filled, [hostile, "[1]", "", "3"]);
        }
    }

    #[test]
    fn numbers_are_handed_over_as_they_were_written() {
        let record = ItemInput::Value(Json::parse(r#"{"id":36893488147419103231,"price":1.10}"#).unwrap());
        let filled = fill(&["{column:id}", "{column:price}"], InputKind::Record, record, &none());
        assert_eq!(filled, ["36893488147419103231", "1.10"]);
        let argv = Argv::read(&words(&["{width}"]), InputKind::Line, &words(&["width"])).unwrap();
        let item = Item {
            batch: BatchId::from_u128(1),
            seq: 1,
            generation: 1,
            attempt: 1,
            input: ItemInput::Value(Json::number(1)),
        };
        let params = Params::from([("width".to_owned(), Json::parse("2.50").unwrap())]);
        assert_eq!(argv.fill(&item, &params, Path::new("/out")).unwrap(), ["2.50"]);
    }

    #[test]
    fn names_of_files_lead_nowhere_else() {
        for (name, inner, stem, ext) in [
            ("a/b.tar.gz", "a/b.tar.gz", "b.tar", "gz"),
            ("../../etc/passwd", "etc/passwd", "passwd", ""),
            ("/abs", "abs", "abs", ""),
            ("..", "file", "file", ""),
            (".bashrc", ".bashrc", ".bashrc", ""),
            ("-rf.png", "-rf.png", "-rf", "png"),
            ("{out}.png", "{out}.png", "{out}", "png"),
        ] {
            let filled =
                fill(&["{file}", "{out}/{name}", "{stem}", "{ext}"], InputKind::File, file(name), &none());
            assert_eq!(filled, ["/files/ab", &format!("/out/{inner}"), stem, ext]);
        }
    }

    #[test]
    fn braces_that_are_none_of_ours_stay() {
        let script =
            ["awk", "{print $1}", "{\"result\":{\"a\":1}}", "{{out}} {", "{}", "}{", "{{x{seq}", "{ä}"];
        let line = ItemInput::Value(Json::string("l"));
        let filled = fill(&script, InputKind::Line, line, &none());
        assert_eq!(
            filled,
            ["awk", "{print $1}", "{\"result\":{\"a\":1}}", "{out} {", "{}", "}{", "{{x41", "{ä}"]
        );
    }

    #[test]
    fn what_is_not_there_is_told_at_start() {
        for (word, input, told) in [
            ("{widht}", InputKind::File, "unknown placeholder {widht}: expected one of {file} {name}"),
            ("{file}", InputKind::Line, "unknown placeholder {file}: expected one of {line} {seq}"),
            ("{column:a}", InputKind::File, "unknown placeholder {column:a}"),
            (
                "{line}",
                InputKind::Record,
                "unknown placeholder {line}: expected one of {record} {column:NAME}",
            ),
        ] {
            let error = Argv::read(&words(&["x", word]), input, &words(&["width"])).unwrap_err();
            assert!(error.starts_with(told) && error.contains("{width}"), "{error}");
        }
    }

    #[test]
    fn a_value_in_a_script_is_noticed() {
        for (argv, noticed) in [
            (["/bin/sh", "-c", "echo {line}"], true),
            (["sh", "-c", "echo \"$1\" > {out}/a"], false),
            (["echo", "-c", "{line}"], false),
        ] {
            assert_eq!(Argv::read(&words(&argv), InputKind::Line, &[]).unwrap().scripts_a_value(), noticed);
        }
    }

    #[test]
    fn files_beside_the_configuration_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("enrich.py"), "").unwrap();
        let argv = Argv::literal(&words(&["python3", "-u", "enrich.py", "{line}"])).beside(folder.path());
        let script = folder.path().join("enrich.py").into_os_string();
        assert_eq!(argv.words(), ["python3".into(), "-u".into(), script, OsString::from("{line}")]);
        let argv = Argv::literal(&words(&["./run"])).beside(folder.path());
        assert!(Path::new(&argv.words()[0]).is_absolute());
    }
}
