//! A service's names stand in monitoring/service.toml and nowhere in the code: a second copy would go on meaning ours for whoever
//! brings a service of their own. Tests and documentation may name them.
#![allow(clippy::unwrap_used)] // a test file throughout: what can't be read fails the test

use std::path::{Path, PathBuf};

use aiclipx_model::service::Service;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemFn, ItemMod, LitByteStr, LitStr};

/// The texts of a file that are no test's and no documentation.
#[derive(Default)]
struct Texts(Vec<String>);

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = || matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test");
        attribute.path().is_ident("test") || (attribute.path().is_ident("cfg") && is_cfg_test())
    })
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.0.push(text.value());
    }

    fn visit_lit_byte_str(&mut self, text: &'ast LitByteStr) {
        self.0.push(String::from_utf8_lossy(&text.value()).into_owned());
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // What `format!` and its like are given is no syntax to a parser.
        self.0.push(call.tokens.to_string());
    }
}

fn texts(source: &str) -> Vec<String> {
    let mut texts = Texts::default();
    texts.visit_file(&syn::parse_file(source).unwrap());
    texts.0
}

/// The code of every crate of the tool. The service's own, in src/, is where its names come from.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "benches"].contains(&&*name) {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    found
}

fn names() -> Vec<String> {
    let ours = Service::ours();
    let metrics = [&ours.requests, &ours.latency, &ours.errors].map(|metric| metric.as_ref().unwrap().name.clone());
    let code = ours.requests.as_ref().unwrap().code.clone().unwrap();
    let faults = ours.faults.clone().unwrap();
    let others = [faults.header, faults.gauge.unwrap(), ours.build.as_ref().unwrap().info.clone(), code];
    metrics.into_iter().chain(others).collect()
}

fn told_in(text: &str, names: &[String]) -> Option<String> {
    // The blackbox exporter's own name has one of them in it.
    let text = text.replace("probe_http_status_code", "");
    names.iter().find(|name| text.contains(name.as_str())).cloned()
}

#[test]
fn no_name_of_our_service_stands_in_the_tools_code() {
    let (names, sources) = (names(), sources());
    assert!(sources.len() > 100, "{} files are not all", sources.len());
    let found: Vec<String> = sources
        .iter()
        .flat_map(|file| {
            let texts = texts(&std::fs::read_to_string(file).unwrap());
            texts.into_iter().filter_map(|text| Some(format!("{}: {}", file.display(), told_in(&text, &names)?)))
        })
        .collect();
    assert!(found.is_empty(), "these stand in monitoring/service.toml alone:\n{}", found.join("\n"));
}

#[test]
fn a_name_in_a_text_or_in_a_macro_is_seen_and_one_in_a_test_or_in_documentation_is_not() {
    let seen = |source: &str| texts(source).iter().any(|text| told_in(text, &names()).is_some());
    assert!(seen(r#"fn f() -> &'static str { "app_requests_total" }"#));
    assert!(seen(r#"fn f() { format!("sum(app_errors_total{{}})"); }"#));
    assert!(!seen("/// Like `app_requests_total`.\nfn f() {}"));
    assert!(!seen(r#"#[cfg(test)] mod tests { fn f() -> &'static str { "app_requests_total" } }"#));
    assert!(!seen(r#"fn f() -> &'static str { "probe_http_status_code" }"#));
}
