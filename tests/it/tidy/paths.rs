//! Which files name which: every path of a source, resolved to the module that it leads to.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::{Source, holds_tests, is_test, sources, syntax};

/// Modules by what they name, each as `room::folder::file`. Unit tests are left out: they may reach further.
pub struct Modules {
    names: BTreeMap<String, BTreeSet<String>>,
}

/// `src/engine/dispatch/lease.rs` as `engine::dispatch::lease`.
fn module_of(source: &Source) -> String {
    let inside = source.path.strip_prefix("src").unwrap().with_extension("");
    let parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
    let parts = if parts.last() == Some(&"mod") { &parts[..parts.len() - 1] } else { &parts[..] };
    parts.join("::")
}

impl Modules {
    pub fn read() -> Self {
        let files: Vec<_> = sources("src").into_iter().filter(|source| !holds_tests(source)).collect();
        let known: BTreeSet<String> = files.iter().map(module_of).collect();
        let names = files
            .iter()
            .map(|source| {
                let own = module_of(source);
                let mut paths = Paths::default();
                paths.visit_file(&syntax(source));
                let named = paths.found.iter().filter_map(|path| resolve(&own, path, &known));
                let named = named.filter(|module| *module != own).collect();
                (own.clone(), named)
            })
            .collect();
        Self { names }
    }

    /// Every module, each with those that it names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.names.iter().map(|(module, named)| (module.as_str(), named))
    }

    /// Groups of the children of `parent` that name one another in a circle; a child stands for all below it. `parent`
    /// itself is left out: its file lists its children, and they use what it defines.
    pub fn circles_in(&self, parent: &str) -> Vec<Vec<String>> {
        let child = |module: &str| {
            let inside = module.strip_prefix(parent)?.strip_prefix("::")?;
            Some(inside.split("::").next().unwrap_or(inside).to_owned())
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, named) in self.iter() {
            let Some(from) = child(module) else { continue };
            let to = named.iter().filter_map(|other| child(other)).filter(|other| *other != from);
            edges.entry(from.clone()).or_default().extend(to);
        }
        let reaches = |from: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(at) = next.pop() {
                for other in edges.get(&at).into_iter().flatten() {
                    if seen.insert(other.clone()) {
                        next.push(other.clone());
                    }
                }
            }
            seen
        };
        let reach: BTreeMap<&String, BTreeSet<String>> =
            edges.keys().map(|child| (child, reaches(child))).collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (child, seen) in &reach {
            let back = |other: &&String| reach.get(*other).is_some_and(|theirs| theirs.contains(*child));
            let mut circle: BTreeSet<String> = seen.iter().filter(back).cloned().collect();
            if !circle.is_empty() {
                circle.insert((*child).clone());
                circles.insert(circle.into_iter().collect());
            }
        }
        circles.into_iter().collect()
    }

    /// Every folder, as a module, with the files directly in it but for its `mod.rs`.
    pub fn folders(&self) -> BTreeMap<String, Vec<String>> {
        let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (module, _) in self.iter() {
            let is_folder = self.names.keys().any(|other| other.starts_with(&format!("{module}::")));
            if let Some((parent, name)) = module.rsplit_once("::").filter(|_| !is_folder) {
                folders.entry(parent.to_owned()).or_default().push(name.to_owned());
            }
        }
        folders
    }
}

/// The module that a path written in `own` leads to; none outside of this crate.
fn resolve(own: &str, path: &[String], known: &BTreeSet<String>) -> Option<String> {
    let base: Vec<&str> = own.split("::").collect();
    let supers = path.iter().take_while(|part| *part == "super").count();
    let full: Vec<&str> = match path.first()?.as_str() {
        "crate" | "milepost" => path[1..].iter().map(String::as_str).collect(),
        "self" => base.iter().copied().chain(path[1..].iter().map(String::as_str)).collect(),
        "super" if supers <= base.len() => {
            let above = base[..base.len() - supers].iter().copied();
            above.chain(path[supers..].iter().map(String::as_str)).collect()
        }
        _ => return None,
    };
    (1..=full.len()).rev().map(|length| full[..length].join("::")).find(|module| known.contains(module))
}

#[derive(Default)]
struct Paths {
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn tree(&mut self, head: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [head, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => drop(self.found.insert(with(&name.ident))),
            syn::UseTree::Rename(name) => drop(self.found.insert(with(&name.ident))),
            syn::UseTree::Glob(_) => drop(self.found.insert(head.to_vec())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(head, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}
