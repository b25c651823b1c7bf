//! The copy of monitoring/ that one stack lives by: (files, addresses, speed) → files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::addresses::{Addresses, Place, SCRAPED};
use super::layout::PROMETHEUS;
use super::located::{self, Entry, Node, Value};
use super::remark::Found;
use super::role::{Layout, Role};
use super::shape::Shape;
use super::walk::{PROBED_URL, Rendering, Walk};
use super::{Document, Monitoring, defaults};
use crate::failure::Finding;
use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;

impl Monitoring {
    /// A stack's own copy, by paths relative to monitoring/; production files at speed 1 with
    /// [canonical addresses](Addresses::canonical) come back with the same meaning.
    ///
    /// The unit tests are divided with the rules, so that they can be run on the copy. What is for people is left out;
    /// a file we do not interpret is copied as it is, and so is all of [somebody else's](Monitoring::read_any) in production. All findings are told: a result that is no whole millisecond, a
    /// scrape under 500 ms, a count over a window or a span of time compared with a number.
    pub fn render(&self, addresses: &Addresses, speed: Speed) -> Result<BTreeMap<PathBuf, Vec<u8>>, Vec<Finding>> {
        if speed != Speed::PRODUCTION && !self.unfollowed.is_empty() {
            return Err(self.unfollowed.clone());
        }
        let mut rendered = BTreeMap::new();
        let mut findings = Vec::new();
        for (path, bytes) in &self.files {
            let document =
                self.documents.get(path).filter(|document| !matches!(document.role.shape(), Shape::Copied(_)));
            // Somebody else's files have nothing of a stack of ours in them: in production they are what they are.
            let is_theirs = self.layout == Layout::Any;
            let Some(Document { role, node }) = document.filter(|_| !is_theirs || speed != Speed::PRODUCTION) else {
                if is_theirs || !is_for_people(path) {
                    rendered.insert(path.clone(), bytes.clone());
                }
                continue;
            };
            let file = self.layout.named(path);
            let rendering = Rendering { addresses, speed, recorded: &self.recorded };
            let (layout, found) = (self.layout, Found::default());
            let mut walk = Walk { file: &file, source: None, layout, rendering: Some(rendering), found };
            let mut document = node.clone();
            if speed != Speed::PRODUCTION {
                defaults::write_out(*role, &mut document);
            }
            walk.visit(role.shape(), &mut document);
            findings.append(&mut walk.found.refused);
            if *role == Role::Targets && !is_theirs {
                address(path, &mut document, addresses);
            }
            if let Some(remote) = addresses.remote_write.as_ref().filter(|_| path == Path::new(PROMETHEUS)) {
                remote.add_to(&mut document);
            }
            let text = if path.extension().is_some_and(|extension| extension == "json") {
                located::print_json(&document)
            } else {
                let origin =
                    format!("# Made from {} for speed {speed}: change that file, not this one.\n", file.display());
                located::print_yaml(&document).map(|yaml| origin + &yaml)
            };
            match text {
                Ok(text) => {
                    rendered.insert(path.clone(), text.into_bytes());
                }
                Err(what) => findings.push(Finding { file, line: 0, what, remedy: String::new() }),
            }
        }
        if findings.is_empty() {
            return Ok(rendered);
        }
        findings.sort();
        Err(findings)
    }
}

/// Examples, and the list of what is unproven: nothing a component reads. Runbooks the viewer shows.
fn is_for_people(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md" || extension == "toml") && !path.starts_with("runbooks")
        || path.starts_with("alertmanager/examples")
        || path == Path::new("vector/vector-tests.yaml")
}

/// Puts a component's addresses in the place of those its file lists; labels stay.
fn address(path: &Path, document: &mut Node, addresses: &Addresses) {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let Some(place) = Place::of_targets(stem) else { return };
    let targets = Node::list(place.of(addresses).iter().map(|address| Node::text(address.to_string())));
    let Value::List(groups) = &mut document.value else { return };
    groups.truncate(1);
    if let Some(Node { value: Value::Map(entries), .. }) = groups.first_mut() {
        entries.retain(|entry| entry.key != "targets");
        entries.insert(0, Entry::made("targets", targets));
    }
    if place == Place::Probe {
        *groups = groups.first().map(|group| probes(group, addresses)).unwrap_or_default();
    }
}

/// One exporter asks each of the service's replicas: a group of targets for each, which differ in whom it asks and in what that
/// is called, here and where it is scraped. The walk has put the first replica's address in.
fn probes(group: &Node, addresses: &Addresses) -> Vec<Node> {
    let of = |(replica, scraped): (&Address, &Address)| {
        let mut group = group.clone();
        let labels = group.get_mut("labels");
        if let Some(Value::Map(entries)) = labels.map(|labels| &mut labels.value) {
            for entry in entries.iter_mut() {
                let told = entry.node.as_text().unwrap_or_default();
                let told = match entry.key.as_str() {
                    PROBED_URL => {
                        told.strip_prefix(&addresses.app[0].url("/")).map(|path| replica.url(&format!("/{path}")))
                    }
                    "instance" => Some(replica.to_string()),
                    _ => None,
                };
                entry.node = told.map_or_else(|| entry.node.clone(), Node::text);
            }
            if addresses.app.len() > 1 {
                entries.push(Entry::made(SCRAPED, Node::text(scraped.to_string())));
            }
        }
        group
    };
    addresses.app.iter().zip(addresses.scraped_app()).map(of).collect()
}
