//! Which pages come with the program: the others are forms and lists, and are whole without it.

/// A page that comes with the program: what is there is live, or takes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramPage {
    /// `/`
    Batches,
    /// `/new`
    NewBatch,
    /// `/batches/ID`
    Batch,
    /// `/batches/ID/items/SEQ`
    Item,
    /// `/nodes`
    Nodes,
    /// `/s/SECRET`
    Shared,
}

impl ProgramPage {
    /// The page at `path`; none where that is none of these.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        match parts {
            [Some(""), None, ..] => Some(Self::Batches),
            [Some("new"), None, ..] => Some(Self::NewBatch),
            [Some("nodes"), None, ..] => Some(Self::Nodes),
            [_, Some(""), ..] | [_, _, _, Some(""), _] => None,
            [Some("batches"), Some(_), None, ..] => Some(Self::Batch),
            [Some("s"), Some(_), None, ..] => Some(Self::Shared),
            [Some("batches"), Some(_), Some("items"), Some(_), None] => Some(Self::Item),
            _ => None,
        }
    }
}

/// Whether the page at `path` comes with the program.
#[must_use]
pub fn has_program(path: &str) -> bool {
    ProgramPage::of(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_with_the_pages_that_it_knows() {
        let pages = [
            ("/", ProgramPage::Batches),
            ("/new", ProgramPage::NewBatch),
            ("/nodes", ProgramPage::Nodes),
            ("/batches/1", ProgramPage::Batch),
            ("/batches/1/items/2", ProgramPage::Item),
            ("/s/secret", ProgramPage::Shared),
        ];
        for (path, page) in pages {
            assert_eq!(ProgramPage::of(path), Some(page), "{path}");
        }
        let without = [
            "",
            "/login",
            "/schedules",
            "/webhooks/1",
            "/first/x",
            "/batches",
            "/batches/",
            "/batches/1/",
            "/batches/1/items",
            "/batches/1/course",
            "/batches/1/items/",
            "/batches//items/1",
            "/new/",
            "/s/",
            "/s/x/y",
            "/batches/1/items/2/3",
            "/nowhere",
        ];
        for path in without {
            assert_eq!(ProgramPage::of(path), None, "{path}");
        }
    }
}
