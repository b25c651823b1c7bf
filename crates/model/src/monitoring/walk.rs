//! Walks a document along its shape: validates it, and rewrites it when rendering.
//!
//! It tells every finding: a key we don't know, a value that is something else, a duration or an expression that does
//! not parse. When it renders, it puts the stack's addresses and speed in place, and tells what can't be divided.

use std::path::Path;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::addresses::{self, Addresses, CANONICAL_DATA, CANONICAL_FOLDER, CANONICAL_LOGS, Place};
use super::located::{Entry, Node, Value, written};
use super::matcher;
use super::promql::{self, Recorded};
use super::prose::duration_in_words;
use super::remark::Found;
use super::role::Layout;
use super::series;
use super::shape::{Field, SERIES, Shape};
use super::template;
use aiclipx_base::duration::{self, Speed};

mod address;
mod dashboard;
mod names;
mod scalar;

/// Prometheus begins to miss scrapes on a busy machine below this.
const SHORTEST_SCRAPE: Duration = Duration::from_millis(500);

/// The target's label that tells the exporter whom to ask.
pub(super) const PROBED_URL: &str = "__param_target";

/// Functions that give a moment.
const CLOCK: [&str; 2] = ["time", "timestamp"];

/// Labels of a target that are times, and are taken for its job's.
const OF_A_SCRAPE: [&str; 2] = ["__scrape_interval__", "__scrape_timeout__"];

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
    /// Whether there are components of ours to lead to.
    pub(super) layout: Layout,
    /// `None` when the walk only looks.
    pub(super) rendering: Option<Rendering<'a>>,
    pub(super) found: Found,
}

