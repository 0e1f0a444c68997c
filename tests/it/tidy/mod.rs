//! The house rules as a test: rooms and their directions, sizes, module docs, gates, words, and files that must agree.
//!
//! Reads the sources as text and as syntax; runs nothing of them. A rule that fails names the file, the line and what
//! to do instead.

mod house;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a file at most; 250 is the aim.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function at most.
const FUNCTION_LINES_MAX: usize = 70;

/// Which rooms each room may name. `config` is handed down as plain values by `cli` and `server`.
const ROOMS: [(&str, &[&str]); 15] = [
    ("fault", &[]),
    ("backoff", &[]),
    ("protocol", &[]),
    ("client", &["backoff", "protocol"]),
    ("formats", &["protocol"]),
    ("store", &["backoff", "protocol", "fault"]),
    ("tasks", &["backoff", "protocol"]),
    ("hub", &["protocol", "fault", "store"]),
    ("engine", &["backoff", "protocol", "fault", "store", "tasks", "hub"]),
    ("service", &["protocol", "formats", "store", "tasks", "hub", "engine"]),
    ("app", &["backoff", "protocol", "client", "service"]),
    (
        "server",
        &[
            "protocol", "client", "formats", "fault", "store", "tasks", "hub", "engine", "service", "app",
            "config",
        ],
    ),
    ("config", &["protocol"]),
    (
        "cli",
        &[
            "backoff", "protocol", "formats", "fault", "store", "tasks", "hub", "engine", "service", "app",
            "client", "server", "config",
        ],
    ),
    ("main", &["cli"]),
];

/// Crates that a room must not know.
const STRANGERS: [(&str, &[&str]); 5] = [
    ("protocol", &["tokio", "leptos", "leptos_axum", "sea_orm", "axum"]),
    ("tasks", &["sea_orm", "axum", "tokio_tungstenite", "leptos"]),
    ("hub", &["sea_orm", "leptos"]),
    ("engine", &["axum", "http", "leptos", "sea_orm"]),
    ("service", &["sea_orm", "leptos", "leptos_axum"]),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "common", "helpers", "models", "types"];

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    rust_files(&root().join(folder), &mut paths);
    assert!(!paths.is_empty(), "no sources below {folder}");
    paths
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(root().join(folder)).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            Source { path: path.strip_prefix(root()).unwrap().to_owned(), room, text }
        })
        .collect()
}

/// Fails with every fault at once: one run shows all there is to mend.
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Code of a source without its unit tests, which may reach further.
fn syntax(source: &Source) -> syn::File {
    let mut file =
        syn::parse_file(&source.text).unwrap_or_else(|fault| panic!("{}: {fault}", source.path.display()));
    file.items.retain(|item| !matches!(item, syn::Item::Mod(module) if is_test(&module.attrs)));
    file
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|inner| inner.is_ident("test")))
    })
}

/// True for files that hold only tests: declared under `#[cfg(test)]` and named so.
fn holds_tests(source: &Source) -> bool {
    source.path.iter().any(|part| part == "tests.rs" || part == "tests")
}

/// Collects the first two segments of every path, also inside `use` trees.
#[derive(Default)]
struct Paths {
    heads: BTreeSet<(String, String)>,
}

impl Paths {
    fn tree(&mut self, head: &str, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) if head.is_empty() => self.tree(&path.ident.to_string(), &path.tree),
            syn::UseTree::Path(path) => drop(self.heads.insert((head.to_owned(), path.ident.to_string()))),
            syn::UseTree::Name(name) if head.is_empty() => {
                self.heads.insert((name.ident.to_string(), String::new()));
            }
            syn::UseTree::Name(name) => drop(self.heads.insert((head.to_owned(), name.ident.to_string()))),
            syn::UseTree::Rename(name) => drop(self.heads.insert((head.to_owned(), name.ident.to_string()))),
            syn::UseTree::Glob(_) => drop(self.heads.insert((head.to_owned(), "*".to_owned()))),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(head, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter().map(|segment| segment.ident.to_string());
        if let (Some(head), Some(next)) = (segments.next(), segments.next()) {
            self.heads.insert((head, next));
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}

fn heads(source: &Source) -> BTreeSet<(String, String)> {
    let mut paths = Paths::default();
    paths.visit_file(&syntax(source));
    paths.heads
}

#[test]
fn rooms_name_only_rooms_below_them() {
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| source.room != "lib" && !holds_tests(source)) {
        let may = rooms
            .get(source.room.as_str())
            .unwrap_or_else(|| panic!("{} is in no room", source.path.display()));
        for (head, next) in heads(source) {
            let own = head == "crate" || head == "milepost";
            if own
                && rooms.contains_key(next.as_str())
                && next != source.room
                && !may.contains(&next.as_str())
            {
                faults.push(format!("{}: {} may not name {next}", source.path.display(), source.room));
            }
        }
    }
    none(faults);
}

#[test]
fn rooms_do_not_know_strangers() {
    let strangers: BTreeMap<_, _> = STRANGERS.into_iter().collect();
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !holds_tests(source)) {
        let Some(refused) = strangers.get(source.room.as_str()) else { continue };
        for (head, _) in heads(source) {
            if refused.contains(&head.as_str()) {
                faults.push(format!("{}: {} must not know {head}", source.path.display(), source.room));
            }
        }
    }
    none(faults);
}

