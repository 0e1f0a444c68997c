//! Which pages come with the program: the others are forms and lists, and are whole without it.

/// Whether the page at `path` comes with the program: what is there is live, or takes files.
#[must_use]
pub fn has_program(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    match parts {
        [Some(page), None, ..] => matches!(page, "" | "new" | "nodes"),
        [Some(page), Some(id), None, ..] => matches!(page, "batches" | "s") && !id.is_empty(),
        [Some("batches"), Some(id), Some("items"), Some(seq), None] => !id.is_empty() && !seq.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::has_program;

    #[test]
    fn the_program_comes_with_the_pages_that_it_knows() {
        for path in ["/", "/new", "/nodes", "/batches/1", "/batches/1/items/2", "/s/secret"] {
            assert!(has_program(path), "{path}");
        }
        let without = [
            "",
            "/login",
            "/schedules",
            "/webhooks/1",
            "/first/x",
            "/batches",
            "/batches/",
            "/batches/1/items",
            "/batches/1/course",
            "/s/",
            "/s/x/y",
            "/batches/1/items/2/3",
            "/nowhere",
        ];
        for path in without {
            assert!(!has_program(path), "{path}");
        }
    }
}