impl Walk<'_> {
    fn find(&mut self, line: usize, what: impl Into<String>, remedy: &str) {
        self.found.refuse(self.file, line, what, remedy);
    }

    /// What is read all the same. Said while reading, and not again of every copy.
    fn remark(&mut self, name: &'static str, line: usize, what: impl Into<String>, remedy: &str) {
        if self.rendering.is_none() {
            self.found.remark(name, self.file, line, what, remedy);
        }
    }

    fn speed(&self) -> Speed {
        self.rendering.map_or(Speed::PRODUCTION, |rendering| rendering.speed)
    }

    fn is_faster(&self) -> bool {
        self.speed() != Speed::PRODUCTION
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
            | (Shape::Number | Shape::Value, Value::Number(_))
            | (Shape::Value, Value::Infinite(_))
            | (Shape::Switch, Value::Switch(_))
            | (Shape::Own, _) => {}
            (Shape::RealTime, Value::Text(text)) => {
                if let Err(error) = duration::parse(text) {
                    self.find(line, error.to_string(), "");
                }
            }
            (
                Shape::OneOf(_)
                | Shape::Bytes
                | Shape::GoTime
                | Shape::CalendarRange(_)
                | Shape::ClockTime
                | Shape::HostPort
                | Shape::WebUrl
                | Shape::Regex,
                Value::Text(text),
            ) => {
                if let Err(what) = scalar::check(shape, text) {
                    self.find(line, what, "");
                }
            }
            (Shape::OfCalendar, Value::List(names)) => {
                if let (Some(first), true) = (names.first(), self.is_faster()) {
                    self.find(first.line, "an interval of the calendar, which no speed moves", "render at speed 1");
                }
            }
            (Shape::Map(shape), Value::Map(entries)) => {
                for entry in entries {
                    self.visit(shape, &mut entry.node);
                }
            }
            (Shape::Regexes, Value::Map(entries)) => {
                self.texts(shape, entries);
                for entry in entries.iter() {
                    if let Some(Err(what)) = entry.node.as_text().map(|text| scalar::check(&Shape::Regex, text)) {
                        self.find(entry.node.line, what, "");
                    }
                }
            }
            (Shape::Duration, Value::Text(text)) => {
                self.duration(line, text);
            }
            (Shape::Scrape, Value::Text(text)) => {
                let is_short = self.duration(line, text).is_some_and(|interval| interval < SHORTEST_SCRAPE);
                let what = format!("a scrape every {text} is under {}", duration::print(SHORTEST_SCRAPE));
                if is_short && self.is_faster() {
                    self.find(line, what, "choose a lower speed");
                } else if is_short {
                    self.remark("scrape/interval", line, what, "a busy machine misses some");
                }
            }
            (Shape::Step, Value::Text(text)) => self.step(line, text),
            (Shape::Expr, Value::Text(text)) => self.expression(line, text, true),
            (Shape::TestExpr, Value::Text(text)) => self.expression(line, text, false),
            (Shape::Matcher, Value::Text(text)) => {
                if let Err(error) = matcher::parse(text) {
                    self.find(line, error, "");
                } else if matcher::is_newer(text) {
                    let what = format!("`{text}` is read by Alertmanager from 0.27 on");
                    self.remark("route/version", line, what, "earlier ones refuse the file");
                }
            }
            (Shape::Url(component), Value::Text(text)) => {
                if let Err(what) = scalar::check(&Shape::WebUrl, text) {
                    self.find(line, what, "");
                } else {
                    self.url("address/elsewhere", line, *component, text);
                }
            }
            (Shape::AnyUrl(components), Value::Text(text)) => {
                let component =
                    components.iter().find(|one| addresses::leads_to(text, **one)).unwrap_or(&components[0]);
                self.url("address/elsewhere", line, *component, text);
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
            (Shape::Metric, Value::Text(text)) => self.series_name(line, text),
            (Shape::Labels | Shape::PlainLabels, Value::Map(entries)) => self.texts(shape, entries),
            (Shape::RuleLabels, Value::Map(entries)) => {
                self.texts(shape, entries);
                self.templates(entries);
            }
            (Shape::TargetLabels, Value::Map(entries)) => {
                self.texts(shape, entries);
                for entry in entries.iter_mut().filter(|entry| OF_A_SCRAPE.contains(&entry.key.as_str())) {
                    if let (Value::Text(text), true) = (&mut entry.node.value, self.is_faster()) {
                        self.duration(entry.line, text);
                    }
                }
                for entry in entries.iter_mut().filter(|entry| entry.key == PROBED_URL) {
                    if let Value::Text(text) = &mut entry.node.value {
                        self.url("address/elsewhere", entry.line, Place::Clients, text);
                    }
                }
            }
            (Shape::ExternalLabels, Value::Map(entries)) => {
                self.texts(shape, entries);
                let is_ours = self.layout == Layout::Stack || entries.iter().any(|entry| entry.key == "speed");
                if let Some(Rendering { speed, .. }) = self.rendering.filter(|_| is_ours) {
                    entries.retain(|entry| entry.key != "speed");
                    entries.push(Entry::made("speed", Node::text(speed.to_string())));
                }
            }
            (Shape::Annotations | Shape::ExpectedAnnotations, Value::Map(entries)) => {
                self.texts(shape, entries);
                if matches!(shape, Shape::Annotations) {
                    self.templates(entries);
                }
                self.annotations(entries, matches!(shape, Shape::Annotations));
            }
            (Shape::Series, Value::Map(_)) => self.series(node),
            (Shape::List(shape), Value::List(items)) => {
                for item in items {
                    if matches!((shape, &item.value), (Shape::Record(_) | Shape::Relabelling(_), Value::Null)) {
                        self.find(item.line, "an item with nothing in it", "take it off the list");
                    } else {
                        self.visit(shape, item);
                    }
                }
            }
            (Shape::Record(fields), Value::Map(entries)) => self.record(line, fields, entries),
            (Shape::Relabelling(fields), Value::Map(entries)) => {
                self.record(line, fields, entries);
                self.relabelling(node);
            }
            (Shape::Dashboard, Value::Map(_)) => self.dashboard(node),
            (shape, _) => self.find(line, format!("{} is expected here, and this is {kind}", shape.expected()), ""),
        }
    }

    fn record(&mut self, line: usize, tables: &[&[Field]], entries: &mut [Entry]) {
        let fields = || tables.iter().flat_map(|fields| fields.iter());
        for entry in entries.iter_mut() {
            if let Some(field) = fields().find(|field| field.keys().contains(&entry.key.as_str())) {
                self.visit(field.shape, &mut entry.node);
            } else {
                let known: Vec<&str> = fields().flat_map(Field::keys).copied().collect();
                let remedy = format!("known here: {}", known.join(", "));
                self.find(entry.line, format!("unknown key `{}`", entry.key), &remedy);
            }
        }
        for key in fields().filter(|field| field.required).flat_map(Field::keys) {
            if !entries.iter().any(|entry| entry.key == *key) {
                self.find(line, format!("`{key}` is missing"), "");
            }
        }
    }

    /// A step that gives a target its interval is divided where it says which, and refused where it takes one from elsewhere.
    fn relabelling(&mut self, step: &mut Node) {
        let target = step.text_of("target_label").unwrap_or_default().to_owned();
        self.relabelled_names(step, &target);
        if !self.is_faster() || !OF_A_SCRAPE.contains(&target.as_str()) {
            return;
        }
        let line = step.line;
        match step.get_mut("replacement").map(|node| (node.line, &mut node.value)) {
            Some((line, Value::Text(text))) if duration::parse(text).is_ok() => {
                self.duration(line, text);
            }
            _ => {
                let what = format!("`{target}` is given out of a label, which no speed divides");
                self.find(line, what, "write the interval into the step, or render at speed 1");
            }
        }
    }

    /// Where a text belongs Go's reader takes a number, a switch, nothing at all by how it is written; nothing for a list or
    /// a map that is empty; and for a switch the words that YAML 1.1 has.
    fn as_go_reads(&self, shape: &Shape, node: &mut Node) {
        let Some(source) = self.source else { return };
        match &mut node.value {
            Value::Null if matches!(shape, Shape::List(_) | Shape::OfCalendar) => node.value = Value::List(Vec::new()),
            Value::Null if shape.is_empty_of_nothing() => node.value = Value::Map(Vec::new()),
            Value::Null if matches!(shape, Shape::Number | Shape::Value) => node.value = Value::Number(0.into()),
            Value::Null if matches!(shape, Shape::Switch) => node.value = Value::Switch(false),
            Value::Map(entries) if shape.is_of_texts() => {
                // A regular expression of nothing at all is none.
                let is_kept = |node: &Node| matches!((shape, &node.value), (Shape::Regexes, Value::Null));
                for entry in entries.iter_mut().filter(|entry| !is_kept(&entry.node)) {
                    entry.node.make_text(source);
                }
            }
            Value::Text(text) if matches!(shape, Shape::Switch) && *text == written(source, &node.span) => {
                match text.to_ascii_lowercase().as_str() {
                    "y" | "yes" | "on" => node.value = Value::Switch(true),
                    "n" | "no" | "off" => node.value = Value::Switch(false),
                    _ => {}
                }
            }
            _ if shape.is_a_text() => node.make_text(source),
            _ => {}
        }
    }

    fn templates(&mut self, entries: &[Entry]) {
        let is_faster = self.is_faster();
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
        let speed = self.speed();
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
            let what = format!("{text} is not in whole seconds");
            self.remark("datasource/interval", line, what, "Grafana would ask what Prometheus refuses");
        }
        if let Some(real) = self.duration(line, text)
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
        let is_gone = |node: &&Expr| matches!(node, Expr::Call(call) if call.func.name == promql::GONE);
        if promql::nodes(&tree).iter().any(is_gone) {
            let what = format!("`{}` is not known to Prometheus 3", promql::GONE);
            self.remark("query/version", line, what, "there it is called double_exponential_smoothing");
        }
        if let Some(name) = promql::quoted_name(text) {
            let what = format!("{name} is a name in quotes, which Prometheus reads from 3.0 on");
            self.remark("query/version", line, what, "Prometheus 2 refuses the file");
        }
        let Some(Rendering { speed, recorded, .. }) = self.rendering else { return };
        if hazardous && speed != Speed::PRODUCTION {
            for hazard in promql::hazards(&tree, recorded) {
                self.find(line, hazard, "compare a rate or a ratio, or render at speed 1");
            }
        }
        let reads_clock = |node: &&Expr| matches!(node, Expr::Call(call) if CLOCK.contains(&call.func.name));
        if !hazardous && self.is_faster() && promql::nodes(&tree).iter().any(reads_clock) {
            let what = "a moment of the clock, and what a test expects of it no speed divides";
            self.find(line, what, "compare it in the rule, or render at speed 1");
        }
        match promql::divide(&mut tree, speed) {
            Ok(()) => *text = promql::print(&tree),
            Err(refused) => refused.into_iter().for_each(|error| self.find(line, error, "")),
        }
    }

    fn annotations(&mut self, entries: &mut [Entry], strict: bool) {
        for entry in entries {
            let line = entry.line;
            let Value::Text(text) = &mut entry.node.value else { continue };
            if entry.key == "dashboard_url" {
                self.url("alert/dashboard", line, Place::Dashboards, text);
            } else if entry.key == "runbook_url" {
                self.page(text);
            } else if strict
                && !entry.key.ends_with("_url")
                && let Some(written) = duration_in_words(text)
            {
                let what = format!("`{}` tells a duration, `{written}`, which the rule may contradict", entry.key);
                self.remark("alert/duration", line, what, "say what is wrong; the rule says since when");
            }
        }
    }

    fn series(&mut self, node: &mut Node) {
        let line = node.line;
        let name = node.text_of("series").unwrap_or_default().to_owned();
        if let Value::Map(entries) = &mut node.value {
            self.record(line, &[SERIES], entries);
        }
        let speed = self.speed();
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
