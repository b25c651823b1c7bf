//! Walks a document along its shape: validates it, and rewrites it when rendering.
//!
//! It tells every finding: a key we don't know, a value that is something else, a duration or an expression that does
//! not parse. When it renders, it puts the stack's addresses and speed in place, and tells what can't be divided.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addresses::{Addresses, CANONICAL_DATA, CANONICAL_FOLDER, CANONICAL_LOGS, Place};
use super::located::{Entry, Node, Value};
use super::matcher;
use super::promql::{self, Recorded};
use super::prose::duration_in_words;
use super::series;
use super::shape::{Field, SERIES, Shape};
use super::template;
use crate::failure::Finding;
use aiclipx_base::address::Address;
use aiclipx_base::duration::{self, Speed};

mod dashboard;

/// Prometheus begins to miss scrapes on a busy machine below this.
const SHORTEST_SCRAPE: Duration = Duration::from_millis(500);

/// The target's label that tells the exporter whom to ask.
pub(super) const PROBED_URL: &str = "__param_target";

/// The stack whose copy is made.
#[derive(Clone, Copy)]
pub(super) struct Rendering<'a> {
    pub(super) addresses: &'a Addresses,
    pub(super) speed: Speed,
    pub(super) recorded: &'a Recorded,
}

/// One walk over one document.
pub(super) struct Walk<'a> {
    /// Relative to the repository's root, for findings.
    pub(super) file: &'a Path,
    /// What YAML was read from: the text of `8080` is in it, of `true`, of nothing. JSON has texts of its own.
    pub(super) source: Option<&'a [u8]>,
    /// `None` when the walk only looks.
    pub(super) rendering: Option<Rendering<'a>>,
    /// What was found.
    pub(super) findings: Vec<Finding>,
}

