//! What a batch is called that nobody has named: after its input.
//!
//! One rule for pages, API and command line: the server makes the name, when the batch is whole.

use super::limits::NAME_CHARS_MAX;
use super::task::InputKind;
use super::text::{is_unseen, thousands};

/// `people.csv`: after the one file that the items were read from. None for a name of which nothing can be seen.
#[must_use]
pub fn after_source(file: &str) -> Option<String> {
    let file = file.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    // The name of a file may hold what that of a batch may not.
    let name: String =
        file.chars().map(|c| if is_unseen(c) { '_' } else { c }).take(NAME_CHARS_MAX).collect();
    Some(name).filter(|name| !name.is_empty())
}

/// `12 lines`, `400 rows`, `7 records`.
#[must_use]
pub fn after_count(input: InputKind, has_columns: bool, items: u64) -> String {
    let noun = match input {
        InputKind::File => "file",
        InputKind::Line => "line",
        InputKind::Record if has_columns => "row",
        InputKind::Record => "record",
    };
    counted(items, noun)
}

/// `1,000 numbers`.
#[must_use]
pub fn after_numbers(count: u64) -> String {
    counted(count, "number")
}

/// `people.csv`, `people.csv and 3 more`; `300 files of June` where the first and the last are in one folder.
#[must_use]
pub fn after_files(first: &str, last: &str, files: u64) -> String {
    let folder = |name: &str| {
        let (folder, _rest) = name.split_once(['/', '\\'])?;
        after_source(folder)
    };
    match (files, folder(first), folder(last)) {
        (2.., Some(of_first), Some(of_last)) if of_first == of_last => {
            cut(&format!("{} of {of_first}", counted(files, "file")))
        }
        (files, _, _) => {
            let Some(name) = after_source(first) else { return counted(files, "file") };
            let more = if files > 1 { format!(" and {} more", thousands(files - 1)) } else { String::new() };
            let room = NAME_CHARS_MAX - more.chars().count();
            name.chars().take(room).chain(more.chars()).collect()
        }
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_input() {
        assert_eq!(after_source("C:\\data\\people.csv").as_deref(), Some("people.csv"));
        assert_eq!(after_source("a\u{202e}b\n.csv").as_deref(), Some("a_b_.csv"));
        assert_eq!(after_source(" / "), None);
        assert_eq!(after_count(InputKind::Line, false, 12), "12 lines");
        assert_eq!(after_count(InputKind::Record, true, 1), "1 row");
        assert_eq!(after_count(InputKind::Record, false, 7), "7 records");
        assert_eq!(after_numbers(1_000), "1,000 numbers");
        assert_eq!(after_files("people.csv", "people.csv", 1), "people.csv");
        assert_eq!(after_files("people.csv", "z.csv", 4), "people.csv and 3 more");
        assert_eq!(after_files("June/a.jpg", "June/b/c.jpg", 300), "300 files of June");
        assert_eq!(after_files("June/a.jpg", "June/a.jpg", 1), "a.jpg");
        assert_eq!(after_files("June/a.jpg", "July/c.jpg", 2), "a.jpg and 1 more");
    }

    #[test]
    fn a_name_is_no_longer_than_one_may_be() {
        let long = "é".repeat(300);
        for name in [
            after_source(&long).unwrap(),
            after_files(&long, "b", 1_000_000),
            after_files(&format!("{long}/a"), &format!("{long}/b"), 2),
        ] {
            assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        }
        assert!(after_files(&long, "b", 4).ends_with(" and 3 more"));
    }
}
