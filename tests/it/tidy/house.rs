//! The listing is the architecture: stages, circles, sizes of folders, and names that mean one thing.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::paths::Modules;
use super::{Source, holds_tests, none, sources, syntax};

/// Which folders of the engine each may name. The files beside them (`flow`, `publisher`, `liveness`, …) are for all.
const STAGES: [(&str, &[&str]); 7] = [
    ("new_batch", &[]),
    ("dispatch", &[]),
    ("execute", &["dispatch"]),
    ("record", &["dispatch"]),
    ("acts", &["dispatch", "record", "new_batch"]),
    ("intake", &["acts", "dispatch", "new_batch"]),
    ("cluster", &["acts", "dispatch"]),
];
/// Fields of a struct of the engine that runs something at most; plain values may have more.
const STAGE_FIELDS_MAX: usize = 7;

/// Files of a folder, `mod.rs` and tests left out.
const FOLDER_FILES: std::ops::RangeInclusive<usize> = 2..=12;
/// Folders that hold more or fewer, and why.
const OTHER_FOLDERS: [(&str, &str); 3] = [
    ("protocol", "one file for each noun that crosses the wire"),
    ("store::entity", "one file for each table"),
    ("store::migration", "one file for each step, and a step that was released stays"),
];

/// Files of one folder that name one another in a circle, and why.
const CIRCLES: [(&str, &[&str], &str); 3] = [
    (
        "app",
        &["browser", "live", "upload"],
        "what a page asks of a tab stands still on the server, so it is chosen at the mod line",
    ),
    (
        "hub",
        &["channel", "subscriber"],
        "a channel wakes its subscribers, and a subscriber reads its channels",
    ),
    (
        "server",
        &["gate", "health", "live", "pages", "state"],
        "the state holds what handlers keep, and handlers take the state",
    ),
];

/// Names that stand once for each table or step: the libraries ask for them.
const NAMES_OF_LIBRARIES: [&str; 3] = ["Model", "Relation", "Migration"];

/// Private pictures, and the words that an engineer of this field would search for.
const PICTURES: [(&str, &str); 24] = [
    ("board", "slot"),
    ("desk", "dispatcher or subscriptions"),
    ("doorman", "client address or rate limit"),
    ("ear", "subscriptions"),
    ("forming", "block buffer"),
    ("glimpse", "remote progress"),
    ("glimpses", "remote progress"),
    ("guest", "caller"),
    ("guests", "callers"),
    ("hear", "receive"),
    ("hears", "is subscribed"),
    ("heard", "received"),
    ("herald", "broadcaster"),
    ("job", "item"),
    ("jobs", "items"),
    ("leash", "stop handle"),
    ("mirror", "window feed"),
    ("nudge", "wake"),
    ("owed", "settlement"),
    ("stray", "orphaned lease"),
    ("strays", "orphaned leases"),
    ("tell", "send or publish"),
    ("told", "sent or reported"),
    ("vault", "file store"),
];

#[test]
fn stages_know_only_the_next_ones() {
    let stages: BTreeMap<_, _> = STAGES.into_iter().collect();
    let mut faults = Vec::new();
    for (module, named) in Modules::read().iter() {
        let Some(stage) = stage_of(module) else { continue };
        let Some(may) = stages.get(stage) else { continue };
        for other in named.iter().filter_map(|other| stage_of(other)) {
            if other != stage && stages.contains_key(other) && !may.contains(&other) {
                faults.push(format!("{module}: {stage} may not name {other}"));
            }
        }
    }
    none(faults);
}

/// The folder or file of the engine that a module is in.
fn stage_of(module: &str) -> Option<&str> {
    module.strip_prefix("engine::")?.split("::").next()
}

/// Structs that hold a handle of another stage, by their fields.
struct Handles<'a> {
    source: &'a Source,
    faults: Vec<String>,
}

impl<'ast> Visit<'ast> for Handles<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let words = |field: &syn::Field| {
            let mut idents = Idents::default();
            idents.visit_type(&field.ty);
            idents.found
        };
        let runs = item.fields.iter().any(|field| {
            words(field)
                .iter()
                .any(|word| ["Store", "Dispatcher", "Publisher", "Loops"].contains(&word.as_str()))
        });
        if item.ident == "Inner" {
            self.faults.push(format!("{}: a struct named Inner says nothing", self.source.path.display()));
        }
        if runs && item.fields.len() > STAGE_FIELDS_MAX {
            let (path, fields) = (self.source.path.display(), item.fields.len());
            self.faults
                .push(format!("{path}: {} has {fields} fields, at most {STAGE_FIELDS_MAX}", item.ident));
        }
        visit::visit_item_struct(self, item);
    }
}

#[derive(Default)]
struct Idents {
    found: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Idents {
    fn visit_ident(&mut self, ident: &'ast proc_macro2::Ident) {
        self.found.insert(ident.to_string());
    }
}

#[test]
fn stages_are_structs_of_few_fields() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| source.room == "engine" && !holds_tests(source)) {
        let mut handles = Handles { source, faults: Vec::new() };
        handles.visit_file(&syntax(source));
        faults.extend(handles.faults);
    }
    none(faults);
}