#[test]
fn components_call_no_server_function() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| source.path.starts_with("src/app/components")) {
        if source.text.contains("actions::") {
            faults.push(format!(
                "{}: a component takes values and callbacks, pages call actions",
                source.path.display()
            ));
        }
    }
    none(faults);
}

#[test]
fn only_three_files_branch_on_the_database() {
    let allowed =
        ["src/store/lease/claim.rs", "src/store/lease/record.rs", "src/store/migration/column_words.rs"];
    let mut faults = Vec::new();
    for source in sources("src") {
        let branches = [
            "DbBackend::Sqlite",
            "DbBackend::Postgres",
            "DatabaseBackend::Sqlite",
            "DatabaseBackend::Postgres",
        ];
        let inside = source.path.starts_with("src/store/backend");
        if !inside && !allowed.iter().any(|path| source.path == Path::new(path)) {
            for word in branches.iter().filter(|word| source.text.contains(**word)) {
                faults.push(format!("{}: {word} belongs in store/backend", source.path.display()));
            }
        }
    }
    none(faults);
}

#[test]
fn files_open_with_a_module_doc_and_stay_small() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path.display()));
        }
        if !source.text.starts_with("//!") {
            faults.push(format!("{}: opens without a module doc", source.path.display()));
        }
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        if EMPTY_NAMES.contains(&stem) {
            faults.push(format!("{}: {stem} says nothing about what is inside", source.path.display()));
        }
    }
    none(faults);
}

struct Functions<'a> {
    source: &'a Source,
    faults: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        let lines = span.end().line - span.start().line;
        if lines > FUNCTION_LINES_MAX {
            let at = span.start().line;
            self.faults.push(format!(
                "{}:{at}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                self.source.path.display()
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn functions_fit_on_a_screen() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let file = syn::parse_file(&source.text).unwrap();
        let mut functions = Functions { source: &source, faults: Vec::new() };
        functions.visit_file(&file);
        faults.extend(functions.faults);
    }
    none(faults);
}

#[test]
fn targets_are_told_apart_at_the_rooms_only() {
    let mut faults = Vec::new();
    for source in sources("src") {
        // What people see runs on both sides: its browser, its document and the server's side of its actions do not.
        let may = ["src/lib.rs", "src/app/mod.rs", "src/app/actions/mod.rs"]
            .iter()
            .any(|path| source.path == Path::new(path));
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let gate = line.contains("cfg(") && (line.contains("feature =") || line.contains("target_arch"));
            let file = lines.get(at + 1).is_some_and(|next| {
                ["mod ", "pub mod ", "#[", "pub fn hydrate"].iter().any(|start| next.starts_with(start))
            });
            if gate && !(may && file) && !line.trim_start().starts_with("//") {
                faults.push(format!("{}:{}: gates stand at mod lines", source.path.display(), at + 1));
            }
        }
    }
    none(faults);
}

#[test]
fn leptos_options_agree() {
    let read =
        |name: &str| -> toml::Table { fs::read_to_string(root().join(name)).unwrap().parse().unwrap() };
    let options = |table: &toml::Table| table["package"]["metadata"]["leptos"].as_table().unwrap().clone();
    let (cargo, deployed) = (options(&read("Cargo.toml")), options(&read("Leptos.toml")));
    assert!(!deployed.is_empty());
    for (name, value) in deployed {
        assert_eq!(cargo.get(&name), Some(&value), "{name} differs between Cargo.toml and Leptos.toml");
    }
}

#[test]
fn wasm_bindgen_is_one_version() {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let locked = packages.iter().find(|package| package["name"].as_str() == Some("wasm-bindgen")).unwrap();
    let versions = fs::read_to_string(root().join("scripts/versions")).unwrap();
    let line = format!("WASM_BINDGEN_VERSION={}", locked["version"].as_str().unwrap());
    assert!(versions.lines().any(|found| found == line), "scripts/versions must say {line}");
}
