//! Names of files inside an archive: such as every system can unpack, Windows included.
//!
//! The folders of the item's input and those of the file itself come first, then `NNNNNN-name`: the item's position, and the
//! file's own name. Two files never have one name, nor two that differ only in case or in how accents are composed, nor is
//! one a folder of another's name; what was changed on the way is told by the manifest.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;

use crate::protocol::text::is_unseen;

/// The entry that says which item left which file.
pub(super) const MANIFEST: &str = "manifest.ndjson";
/// Bytes of one part of a name; a longer one loses its middle, never its extension. Most systems take 255.
const PART_BYTES_MAX: usize = 150;
/// Bytes of an extension that is kept when a part is shortened.
const EXTENSION_BYTES_MAX: usize = 20;
/// Bytes of all folders of a name; those beyond are left out.
const FOLDERS_BYTES_MAX: usize = 600;
/// Digits of a position, at least.
const SEQ_DIGITS: usize = 6;

/// Names that Windows keeps for devices, with any extension.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// The same, followed by one digit.
const NUMBERED_DEVICES: &[&str] = &["COM", "LPT"];

/// The entries of the files that one item left, in the order of `names`. `input` is the name of the file it took; empty
/// where it took none.
pub(super) fn entries<'a>(seq: u64, input: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let outer: Vec<&str> = folders_and_name(input).0;
    let mut taken = HashSet::new();
    let entry = |name: &'a str| {
        let (inner, own) = folders_and_name(name);
        let folders = folders(outer.iter().copied().chain(inner));
        let own = part(own);
        let (stem, extension) = stem_and_extension(&own);
        let mut number = 1_u32;
        loop {
            // Its position makes it differ from those of all other items.
            let distinct = if number == 1 { own.clone() } else { format!("{stem}-{number}{extension}") };
            let entry = format!("{folders}{seq:0SEQ_DIGITS$}-{distinct}");
            if taken.insert(alike(&entry)) {
                return entry;
            }
            number += 1;
        }
    };
    names.map(entry).collect()
}

/// What two names have in common that some system takes for one.
fn alike(name: &str) -> String {
    name.nfc().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
}

/// The folders on the way to a file, and its own name, `file` where it has none. No part leads elsewhere.
fn folders_and_name(name: &str) -> (Vec<&str>, &str) {
    let mut parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let own = parts.pop().unwrap_or("file");
    (parts, own)
}

/// Folders as they are written, each with its slash.
fn folders<'a>(named: impl Iterator<Item = &'a str>) -> String {
    let mut folders = String::new();
    for folder in named {
        let mut folder = part(folder);
        // A folder must not be called as a file is: the manifest, or one with a position in front.
        let digits = folder.bytes().take_while(u8::is_ascii_digit).count();
        let is_numbered = digits >= SEQ_DIGITS && folder[digits..].starts_with('-');
        if is_numbered || is_device(&folder) || alike(&folder) == MANIFEST {
            folder.insert(0, '_');
        }
        if folders.len() + folder.len() >= FOLDERS_BYTES_MAX {
            break;
        }
        folders.push_str(&folder);
        folders.push('/');
    }
    folders
}

/// One part of a name with `_` for each sign that some system refuses, and no longer than it may be.
fn part(name: &str) -> String {
    let is_refused =
        |c: char| is_unseen(c) || matches!(c, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*');
    let mut part: String = name.chars().map(|c| if is_refused(c) { '_' } else { c }).collect();
    if part.len() > PART_BYTES_MAX {
        let (stem, extension) = stem_and_extension(&part);
        let kept = stem.floor_char_boundary(PART_BYTES_MAX - extension.len());
        part = format!("{}{extension}", &stem[..kept]);
    }
    // Windows drops them from the end of a name.
    let end = part.trim_end_matches(['.', ' ']).len();
    let dropped = part.len() - end;
    part.truncate(end);
    part.push_str(&"_".repeat(dropped));
    part
}

/// A name before and from its last dot; all of it where what follows is no extension.
fn stem_and_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION_BYTES_MAX => name.split_at(at),
        Some(_) | None => (name, ""),
    }
}