impl Walk<'_> {
    fn find(&mut self, line: usize, what: impl Into<String>, remedy: &str) {
        let (what, remedy) = (what.into(), remedy.to_owned());
        self.findings.push(Finding { file: self.file.to_owned(), line, what, remedy });
    }

    /// Looks at a value, and changes it when rendering.
    pub(super) fn visit(&mut self, shape: &Shape, node: &mut Node) {
        if let Shape::Copied(shape) = shape {
            return self.visit(shape, node);
        }
        self.as_go_reads(shape, node);
        let line = node.line;
        let kind = node.kind();
        match (shape, &mut node.value) {
            (Shape::Text, Value::Text(_))
            | (Shape::Number, Value::Number(_))
            | (Shape::Switch, Value::Switch(_))
            | (Shape::Own, _) => {}
            (Shape::Duration, Value::Text(text)) => {
                self.duration(line, text);
            }
            (Shape::Scrape, Value::Text(text)) => {
                if self.duration(line, text).is_some_and(|interval| interval < SHORTEST_SCRAPE) {
                    let shortest = duration::print(SHORTEST_SCRAPE);
                    self.find(line, format!("a scrape every {text} is under {shortest}"), "choose a lower speed");
                }
            }
            (Shape::Step, Value::Text(text)) => self.step(line, text),
            (Shape::Expr, Value::Text(text)) => self.expression(line, text, true),
            (Shape::TestExpr, Value::Text(text)) => self.expression(line, text, false),
            (Shape::Matcher, Value::Text(text)) => {
                if let Err(error) = matcher::parse(text) {
                    self.find(line, error, "");
                }
            }
            (Shape::Url(place), Value::Text(text)) => self.url(line, *place, text),
            (Shape::AnyUrl(places), Value::Text(text)) => {
                let place = places.iter().find(|one| leads_to(text, **one)).unwrap_or(&places[0]);
                self.url(line, *place, text);
            }
            (Shape::Folder, Value::Text(text)) => {
                self.below(line, CANONICAL_FOLDER, |addresses| &addresses.folder, text);
            }
            (Shape::LogFile, Value::Text(text)) => {
                self.below(line, CANONICAL_LOGS, |addresses| &addresses.logging.files, text);
            }
            (Shape::Data, Value::Text(text)) => {
                self.below(line, CANONICAL_DATA, |addresses| &addresses.logging.data, text);
            }
            (Shape::Listen(place), Value::Text(text)) => self.listen(line, *place, text),
            (Shape::Name, Value::Text(text)) if !text.is_empty() => {}
            (Shape::Name, Value::Text(_)) => self.find(line, "a name that is empty", ""),
            (Shape::Metric, Value::Text(text)) if is_name(text, true) => {}
            (Shape::Metric, Value::Text(text)) => {
                let what = format!("`{text}` is no name of a series");
                self.find(line, what, "letters, digits, _ and :, no digit first");
            }
            (Shape::Texts, Value::Map(entries)) => self.texts(entries),
            (Shape::Labels, Value::Map(entries)) => {
                self.texts(entries);
                self.templates(entries);
            }
            (Shape::TargetLabels, Value::Map(entries)) => {
                self.texts(entries);
                for entry in entries.iter_mut().filter(|entry| entry.key == PROBED_URL) {
                    if let Value::Text(text) = &mut entry.node.value {
                        self.url(entry.line, Place::Clients, text);
                    }
                }
            }
            (Shape::ExternalLabels, Value::Map(entries)) => {
                self.texts(entries);
                if let Some(Rendering { speed, .. }) = self.rendering {
                    entries.retain(|entry| entry.key != "speed");
                    entries.push(Entry { key: "speed".to_owned(), line: 0, node: Node::text(speed.to_string()) });
                }
            }
            (Shape::Annotations | Shape::ExpectedAnnotations, Value::Map(entries)) => {
                self.texts(entries);
                if matches!(shape, Shape::Annotations) {
                    self.templates(entries);
                }
                self.annotations(entries, matches!(shape, Shape::Annotations));
            }
            (Shape::Series, Value::Map(_)) => self.series(node),
            (Shape::List(shape), Value::List(items)) => items.iter_mut().for_each(|item| self.visit(shape, item)),
            (Shape::Record(fields), Value::Map(entries)) => self.record(line, fields, entries),
            (Shape::Dashboard, Value::Map(_)) => self.dashboard(node),
            (shape, _) => self.find(line, format!("{} is expected here, and this is {kind}", shape.expected()), ""),
        }
    }

    fn record(&mut self, line: usize, fields: &[Field], entries: &mut [Entry]) {
        for entry in entries.iter_mut() {
            if let Some(field) = fields.iter().find(|field| field.key == entry.key) {
                self.visit(field.shape, &mut entry.node);
            } else {
                let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
                let remedy = format!("known here: {}", known.join(", "));
                self.find(entry.line, format!("unknown key `{}`", entry.key), &remedy);
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|entry| entry.key == field.key) {
                self.find(line, format!("`{}` is missing", field.key), "");
            }
        }
    }

    /// Where a text belongs Go's reader takes a number, a switch, nothing at all by how it is written; and nothing for a list or
    /// a map that is empty.
    fn as_go_reads(&self, shape: &Shape, node: &mut Node) {
        let Some(source) = self.source else { return };
        match (shape.is_of_texts(), &mut node.value) {
            (false, Value::Null) => match shape {
                Shape::List(_) => node.value = Value::List(Vec::new()),
                Shape::Record(_) => node.value = Value::Map(Vec::new()),
                shape if shape.is_a_text() => node.value = Value::Text(String::new()),
                _ => {}
            },
            (true, Value::Null) => node.value = Value::Map(Vec::new()),
            (true, Value::Map(entries)) => {
                for entry in entries {
                    as_written(source, &mut entry.node);
                }
            }
            (false, _) if shape.is_a_text() => as_written(source, node),
            _ => {}
        }
    }

    /// Labels, annotations: names that Prometheus takes, and texts.
    fn texts(&mut self, entries: &[Entry]) {
        for entry in entries {
            if !is_name(&entry.key, false) || entry.key == "__name__" {
                let what = format!("`{}` is no name of a label", entry.key);
                self.find(entry.line, what, "letters, digits and _, no digit first");
            }
            if entry.node.as_text().is_none() {
                let what = format!("`{}` is {}, not a text", entry.key, entry.node.kind());
                self.find(entry.line, what, "write it in quotes");
            }
        }
    }

    fn templates(&mut self, entries: &[Entry]) {
        let is_faster = self.rendering.is_some_and(|rendering| rendering.speed != Speed::PRODUCTION);
        for entry in entries {
            let Some(text) = entry.node.as_text() else { continue };
            match template::check(text) {
                Ok(true) if is_faster => {
                    let what = format!("`{}` asks by itself, and what it asks no speed divides", entry.key);
                    self.find(entry.line, what, "ask in a recording rule, or render at speed 1");
                }
                Ok(_) => {}
                Err(why) => self.find(entry.line, format!("`{}` is no template: {why}", entry.key), ""),
            }
        }
    }

    /// Divides a duration in place and gives back what it is then.
    fn duration(&mut self, line: usize, text: &mut String) -> Option<Duration> {
        let speed = self.rendering.map_or(Speed::PRODUCTION, |rendering| rendering.speed);
        match duration::parse(text).and_then(|production| speed.real(production)) {
            Ok(real) => {
                if self.rendering.is_some() {
                    *text = duration::print(real);
                }
                Some(real)
            }
            Err(error) => {
                let remedy = duration::parse(text).map_or_else(|_| String::new(), speeds_for);
                self.find(line, error.to_string(), &remedy);
                None
            }
        }
    }

    /// Divides a least step of Grafana's. It makes `$__rate_interval` of it by adding and multiplying, and writes a
    /// fraction of a second in a way that Prometheus refuses: so a step is divided to whole seconds, upwards, for below
    /// the scrape interval there is nothing to see.
    fn step(&mut self, line: usize, text: &mut String) {
        if duration::parse(text).is_ok_and(|production| production.subsec_nanos() != 0) {
            self.find(line, format!("{text} is not in whole seconds"), "Grafana would ask what Prometheus refuses");
        } else if let Some(real) = self.duration(line, text)
            && self.rendering.is_some()
        {
            // In one unit: of `1m30s` Grafana's pages read the first part alone.
            *text = format!("{}s", duration::whole_seconds(real).as_secs());
        }
    }

    fn expression(&mut self, line: usize, text: &mut String, hazardous: bool) {
        let mut tree = match promql::parse(text) {
            Ok(tree) => tree,
            Err(error) => return self.find(line, format!("not an expression: {}", error.trim()), ""),
        };
        let Some(Rendering { speed, recorded, .. }) = self.rendering else { return };
        if hazardous && speed != Speed::PRODUCTION {
            for hazard in promql::hazards(&tree, recorded) {
                self.find(line, hazard, "compare a rate or a ratio, or render at speed 1");
            }
        }
        match promql::divide(&mut tree, speed) {
            Ok(()) => *text = promql::print(&tree),
            Err(refused) => refused.into_iter().for_each(|error| self.find(line, error, "")),
        }
    }

    /// A path below one of the folders that a stack has of its own.
    fn below(&mut self, line: usize, from: &str, to: fn(&Addresses) -> &PathBuf, text: &mut String) {
        match Path::new(text.as_str()).strip_prefix(from) {
            Ok(inside) => {
                if let Some(rendering) = self.rendering {
                    *text = to(rendering.addresses).join(inside).to_string_lossy().into_owned();
                }
            }
            Err(_) => self.find(line, format!("`{text}` does not lie in {from}"), ""),
        }
    }

    /// In a container any address is its own, unless nobody else is to reach it; a local stack's is its loopback.
    fn listen(&mut self, line: usize, place: Place, text: &mut String) {
        let canonical = Addresses::canonical();
        let at = &place.of(&canonical)[0];
        let wanted = format!("0.0.0.0:{}", at.port);
        if *text != wanted && (*text != at.to_string() || *at != Address::loopback(at.port)) {
            self.find(line, format!("`{text}` is not {wanted}"), "");
        } else if let Some(Rendering { addresses, .. }) = self.rendering
            && *addresses != canonical
        {
            *text = place.of(addresses)[0].to_string();
        }
    }

    fn url(&mut self, line: usize, place: Place, text: &mut String) {
        let canonical = Addresses::canonical();
        let from = place.of(&canonical)[0].url("/");
        match text.strip_prefix(&from) {
            Some(rest) => {
                if let Some(Rendering { addresses, .. }) = self.rendering {
                    let path = format!("/{rest}");
                    *text = match &addresses.external {
                        Some(external) if place == Place::Dashboards => external.to(&path),
                        _ => place.of(addresses)[0].url(&path),
                    };
                }
            }
            None if format!("{text}/") == from => {
                if let Some(Rendering { addresses, .. }) = self.rendering {
                    place.of(addresses)[0].url("").clone_into(text);
                }
            }
            None => self.find(line, format!("`{text}` does not lead to {}", from.trim_end_matches('/')), ""),
        }
    }

    /// A page of this repository, which has an address once there is a place for pages.
    fn page(&self, text: &mut String) {
        let external = self.rendering.and_then(|rendering| rendering.addresses.external.as_ref());
        let path = text.trim_start_matches('/');
        if let Some(external) = external.filter(|_| path.starts_with("monitoring/")) {
            *text = external.to(&format!("/{path}"));
        }
    }

    fn annotations(&mut self, entries: &mut [Entry], strict: bool) {
        for entry in entries {
            let line = entry.line;
            let Value::Text(text) = &mut entry.node.value else { continue };
            if entry.key == "dashboard_url" {
                self.url(line, Place::Dashboards, text);
            } else if entry.key == "runbook_url" {
                self.page(text);
            } else if strict
                && !entry.key.ends_with("_url")
                && let Some(written) = duration_in_words(text)
            {
                let what = format!("`{}` tells a duration, `{written}`, which the rule may contradict", entry.key);
                self.find(line, what, "say what is wrong; the rule says since when");
            }
        }
    }

    fn series(&mut self, node: &mut Node) {
        let line = node.line;
        let name = node.text_of("series").unwrap_or_default().to_owned();
        if let Value::Map(entries) = &mut node.value {
            self.record(line, SERIES, entries);
        }
        let speed = self.rendering.map_or(Speed::PRODUCTION, |rendering| rendering.speed);
        let Some(values) = node.get_mut("values") else { return };
        let line = values.line;
        let Value::Text(text) = &mut values.value else { return };
        match series::divide(&name, text, speed) {
            Ok(divided) if self.rendering.is_some() => *text = divided,
            Ok(_) => {}
            Err(error) => self.find(line, error, ""),
        }
    }
}

