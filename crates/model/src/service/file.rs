//! monitoring/service.toml, read key by key: everything wrong in it is told at once, with its line.

use std::path::Path;
use std::str::FromStr;

use super::types::{Build, Faults, Log, Metric, PLACES, Service, Start};
use crate::failure::Finding;
use crate::section::{Reader, Section};
use aiclipx_base::address::{Address, Target};

pub(super) fn read(file: &Path, text: &str) -> Result<Service, Vec<Finding>> {
    Reader::new(file, text).read("a service", service)
}

fn service(root: &Section<'_, '_>) -> Service {
    let job = root.required("job", Section::text).unwrap_or_default();
    if root.has("job") && job.trim().is_empty() {
        root.complain("job", "`job` is what prometheus.yml calls it");
    }
    let own_listener = root.flag("own_listener");
    let start = root.table("start").map(|section| start(&section, own_listener));
    let (address, monitoring) = places_of(root, start.is_some(), own_listener);
    let base = root.text("base");
    if base.as_deref().is_some_and(|base| !is_path(base) || base.ends_with('/')) {
        root.complain("base", "`base` begins with a slash and does not end with one, like /api");
    }
    let base_of = |address: &Target| address.base.clone();
    let base = base.or_else(|| address.as_ref().map(base_of)).unwrap_or_default();
    let internal = root.texts("internal");
    if internal.iter().any(|route| !route.starts_with(['/', '*']) || route.trim_end_matches('*').contains('*')) {
        root.complain("internal", "a route begins with a slash; a `*` stands at the end, for whatever follows");
    }
    let requests = root.table("requests").map(|section| metric(&section, "counter", true));
    if !internal.is_empty() && requests.as_ref().is_some_and(|requests| requests.route.is_none()) {
        root.complain("internal", "[requests] tells no `route`, so these can't be told from others: let the monitoring ask at an address of its own, or choose series by `only`");
    }
    let request_id = root.table("request_id").and_then(|section| header(&section));
    let log = root.table("log").and_then(|section| log(&section));
    if log.is_some() && request_id.is_none() {
        root.note(
            "[log] tells requests apart by an id, which no [request_id] sends",
            "[request_id]\\nheader = \"x-request-id\"",
        );
    }
    Service {
        job,
        ready: path(root, "ready").unwrap_or_else(|| "/".to_owned()),
        metrics: path(root, "metrics").unwrap_or_else(|| "/metrics".to_owned()),
        own_listener,
        base,
        internal,
        from_zero: root.flag("from_zero"),
        process_start: name(root, "process_start"),
        start,
        address,
        monitoring,
        requests,
        latency: root.table("latency").map(|section| metric(&section, "histogram", true)),
        errors: root.table("errors").map(|section| metric(&section, "counter", false)),
        request_id,
        faults: root.table("faults").and_then(|section| faults(&section)),
        log,
        build: root.table("build").map(|section| build(&section)),
        recorded: recorded(root),
    }
}

/// Where it is, and where it is asked for its metrics, of one that somebody else starts; what does not go together is told.
fn places_of(root: &Section<'_, '_>, is_started: bool, own_listener: bool) -> (Option<Target>, Option<Address>) {
    let address = parsed(root, "address");
    if is_started == root.has("address") {
        let what = "a service has a [start], or an `address` where somebody else runs it";
        root.note(what, if is_started { "take one of them out" } else { "address = \"http://127.0.0.1:5000\"" });
    }
    if own_listener && root.has("address") {
        root.complain("own_listener", "of a service that somebody else starts `monitoring` says where that is");
    }
    if root.has("monitoring") && !root.has("address") {
        root.complain("monitoring", "with [start] a stack chooses the place: own_listener = true");
    }
    (address, parsed(root, "monitoring"))
}

fn parsed<T: FromStr<Err = String>>(root: &Section<'_, '_>, key: &'static str) -> Option<T> {
    root.text(key)?.parse().map_err(|why: String| root.complain(key, why)).ok()
}