/// True for what Windows takes for a device whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let digit = NUMBERED_DEVICES.iter().find_map(|device| stem.strip_prefix(device));
    let is_digit =
        |digit: &str| matches!(digit.as_bytes(), [b'0'..=b'9']) || matches!(digit, "¹" | "²" | "³");
    DEVICES.contains(&stem.as_str()) || digit.is_some_and(is_digit)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn one(seq: u64, input: &str, name: &str) -> String {
        entries(seq, input, std::iter::once(name)).remove(0)
    }

    #[test]
    fn entries_are_named_by_folder_and_position() {
        for (seq, input, name, entry) in [
            (41, "", "a.png", "000041-a.png"),
            (7, "a/same.png", "same.png", "a/000007-same.png"),
            (7, "2026/june/same.png", "small/same.webp", "2026/june/small/000007-same.webp"),
            (1_234_567, "", "../../etc/./pass:wd", "etc/1234567-pass_wd"),
            (1, "../..", "/", "000001-file"),
            (1, "C:\\x\\y.png", "b\\c.png", "000001-b_c.png"),
            (4, "", "12:30 a*b?.png", "000004-12_30 a_b_.png"),
            (1, "", "say \"hi\"|<1>.txt", "000001-say _hi___1_.txt"),
            (1, "trail./space /x", "trail. .", "trail_/space_/000001-trail___"),
            (
                1,
                "CON/nul.txt/com1/COM¹.x/lpt0/conin$/console/x",
                "CON.txt",
                "_CON/_nul.txt/_com1/_COM¹.x/_lpt0/_conin$/console/000001-CON.txt",
            ),
            (1, "Manifest.NDJSON/000002-b/00002-b/x", "a", "_Manifest.NDJSON/_000002-b/00002-b/000001-a"),
            (1, "", "a\u{7f}\u{0}\u{85}b", "000001-a___b"),
        ] {
            assert_eq!(one(seq, input, name), entry, "{input:?} {name:?}");
        }
    }

    #[test]
    fn files_of_one_item_keep_apart() {
        let names =
            ["A.txt", "a.txt", "a-2.txt", "a?.txt", "a*.txt", "e\u{301}", "\u{e9}", "ß", "SS", ".x", ".X"];
        let entries = entries(1, "", names.into_iter());
        assert_eq!(
            entries,
            [
                "000001-A.txt",
                "000001-a-2.txt",
                "000001-a-2-2.txt",
                "000001-a_.txt",
                "000001-a_-2.txt",
                "000001-e\u{301}",
                "000001-\u{e9}-2",
                "000001-ß",
                "000001-SS-2",
                "000001-.x",
                "000001-.X-2"
            ]
        );
    }

    #[test]
    fn long_names_are_shortened() {
        let long = format!("{}.jpeg", "ä".repeat(400));
        let entry = one(1, &format!("{}x.png", "folder of a long name/".repeat(100)), &long);
        assert!(entry.len() <= FOLDERS_BYTES_MAX + PART_BYTES_MAX + 10, "{}", entry.len());
        assert!(entry.ends_with("ä.jpeg"));
        let two = entries(1, "", [format!("{long}x"), format!("{long}y")].iter().map(String::as_str));
        assert_ne!(two[0], two[1]);
    }

    /// Whether Windows, and whoever unpacks by its rules, takes it.
    fn is_safe(entry: &str) -> bool {
        entry.split('/').all(|part| {
            let refused = |c: char| c < ' ' || "<>:\"\\|?*\u{7f}".contains(c);
            !part.is_empty()
                && !part.contains(refused)
                && !part.ends_with(['.', ' '])
                && part.len() <= 255
                && !is_device(part)
        })
    }

    proptest! {
        #[test]
        fn names_are_safe_and_distinct(
            items in prop::collection::vec(
                ("([aA./:*\u{e9}C]|CON|nul|com1|[0-9]{6}-|\\PC){0,12}",
                 prop::collection::hash_set("([aA./?*\u{e9}e\u{301} ]|CON|\\PC){0,8}", 1..8)),
                1..6,
            )
        ) {
            let mut taken = HashMap::new();
            for (at, (input, names)) in items.iter().enumerate() {
                let seq = at as u64 + 1;
                let named = entries(seq, input, names.iter().map(String::as_str));
                for (entry, name) in named.into_iter().zip(names) {
                    prop_assert!(is_safe(&entry), "{entry:?}");
                    let own = entry.rsplit('/').next().unwrap();
                    let prefix = format!("{seq:06}-");
                    prop_assert!(own.starts_with(&prefix));
                    let before = taken.insert(alike(&entry), (seq, name.clone()));
                    prop_assert!(before.is_none(), "{entry:?}: {before:?} and {name:?}");
                }
            }
            // No file stands where another has a folder.
            for entry in taken.keys().chain([&MANIFEST.to_owned()]) {
                let within = format!("{entry}/");
                prop_assert!(taken.keys().all(|other| !other.starts_with(&within)), "{entry:?}");
            }
        }
    }
}
