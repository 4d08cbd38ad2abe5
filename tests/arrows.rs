//! Which module uses which: arrows point one way, and the rules know nobody.
//!
//! The sources are parsed as the compiler does; each path that begins with `crate`, `self` or
//! `super`, in a `use` or anywhere else, is an arrow from the module that it stands in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Macro, UseTree};

/// A module uses those behind it and none before it.
const ORDER: [&str; 11] = [
    "daemon", "console", "server", "http", "service", "store", "logging", "os", "cli", "config",
    "domain",
];
/// Crates that the rules must do without: HTTP, JSON, the document, SQL, the runtime.
const NOT_FOR_RULES: [&str; 9] = [
    "actix_http",
    "actix_rt",
    "actix_web",
    "clap",
    "hyper",
    "rusqlite",
    "serde",
    "tokio",
    "utoipa",
];

/// Paths that a file uses, as lists of names.
struct Paths {
    /// The module of the file, below the crate.
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>) {
        let mut parts = path.into_iter().peekable();
        let mut base = match parts.peek().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => {
                self.found.insert(parts.collect());
                return;
            }
        };
        let mut full = vec!["crate".to_owned()];
        for part in parts {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => {
                    base.pop();
                }
                _ => base.push(part),
            }
        }
        full.extend(base);
        self.found.insert(full);
    }

    fn add_tree(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_tree(&path.tree, before);
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.add(before);
            }
            UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.add(before);
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, before.clone());
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.add(path.segments.iter().map(|s| s.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        // What stands in a macro is no syntax yet: its paths are found token by token.
        let text = item.tokens.to_string().replace(' ', "");
        for start in text.match_indices("crate::").map(|(at, _)| at) {
            let name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = text[start..]
                .find(|c| !name(c))
                .map_or(text.len(), |length| start + length);
            self.add(text[start..end].split("::").map(str::to_owned).collect());
        }
    }
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module that a file is, below the crate.
fn module_of(file: &Path, root: &Path) -> Vec<String> {
    let mut names: Vec<_> = file
        .strip_prefix(root)
        .unwrap()
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// The paths that each file uses, by its module.
fn used() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = BTreeMap::new();
    for file in source_files(&root) {
        let module = module_of(&file, &root);
        if ["lib", "main", "build"].contains(&module[0].as_str()) {
            continue;
        }
        let syntax = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut paths = Paths {
            module: module.clone(),
            found: BTreeSet::new(),
        };
        paths.visit_file(&syntax);
        all.insert(module, paths.found);
    }
    all
}

fn place(module: &str) -> usize {
    ORDER
        .iter()
        .position(|each| *each == module)
        .unwrap_or_else(|| {
            panic!("the module {module} has no place in the order of tests/arrows.rs")
        })
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (module, paths) in used() {
        for path in paths
            .iter()
            .filter(|path| path[0] == "crate" && path.len() > 2)
        {
            arrows += 1;
            if place(&path[1]) < place(&module[0]) {
                wrong.push(format!("{} → {}", module.join("::"), path[1..].join("::")));
            }
        }
    }
    assert!(arrows > 300, "only {arrows} arrows were found");
    assert!(
        wrong.is_empty(),
        "arrows that point back:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_module_has_its_place() {
    let found: BTreeSet<_> = used().into_keys().map(|module| module[0].clone()).collect();
    let named: BTreeSet<_> = ORDER.map(str::to_owned).into();
    assert_eq!(found, named);
}

#[test]
fn rules_know_no_http_json_or_sql() {
    for (module, paths) in used() {
        if module[0] == "domain" {
            for path in paths {
                assert!(
                    !NOT_FOR_RULES.contains(&path[0].as_str()),
                    "{} uses {}",
                    module.join("::"),
                    path.join("::")
                );
            }
        }
    }
}

#[test]
fn map_in_lib_shows_the_same_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(root).unwrap().replace("\n//! ", " ");
    assert!(text.contains(&format!("`main → {}`", ORDER.join(" → "))));
}

#[test]
fn rules_use_each_other_in_no_circle() {
    let all = used();
    let modules: BTreeSet<_> = all.keys().filter(|module| module[0] == "domain").collect();
    // What a path leads to: the longest module that it begins with.
    let target = |path: &[String]| {
        (1..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|each| modules.contains(each))
    };
    let mut left: BTreeMap<_, BTreeSet<_>> = modules
        .iter()
        .map(|module| {
            let uses = all[*module]
                .iter()
                .filter(|path| path[0] == "crate")
                .filter_map(|path| target(&path[1..]))
                .filter(|used| used != *module)
                .collect();
            ((*module).clone(), uses)
        })
        .collect();
    // Takes away what uses nothing that is left, until nothing is.
    while let Some(free) = left
        .iter()
        .find(|(_, uses)| uses.iter().all(|used| !left.contains_key(used)))
        .map(|(module, _)| module.clone())
    {
        left.remove(&free);
    }
    assert!(left.is_empty(), "a circle is among {:#?}", left);
}
