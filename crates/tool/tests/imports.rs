//! No circle of imports between the modules of any crate: whoever reads a module can read what it uses first.
//!
//! Cargo holds the crates apart; inside a crate nothing does. A module is a file here, a parent like any other: a child that uses
//! what its parent defines, and is used by it, is a circle. Tests (`#[cfg(test)]`) are left out. Parsed by syn, which is what
//! the compiler's own macros are written with; a name that comes by `pub use` belongs to the module that defines it.
#![allow(clippy::unwrap_used, clippy::format_push_string)] // a test file throughout: what can't be read fails the test

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// A module by its path from the crate's root: `["report", "html"]`; the root itself is empty.
type ModulePath = Vec<String>;

/// A crate's sources.
struct Sources {
    modules: BTreeMap<ModulePath, File>,
}

impl Sources {
    fn read(root: &Path) -> Sources {
        let mut sources = Sources { modules: BTreeMap::new() };
        sources.add(root, Vec::new());
        sources
    }

    /// This file, and those of the modules that it declares.
    fn add(&mut self, file: &Path, path: ModulePath) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let is_root = path.is_empty() || file.ends_with("mod.rs");
        let folder = if is_root { file.parent().unwrap().to_path_buf() } else { file.with_extension("") };
        for item in &parsed.items {
            if let syn::Item::Mod(ItemMod { ident, content: None, attrs, .. }) = item
                && !is_for_tests(attrs)
            {
                let places = [folder.join(format!("{ident}.rs")), folder.join(ident.to_string()).join("mod.rs")];
                let place: &PathBuf = places.iter().find(|place| place.is_file()).unwrap_or_else(|| {
                    panic!("{}: `mod {ident};` has no file", file.display());
                });
                let child = path.iter().cloned().chain([ident.to_string()]).collect();
                self.add(place, child);
            }
        }
        self.modules.insert(path, parsed);
    }

    /// What each module's names by `use` lead to, absolute; those that other modules see (`pub`) and those they don't.
    fn imports(&self) -> BTreeMap<ModulePath, Vec<Import>> {
        let of = |(path, file): (&ModulePath, &File)| {
            let mut imports = Imports { at: path.clone(), found: Vec::new() };
            imports.visit_file(file);
            (path.clone(), imports.found)
        };
        self.modules.iter().map(of).collect()
    }

    /// The longest module that a path begins with, and the first name behind it.
    fn module_of<'a>(&self, path: &'a [String]) -> (&'a [String], Option<&'a String>) {
        let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length])).unwrap_or(0);
        (&path[..length], path.get(length))
    }

    /// The module that defines what this path names.
    fn origin(&self, imports: &BTreeMap<ModulePath, Vec<Import>>, path: &[String]) -> ModulePath {
        let mut path = path.to_vec();
        for _ in 0..16 {
            let (module, name) = self.module_of(&path);
            let Some(name) = name else { return module.to_vec() };
            let reexported = imports[module].iter().find(|import| import.is_public && &import.name == name);
            let Some(import) = reexported else { return module.to_vec() };
            if !import.is_local {
                // Of another crate: nobody's here.
                return module.to_vec();
            }
            path = import.leads_to.clone();
        }
        panic!("{}: names that lead to each other", path.join("::"));
    }

    /// Who uses what of whom: module → module → a name.
    fn edges(&self) -> BTreeMap<ModulePath, BTreeMap<ModulePath, String>> {
        let imports = self.imports();
        let mut edges: BTreeMap<ModulePath, BTreeMap<ModulePath, String>> = BTreeMap::new();
        for (path, file) in &self.modules {
            let mut uses = Uses { sources: self, at: path.clone(), found: Vec::new() };
            uses.visit_file(file);
            let by_import = imports[path].iter().filter(|import| import.is_local && !import.is_public);
            let by_import = by_import.map(|import| import.leads_to.clone());
            for used in uses.found.into_iter().chain(by_import) {
                let origin = self.origin(&imports, &used);
                if origin != *path {
                    edges.entry(path.clone()).or_default().entry(origin).or_insert_with(|| used.join("::"));
                }
            }
        }
        edges
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<TokenStream>().is_ok_and(|tokens| {
                tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(name) if name == "test"))
            })
    })
}