fn start(section: &Section<'_, '_>, own_listener: bool) -> Start {
    let program = section.required("program", Section::text).unwrap_or_default();
    if section.has("program") && program.trim().is_empty() {
        section.complain("program", "`program` is a name, or a path from the tree");
    }
    let arguments = section.texts("arguments");
    let environment = section.map("environment");
    let folder = section.text("folder");
    let mut told = false;
    let mut told_monitoring = false;
    for (key, word) in
        arguments.iter().map(|word| ("arguments", word)).chain(environment.values().map(|word| ("environment", word)))
    {
        for place in places(word) {
            match place {
                "address" | "port" => told = true,
                "monitoring" | "monitoring_port" => told_monitoring = true,
                _ => {}
            }
            if !PLACES.contains(&place) {
                section.complain(
                    key,
                    format!("nothing is put in the place of {{{place}}}; there is {}", PLACES.join(", ")),
                );
            } else if place.starts_with("monitoring") && !own_listener {
                section.complain(key, format!("{{{place}}} is of a service with own_listener = true"));
            }
        }
    }
    if !program.is_empty() && !told {
        section.note(
            "nothing tells the program where to listen",
            "put {address}, or {port}, into `arguments` or `environment`",
        );
    }
    if own_listener && !told_monitoring {
        section.note(
            "nothing tells the program where to listen to the monitoring",
            "put {monitoring}, or {monitoring_port}, into `arguments` or `environment`",
        );
    }
    section.finish();
    Start { program, arguments, environment, folder }
}

/// The names in braces: `port` of `--listen=:{port}`. Braces around anything but small letters are the program's own.
fn places(word: &str) -> impl Iterator<Item = &str> {
    let inside = word.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    inside.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

fn metric(section: &Section<'_, '_>, key: &'static str, by_request: bool) -> Metric {
    let called = section.required(key, name).unwrap_or_default();
    let label = |key| if by_request { label(section, key) } else { None };
    let (method, route, code) = (label("method"), label("route"), label("code"));
    let by_class = by_request && section.flag("by_class");
    if by_class && code.is_none() {
        section.complain("by_class", "`by_class` is of a `code`, told as 2xx");
    }
    let only = section.map("only");
    for name in only.keys().filter(|name| !is_name(name, false)) {
        section.complain("only", format!("`{name}` is no label's name"));
    }
    section.finish();
    Metric { name: called, method, route, code, by_class, only }
}

fn header(section: &Section<'_, '_>) -> Option<String> {
    let header = header_of(section);
    section.finish();
    header
}

fn faults(section: &Section<'_, '_>) -> Option<Faults> {
    let (header, gauge) = (header_of(section), name(section, "gauge"));
    section.finish();
    Some(Faults { header: header?, gauge })
}

fn header_of(section: &Section<'_, '_>) -> Option<String> {
    let header = section.required("header", Section::text)?;
    if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
        section.complain("header", format!("`{header}` is no header's name"));
        return None;
    }
    Some(header)
}

fn log(section: &Section<'_, '_>) -> Option<Log> {
    let format = section.required("format", Section::text);
    if format.as_deref().is_some_and(|format| format != "json") {
        section.complain("format", "a log is read as json, an object a line; leave [log] out for any other");
    }
    let key = |key| section.required(key, Section::text);
    let (time, request_id, status) = (key("time"), key("request_id"), key("status"));
    section.finish();
    Some(Log { time: time?, request_id: request_id?, status: status? })
}

fn build(section: &Section<'_, '_>) -> Build {
    let info = section.required("info", name).unwrap_or_default();
    let build = Build { info, version: label(section, "version"), revision: label(section, "revision") };
    section.finish();
    build
}

fn recorded(root: &Section<'_, '_>) -> Option<String> {
    let file = root.text("recorded")?;
    if file.starts_with('/') || file.split('/').any(|part| part == "..") || file.is_empty() {
        root.complain("recorded", "`recorded` is a file in monitoring/, by its path from there");
    }
    Some(file)
}

fn path(section: &Section<'_, '_>, key: &str) -> Option<String> {
    let path = section.text(key)?;
    if !is_path(&path) {
        section.complain(key, format!("`{path}` is no path; it begins with a slash"));
    }
    Some(path)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains('#') && text.parse::<http::Uri>().is_ok()
}

fn name(section: &Section<'_, '_>, key: &str) -> Option<String> {
    let text = section.text(key)?;
    if !is_name(&text, true) {
        section.complain(key, format!("`{text}` is no metric's name"));
    }
    Some(text)
}

fn label(section: &Section<'_, '_>, key: &str) -> Option<String> {
    let text = section.text(key)?;
    if !is_name(&text, false) {
        section.complain(key, format!("`{text}` is no label's name"));
    }
    Some(text)
}

fn is_name(text: &str, colons: bool) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_part)
}