/// Which speeds a duration can be divided by.
fn speeds_for(production: Duration) -> String {
    let divides = |k: &u32| Speed::new(*k).is_ok_and(|speed| speed.real(production).is_ok());
    let speeds: Vec<String> = (2..=60).filter(divides).map(|k| k.to_string()).collect();
    let production = duration::print(production);
    if speeds.is_empty() {
        format!("no speed divides {production}")
    } else {
        format!("of the speeds up to 60 it is {} that divide {production}", speeds.join(", "))
    }
}

/// Whether Prometheus takes a name: of a series with colons, of a label without.
fn is_name(text: &str, of_series: bool) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (of_series && c == ':'))
}

/// Makes a text of a scalar that is none.
fn as_written(source: &[u8], node: &mut Node) {
    let written = source.get(node.span.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match (&node.value, written) {
        (Value::Null, _) => node.value = Value::Text(String::new()),
        (Value::Number(_) | Value::Switch(_), Some(written)) if !written.is_empty() => {
            node.value = Value::Text(written.trim().to_owned());
        }
        _ => {}
    }
}

/// Whether a URL is one of this place's, as files name it.
fn leads_to(url: &str, place: Place) -> bool {
    let canonical = Addresses::canonical();
    format!("{}/", url.trim_end_matches('/')).starts_with(&place.of(&canonical)[0].url("/"))
}
