//! Dependencies between modules ("arrows"): they point one way, and the rules in `domain` depend on no
//! other module.
//!
//! The sources are parsed with `syn`. Each path that begins with `crate`, `self` or `super`, in a
//! `use` declaration or elsewhere, is an arrow from the module that contains it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Macro, MetaList, UseTree};

/// Top-level modules. Each may use only modules after it.
const ORDER: [&str; 12] = [
    "daemon",
    "console",
    "server",
    "http",
    "service",
    "store",
    "directory",
    "logging",
    "os",
    "cli",
    "config",
    "domain",
];
/// Dependencies that the rules may use: none for HTTP, JSON, OpenAPI, SQL or asynchronous code.
const FOR_RULES: [&str; 5] = [
    "base64",
    "secrecy",
    "sha2",
    "thiserror",
    "unicode_properties",
];

/// Paths that a file uses, each as a list of names.
struct Paths {
    /// Path of the module, without the crate.
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    /// Adds a path, after resolving `self` and `super`.
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

    /// Adds the paths in the tokens of a macro or an attribute, which are not parsed as syntax.
    fn add_tokens(&mut self, tokens: &str) {
        let name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in tokens
            .replace(" ::", "::")
            .replace(":: ", "::")
            .split(|c| !name(c))
        {
            let parts: Vec<_> = path.split("::").map(str::to_owned).collect();
            if parts.len() > 1 && !parts[0].is_empty() {
                self.add(parts);
            }
        }
    }

    /// Adds the paths of a `use` declaration.
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
        self.add_tokens(&item.tokens.to_string());
    }

    fn visit_meta_list(&mut self, item: &'ast MetaList) {
        visit::visit_meta_list(self, item);
        self.add_tokens(&item.tokens.to_string());
    }
}

/// Returns the Rust files in a directory and its subdirectories.
fn source_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Returns the path of a file's module, without the crate.
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

/// Returns the paths that each file uses, by module.
fn used() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = BTreeMap::new();
    for file in source_files(&root) {
        let module = module_of(&file, &root);
        if ["lib", "main", "bin", "build"].contains(&module[0].as_str()) {
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

/// Returns the position of a top-level module in [`ORDER`].
fn place(module: &str) -> usize {
    ORDER
        .iter()
        .position(|each| *each == module)
        .unwrap_or_else(|| panic!("module {module} is missing from ORDER in tests/arrows.rs"))
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (module, paths) in used() {
        // A path may end at a module. Items in the crate's root, such as VERSION, belong to no module.
        for path in paths.iter().filter(|path| {
            path[0] == "crate"
                && path
                    .get(1)
                    .is_some_and(|name| name.starts_with(char::is_lowercase))
        }) {
            arrows += 1;
            if place(&path[1]) < place(&module[0]) {
                wrong.push(format!("{} → {}", module.join("::"), path[1..].join("::")));
            }
        }
    }
    assert!(arrows > 300, "found only {arrows} arrows");
    assert!(
        wrong.is_empty(),
        "arrows that point the wrong way:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_module_has_its_place() {
    let found: BTreeSet<_> = used().into_keys().map(|module| module[0].clone()).collect();
    let named: BTreeSet<_> = ORDER.map(str::to_owned).into();
    assert_eq!(found, named);
}

/// Returns the names of the dependencies in Cargo.toml, as they are written in Rust.
fn dependencies() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = fs::read_to_string(path).unwrap();
    let (_, after) = text.split_once("\n[dependencies]\n").unwrap();
    after
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect()
}

#[test]
fn rules_know_no_http_json_or_sql() {
    let crates = dependencies();
    assert!(["actix_web", "rusqlite", "serde", "serde_json"]
        .iter()
        .all(|name| crates.contains(*name)));
    let mut used_crates = BTreeSet::new();
    for (module, paths) in used() {
        if module[0] == "domain" {
            for path in paths.iter().filter(|path| crates.contains(&path[0])) {
                assert!(
                    FOR_RULES.contains(&path[0].as_str()),
                    "{} uses {}",
                    module.join("::"),
                    path.join("::")
                );
                used_crates.insert(path[0].clone());
            }
        }
    }
    assert_eq!(used_crates, FOR_RULES.map(str::to_owned).into());
}

#[test]
fn map_in_lib_shows_the_same_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(root).unwrap().replace("\n//! ", " ");
    assert!(text.contains(&format!("`main → {}`", ORDER.join(" → "))));
}

#[test]
fn rules_have_no_circular_dependencies() {
    let all = used();
    let modules: BTreeSet<_> = all.keys().filter(|module| module[0] == "domain").collect();
    assert!(modules.len() > 10, "found only {modules:?}");
    // The module that a path refers to: the longest one that it begins with.
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
    let arrows: usize = left.values().map(BTreeSet::len).sum();
    assert!(arrows > 30, "found only {arrows} arrows");
    // Remove modules that use no remaining module, until none are left (topological sort).
    while let Some(free) = left
        .iter()
        .find(|(_, uses)| uses.iter().all(|used| !left.contains_key(used)))
        .map(|(module, _)| module.clone())
    {
        left.remove(&free);
    }
    assert!(left.is_empty(), "circular dependency among {:#?}", left);
}
