//! Which tasks take what was dropped, and the line that says so.

use leptos::prelude::*;

use crate::app::upload::{QueuedFile, Upload};
use crate::client::words;
use crate::protocol::{InputKind, TaskInfo};

/// Files that are looked at for what they are: the rest will be like them.
const LOOKED_AT_MAX: usize = 100;
/// Name of the task for pictures that comes with the program.
const IMAGE_TASK: &str = "image";

/// What files are, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DroppedKind {
    /// One table, whose rows can be items.
    Table,
    /// Pictures.
    Pictures,
    /// Anything.
    Files,
}

/// What `files` are; none where there are none.
pub fn kind(files: &[QueuedFile]) -> Option<DroppedKind> {
    let all = |endings: &[&str]| files.iter().take(LOOKED_AT_MAX).all(|file| ends_in(&file.name, endings));
    match files.len() {
        0 => None,
        1 if all(&["csv", "tsv"]) => Some(DroppedKind::Table),
        _ if all(&["png", "jpg", "jpeg", "webp"]) => Some(DroppedKind::Pictures),
        _ => Some(DroppedKind::Files),
    }
}

fn ends_in(name: &str, endings: &[&str]) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_stem, ending)| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

fn takes(kind: DroppedKind, task: &TaskInfo) -> bool {
    task.input == InputKind::File || (kind == DroppedKind::Table && task.input == InputKind::Record)
}

/// The task that opens with files of a kind.
pub fn best(kind: DroppedKind, tasks: &[TaskInfo]) -> Option<&TaskInfo> {
    let first = match kind {
        DroppedKind::Table => tasks.iter().find(|task| task.input == InputKind::Record),
        DroppedKind::Pictures => tasks.iter().find(|task| task.name == IMAGE_TASK),
        DroppedKind::Files => None,
    };
    first.or_else(|| tasks.iter().find(|task| takes(kind, task)))
}

/// Says which tasks take what was dropped, where there is a choice, or where the chosen one does not take it.
pub fn others(held: Upload, chosen: &TaskInfo, tasks: &[TaskInfo]) -> Option<AnyView> {
    let (kind, count) = held.entries.with(|files| Some((kind(files)?, files.len())))?;
    let fitting: Vec<&TaskInfo> = tasks.iter().filter(|task| takes(kind, task)).collect();
    let is_taken = takes(kind, chosen);
    if is_taken && fitting.len() == 1 {
        return None;
    }
    let files = words::counted(count as u64, "file");
    let words = match (is_taken, fitting.len()) {
        (true, tasks) => format!(
            "{} take {}: ",
            words::counted(tasks as u64, "task"),
            if count == 1 { "this file" } else { "these files" }
        ),
        (false, 0) => format!("{} {files}, and no task here takes any.", words::shown(&chosen.title)),
        (false, _) => format!("“{}” does not take {files}. These tasks do: ", words::shown(&chosen.title)),
    };
    let links: Vec<_> = fitting
        .into_iter()
        .enumerate()
        .map(|(at, task)| {
            let link = format!("/new?task={}", words::path_segment(&task.name));
            let current = (task.name == chosen.name).then_some("true");
            view! { {(at > 0).then_some(", ")}<a href=link aria-current=current>{words::shown(&task.title)}</a> }
        })
        .collect();
    Some(view! { <p class="fitting" role="status">{words}{links}</p> }.into_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Json;

    fn files(names: &[&str]) -> Vec<QueuedFile> {
        names.iter().map(|name| QueuedFile { name: (*name).to_owned(), bytes: 1 }).collect()
    }

    fn task(name: &str, input: InputKind) -> TaskInfo {
        let (title, description) = (name.to_owned(), String::new());
        TaskInfo { name: name.to_owned(), title, description, input, params: Json::default() }
    }

    #[test]
    fn what_is_dropped_chooses_its_task() {
        let tasks = [
            task("demo", InputKind::Line),
            task("checksum", InputKind::File),
            task("image", InputKind::File),
            task("csv-check", InputKind::Record),
        ];
        let opened =
            |names: &[&str]| best(kind(&files(names)).unwrap(), &tasks).map(|task| task.name.as_str());
        assert_eq!(opened(&["people.CSV"]), Some("csv-check"));
        assert_eq!(opened(&["a.csv", "b.csv"]), Some("checksum"), "several tables are files");
        assert_eq!(opened(&["a.png", "June/b.JPEG"]), Some("image"));
        assert_eq!(opened(&["a.png", "notes.txt"]), Some("checksum"));
        assert_eq!(opened(&["csv"]), Some("checksum"), "a name is no ending");
        assert_eq!(kind(&[]), None);
        let without = [task("demo", InputKind::Line), task("mine", InputKind::File)];
        for names in [&["a.csv"], &["a.png"], &["a.txt"]] {
            assert_eq!(
                best(kind(&files(names)).unwrap(), &without).map(|task| task.name.as_str()),
                Some("mine")
            );
        }
        assert_eq!(best(DroppedKind::Files, &without[..1]), None);
    }
}