#[test]
fn no_circle_between_folders_and_none_unstated_between_files() {
    let modules = Modules::read();
    let rooms: BTreeSet<&str> =
        modules.iter().map(|(module, _)| module.split("::").next().unwrap_or(module)).collect();
    let mut faults = Vec::new();
    let mut stated: BTreeSet<&str> = BTreeSet::new();
    for parent in rooms.iter().map(|room| (*room).to_owned()).chain(modules.folders().into_keys()) {
        for circle in modules.circles_in(&parent) {
            let known = CIRCLES.iter().find(|(folder, files, _)| *folder == parent && **files == circle[..]);
            match known {
                Some((folder, _, _)) => drop(stated.insert(folder)),
                None => faults.push(format!("{parent}: {} name one another in a circle", circle.join(", "))),
            }
        }
    }
    faults.sort();
    faults.dedup();
    for (folder, _, why) in CIRCLES.iter().filter(|(folder, _, _)| !stated.contains(folder)) {
        faults.push(format!("{folder}: the circle is broken, take it off the list ({why})"));
    }
    none(faults);
}

#[test]
fn folders_hold_few_files() {
    let mut faults = Vec::new();
    let others: BTreeMap<_, _> = OTHER_FOLDERS.into_iter().collect();
    for (folder, files) in Modules::read().folders() {
        let fits = FOLDER_FILES.contains(&files.len());
        match (fits, others.get(folder.as_str())) {
            (false, None) => {
                faults.push(format!("{folder}: {} files, {FOLDER_FILES:?} is the rule", files.len()))
            }
            (true, Some(why)) => faults.push(format!("{folder}: fits, take it off the list ({why})")),
            (true, None) | (false, Some(_)) => {}
        }
    }
    none(faults);
}

#[test]
fn a_stage_has_the_same_name_in_engine_and_store() {
    let modules = Modules::read();
    let place = |room: &str| -> BTreeMap<String, String> {
        modules
            .iter()
            .filter_map(|(module, _)| module.strip_prefix(&format!("{room}::"))?.rsplit_once("::"))
            .map(|(folder, file)| (file.to_owned(), folder.to_owned()))
            .collect()
    };
    let (engine, store) = (place("engine"), place("store"));
    let mut faults = Vec::new();
    for (file, folder) in &engine {
        // Records are the shapes that both use.
        if let Some(other) = store.get(file).filter(|other| *other != folder && *other != "records") {
            faults.push(format!("{file} is in engine/{folder} and in store/{other}"));
        }
    }
    none(faults);
}

/// Names of types, but those of tests.
#[derive(Default)]
struct Types {
    found: Vec<(String, bool)>,
}

impl Types {
    fn add(&mut self, ident: &syn::Ident, visibility: &syn::Visibility) {
        self.found.push((ident.to_string(), !matches!(visibility, syn::Visibility::Inherited)));
    }
}

impl<'ast> Visit<'ast> for Types {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident, &item.vis);
    }
    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident, &item.vis);
    }
    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.ident, &item.vis);
    }
    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.ident, &item.vis);
    }
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !super::is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}

#[test]
fn a_public_type_name_stands_for_one_type() {
    let mut public: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src").iter().filter(|source| !holds_tests(source)) {
        let mut types = Types::default();
        types.visit_file(&syntax(source));
        for (name, _) in types.found.into_iter().filter(|(_, is_public)| *is_public) {
            public.entry(name).or_default().push(source.path.display().to_string());
        }
    }
    let twice = public
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !NAMES_OF_LIBRARIES.contains(&name.as_str()));
    none(twice.map(|(name, places)| format!("{name} is defined in {}", places.join(", "))).collect());
}

/// Names that are given: to items, fields and variants.
#[derive(Default)]
struct Given {
    found: Vec<syn::Ident>,
}

impl<'ast> Visit<'ast> for Given {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.found.push(item.ident.clone());
        visit::visit_item_struct(self, item);
    }
    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.found.push(item.ident.clone());
        visit::visit_item_enum(self, item);
    }
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.found.push(item.ident.clone());
        visit::visit_item_mod(self, item);
    }
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.found.push(signature.ident.clone());
        visit::visit_signature(self, signature);
    }
    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.found.extend(field.ident.clone());
        visit::visit_field(self, field);
    }
    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.found.push(variant.ident.clone());
        visit::visit_variant(self, variant);
    }
}

/// `WindowFeed` and `window_feed` as `window`, `feed`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn names_are_the_words_of_the_field() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !holds_tests(source)) {
        let mut given = Given::default();
        given.visit_file(&syntax(source));
        for name in given.found {
            for word in words(&name.to_string()) {
                if let Some((_, instead)) = PICTURES.iter().find(|(picture, _)| *picture == word) {
                    let line = name.span().start().line;
                    faults.push(format!("{}:{line}: {name}: say {instead}", source.path.display()));
                }
            }
        }
    }
    none(faults);
}
