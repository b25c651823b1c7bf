//! The table of findings' names is those that checks use: each that is used is in it, and each in it is used. A name that went
//! without notice would leave exceptions that except nothing, and one beside the table nobody could look up.
#![allow(clippy::unwrap_used)] // a test file throughout: what can't be read fails the test

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aiclipx_tool::check::names;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprLit, ExprMethodCall, Lit};

/// The functions that make a finding, and closures that are called as one of them.
const MAKERS: [&str; 9] = ["about", "at", "demand", "find", "hold", "of_reader", "read", "remark", "url"];

#[derive(Default)]
struct Names {
    found: BTreeSet<String>,
    /// Within how many calls of [`MAKERS`].
    depth: usize,
}

impl Names {
    fn of_call(&mut self, function: &str, walk: impl FnOnce(&mut Names)) {
        let makes = usize::from(MAKERS.contains(&function));
        self.depth += makes;
        walk(self);
        self.depth -= makes;
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // What it is called on is not among its arguments.
        self.visit_expr(&call.receiver);
        self.of_call(&call.method.to_string(), |names| call.args.iter().for_each(|one| names.visit_expr(one)));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let function = match &*call.func {
            Expr::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
            _ => String::new(),
        };
        self.of_call(&function, |names| visit::visit_expr_call(names, call));
    }

    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        if let Lit::Str(text) = &literal.lit
            && self.depth > 0
            && is_name(&text.value())
        {
            self.found.insert(text.value());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }
}

/// `group/what`, in small letters.
fn is_name(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    text.split_once('/').is_some_and(|(group, what)| is_word(group) && is_word(what))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Some are found while files are read.
    let mut folders = vec![here.join("src/check"), here.join("../model/src/monitoring")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_table_has_every_name_that_is_used_and_no_other() {
    let mut names = Names::default();
    for file in sources() {
        names.visit_file(&syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap());
    }
    let known: BTreeSet<String> = names::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let strange: Vec<_> = names.found.difference(&known).collect();
    let unused: Vec<_> = known.difference(&names.found).collect();
    assert!(strange.is_empty() && unused.is_empty(), "not in the table: {strange:?}; in it and not used: {unused:?}");
}

#[test]
fn the_table_is_in_order_and_says_something_of_each() {
    assert!(names::ALL.is_sorted_by(|(one, _), (next, _)| one < next));
    assert!(names::ALL.iter().all(|(name, says)| is_name(name) && says.len() > 5));
}