/// A path as it stands in a module, from the crate's root; none if it is another crate's.
fn absolute(at: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut base = match segments.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => at.to_vec(),
        "super" => at[..at.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    for segment in &segments[1..] {
        if segment == "super" {
            base.pop()?;
        } else {
            base.push(segment.clone());
        }
    }
    Some(base)
}

/// A name that a `use` brings.
struct Import {
    name: String,
    leads_to: Vec<String>,
    is_public: bool,
    /// Of this crate.
    is_local: bool,
}

/// Collects what a module imports.
struct Imports {
    at: ModulePath,
    found: Vec<Import>,
}

impl Imports {
    fn add(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        let mut leaf = |name: String, path: Vec<String>| {
            let local = absolute(&self.at, &path).or_else(|| {
                // `use child::Name` names a child of this module.
                let child: Vec<String> = self.at.iter().cloned().chain(path.clone()).collect();
                (is_public && path.len() > 1).then_some(child)
            });
            let is_local = local.is_some();
            self.found.push(Import { name, leads_to: local.unwrap_or(path), is_public, is_local });
        };
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => {
                let path_to = with(&path.ident);
                self.add(&path.tree, &path_to, is_public);
            }
            UseTree::Name(name) if name.ident == "self" => {
                leaf(before.last().cloned().unwrap_or_default(), before.to_vec());
            }
            UseTree::Name(name) => leaf(name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(rename) => leaf(rename.rename.to_string(), with(&rename.ident)),
            UseTree::Glob(_) => leaf("*".to_owned(), before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add(tree, before, is_public)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }
}

/// Collects the paths that stand in a module's code.
struct Uses<'a> {
    sources: &'a Sources,
    at: ModulePath,
    found: Vec<Vec<String>>,
}

impl Uses<'_> {
    fn add(&mut self, segments: &[String]) {
        let child = || {
            let child: Vec<String> = self.at.iter().cloned().chain(segments.iter().cloned()).collect();
            let is_one = segments.len() > 1 && self.sources.modules.contains_key(&child[..=self.at.len()]);
            is_one.then_some(child)
        };
        if let Some(path) = absolute(&self.at, segments).or_else(child) {
            self.found.push(path);
        }
    }

    /// What is written in a macro: `super::mutants::section(…)` in `html!`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut segments));
                    }
                    segments.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.add(&std::mem::take(&mut segments));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add(&segments);
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A child named without `self::`.
        if matches!(item.vis, Visibility::Inherited) && !is_for_tests(&item.attrs) {
            let mut imports = Imports { at: Vec::new(), found: Vec::new() };
            imports.add(&item.tree, &[], false);
            for import in imports.found.iter().filter(|import| import.leads_to.len() > 1) {
                self.add(&import.leads_to);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// The modules that reach each other, several at a time.
fn circles(edges: &BTreeMap<ModulePath, BTreeMap<ModulePath, String>>) -> Vec<BTreeSet<ModulePath>> {
    let reached = |from: &ModulePath| {
        let mut found: BTreeSet<ModulePath> = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(next) = open.pop() {
            for to in edges.get(&next).into_iter().flat_map(BTreeMap::keys) {
                if found.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        found
    };
    let reached: BTreeMap<&ModulePath, _> = edges.keys().map(|module| (module, reached(module))).collect();
    let circle = |module: &ModulePath| -> BTreeSet<ModulePath> {
        let back = |other: &&ModulePath| reached.get(*other).is_some_and(|theirs| theirs.contains(module));
        reached[module].iter().filter(back).cloned().collect()
    };
    let found: BTreeSet<_> = edges.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

fn told(name: &str, sources: &Sources) -> String {
    let edges = sources.edges();
    let mut text = String::new();
    for circle in circles(&edges) {
        text += &format!("\n{name}: {} modules use each other:\n", circle.len());
        for module in &circle {
            for (to, by) in edges[module].iter().filter(|(to, _)| circle.contains(*to)) {
                let shown = |path: &ModulePath| if path.is_empty() { "lib.rs".to_owned() } else { path.join("::") };
                text += &format!("  {} → {} by {by}\n", shown(module), shown(to));
            }
        }
    }
    text
}

#[test]
fn no_modules_of_a_crate_use_each_other() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut crates = vec![(String::from("aiclipx-app"), root.join("src/lib.rs"))];
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        let entry = entry.unwrap();
        crates.push((entry.file_name().into_string().unwrap(), entry.path().join("src/lib.rs")));
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut text = String::new();
    let mut modules = 0;
    crates.push(("the program aiclipx".to_owned(), root.join("crates/tool/src/main.rs")));
    for (name, file) in crates {
        let sources = Sources::read(&file);
        modules += sources.modules.len();
        if only.is_empty() || only == name {
            text += &told(&name, &sources);
        }
    }
    assert!(modules > 150, "only {modules} modules were found");
    assert!(text.is_empty(), "{text}");
}

#[test]
fn a_circle_is_seen_however_it_is_written() {
    let sources = |files: &[(&[&str], &str)]| Sources {
        modules: files
            .iter()
            .map(|(path, text)| (path.iter().map(|name| (*name).to_owned()).collect(), syn::parse_file(text).unwrap()))
            .collect(),
    };
    let is_circle = |a: &str, b: &str| {
        let sources =
            sources(&[(&[], "mod a; mod b; pub mod c; pub use c::Told;"), (&["a"], a), (&["b"], b), (&["c"], "")]);
        !told("x", &sources).is_empty()
    };
    let back = "use crate::a::A;";
    for there in [
        "use crate::b::B;",
        "use super::b::{self, B};",
        "fn f() { crate::b::f() }",
        "fn f(it: super::b::B) {}",
        "fn f() -> String { format!(\"{}\", crate::b::f()) }",
        "fn f() { html! { p { (super::b::f()) } } }",
        "mod inner { fn f() { crate::b::f() } }",
    ] {
        assert!(is_circle(there, back), "{there}");
        assert!(!is_circle(there, ""), "{there}");
    }
    // Tests may; what the root only hands on is not the root's.
    assert!(!is_circle("#[cfg(test)] mod tests { use crate::b::B; }", back));
    let handed =
        sources(&[(&[], "mod a; mod c; pub use c::Told; pub use a::A;"), (&["a"], "use crate::Told;"), (&["c"], "")]);
    assert_eq!(told("x", &handed), "");
    // A child that uses what its parent defines, and is used by it.
    let family =
        sources(&[(&[], "mod a; fn f() { a::g() } pub struct Own;"), (&["a"], "use super::Own; pub fn g() {}")]);
    assert!(!told("x", &family).is_empty());
}
