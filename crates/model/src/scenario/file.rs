//! Reads a scenario's file, `NN-name.toml`, into a [`Scenario`]. Everything wrong with it is reported at once.

use std::collections::BTreeSet;
use std::path::Path;

use http::Uri;

use super::types::{Action, Arrival, Expect, FaultQuota, Measure, Phase, RequestTemplate, Scenario, Step, Volume};
use crate::failure::Finding;
use crate::section::{Reader, Section};
use aiclipx_base::duration;

/// Weights and quotas repeat in blocks; a longer block would never come full in a run.
const MAX_BLOCK: u32 = 10_000;
/// What a request may be; what else a service counts as `OTHER` is no traffic of ours.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Number and name out of `02-error-rate.toml`; else what was expected.
pub(super) fn number_and_name(file: &Path) -> Result<(u32, String), String> {
    let error = || format!("`{}` is no scenario's file name; write it like 02-error-rate.toml", file.display());
    let stem = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"));
    let (number, name) = stem.and_then(|stem| stem.split_once('-')).ok_or_else(error)?;
    if number.len() != 2 || !number.bytes().all(|b| b.is_ascii_digit()) || !is_name(name) {
        return Err(error());
    }
    Ok((number.parse().map_err(|_| error())?, name.to_owned()))
}

pub(super) fn read(file: &Path, text: &str) -> Result<Scenario, Vec<Finding>> {
    let reader = Reader::new(file, text);
    let (number, name) = number_and_name(file).unwrap_or_else(|what| {
        reader.note(0, what, "rename the file");
        (0, String::new())
    });
    reader.read("a scenario", |root| scenario(root, file, text, number, name))
}

fn scenario(root: &Section<'_, '_>, file: &Path, text: &str, number: u32, name: String) -> Scenario {
    let title = root.required("title", Section::text).unwrap_or_default();
    if root.has("title") && (title.trim().is_empty() || title.contains('\n')) {
        root.complain("title", "`title` is one line, a sentence");
    }
    let mix = requests(root);
    let sections = root.tables("phase");
    if sections.is_empty() {
        root.note("a scenario has at least one [[phase]]", "");
    }
    let phases: Vec<Phase> = sections.iter().map(|section| phase(section, &mix)).collect();
    for (index, section) in sections.iter().enumerate() {
        let name = &phases[index].name;
        if !name.is_empty() && phases[..index].iter().any(|earlier| earlier.name == *name) {
            section.complain("name", format!("there is already a phase `{name}`"));
        }
    }
    let faulty = phases.iter().any(Phase::is_faulty);
    let expect = root.table("expect").map(|section| expect(&section, faulty)).unwrap_or_default();
    let replicas = root.count("replicas");
    let replicas =
        replicas.and_then(|count| count.to_string().parse().map_err(|why: String| root.complain("replicas", why)).ok());
    Scenario { file: file.to_owned(), text: text.to_owned(), number, name, title, replicas, phases, expect }
}

fn phase(section: &Section<'_, '_>, mix: &[RequestTemplate]) -> Phase {
    let name = section.required("name", Section::text).unwrap_or_default();
    if section.has("name") && !is_name(&name) {
        section.complain("name", format!("`{name}` is no phase name; write lower-case letters, digits and dashes"));
    }
    let duration = section.required("duration", Section::duration).unwrap_or_default();
    if section.has("duration") && duration.is_zero() {
        section.complain("duration", "a phase lasts longer than nothing");
    }

    let silent = section.flag("silent");
    let rate = section.rate("rate");
    let count = section.count("count");
    let arrival = arrival(section);
    let own = requests(section);
    let faults = faults(section);
    let provokes = section.flag("provokes");
    let steps = steps(section);
    if silent {
        sends_nothing(section);
    } else {
        sends_so_many(section, count, arrival);
        if own.is_empty() && mix.is_empty() && !section.has("requests") {
            section.note("nothing says what this phase sends", "give `requests` here, or before the first [[phase]]");
        }
    }
    let requests = match (silent, own.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => mix.to_vec(),
        (false, false) => own,
    };
    section.finish();
    let volume = match (rate, count) {
        (Some(rate), _) => Volume::Rate(rate),
        (None, Some(count)) => Volume::Count(count),
        (None, None) => Volume::Silent,
    };
    Phase { name, duration, volume, arrival, requests, faults, provokes, steps }
}

fn sends_nothing(section: &Section<'_, '_>) {
    for key in ["rate", "count", "arrival", "burst", "requests", "faults"] {
        if section.has(key) {
            section.complain(key, format!("a silent phase sends nothing, so it has no `{key}`"));
        }
    }
}

fn sends_so_many(section: &Section<'_, '_>, count: Option<u32>, arrival: Arrival) {
    match (section.has("rate"), section.has("count")) {
        (false, false) => section.note(
            "a phase has a `rate` in requests a second, or a `count` of requests",
            "for a phase without traffic write silent = true",
        ),
        (true, true) => section.complain("count", "a phase has a `rate` or a `count`, not both"),
        _ => {}
    }
    if count == Some(0) {
        section.complain("count", "a phase sends at least one request, or is silent");
    }
    if section.has("count") && arrival == Arrival::Poisson {
        section.complain("arrival", "gaps that are drawn give no exact count: poisson goes with a `rate`");
    }
}

fn steps(section: &Section<'_, '_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for action in Action::ALL {
        for component in section.texts(action.name()) {
            if !is_name(&component) {
                section.complain(action.name(), format!("`{component}` is no component; write it like app"));
            }
            steps.push(Step { action, component });
        }
    }
    steps
}

fn arrival(section: &Section<'_, '_>) -> Arrival {
    let burst = section.count("burst");
    if burst.is_some_and(|size| !(2..=MAX_BLOCK).contains(&size)) {
        section.complain("burst", format!("a burst is 2 to {MAX_BLOCK} requests"));
    }
    match section.text("arrival").as_deref() {
        None | Some("uniform") if burst.is_none() => Arrival::Uniform,
        Some("poisson") if burst.is_none() => Arrival::Poisson,
        Some("bursts") if burst.is_some() => Arrival::Bursts(burst.unwrap_or(2)),
        Some("bursts") => {
            section.complain("arrival", "bursts need their size: burst = 20");
            Arrival::Uniform
        }
        None | Some("uniform" | "poisson") => {
            section.complain("burst", "`burst` goes with arrival = \"bursts\"");
            Arrival::Uniform
        }
        Some(other) => {
            section.complain("arrival", format!("`{other}` is no arrival; there is uniform, poisson, bursts"));
            Arrival::Uniform
        }
    }
}

fn requests(section: &Section<'_, '_>) -> Vec<RequestTemplate> {
    let sections = section.tables("requests");
    let requests: Vec<RequestTemplate> = sections.iter().map(request).collect();
    let block: u64 = requests.iter().map(|request| u64::from(request.weight)).sum();
    if block > u64::from(MAX_BLOCK) {
        section.complain("requests", format!("the weights add up to {block}; {MAX_BLOCK} at most"));
    }
    if section.has("requests") && requests.is_empty() {
        section.complain("requests", "`requests` lists at least one request");
    }
    requests
}

fn request(section: &Section<'_, '_>) -> RequestTemplate {
    let weight = section.count("weight").unwrap_or(1);
    if weight == 0 {
        section.complain("weight", "a weight is at least 1");
    }
    let method = section.text("method").unwrap_or_else(|| "GET".to_owned());
    if !METHODS.contains(&method.as_str()) {
        section.complain("method", format!("`{method}` is no method; there is {}", METHODS.join(", ")));
    }
    let path = section.required("path", Section::text).unwrap_or_default();
    let sent = path.replace("{seq}", "0");
    if section.has("path") && (!sent.starts_with('/') || sent.contains('#') || sent.parse::<Uri>().is_err()) {
        section
            .complain("path", format!("`{path}` is no path; it begins with a slash, and {{seq}} is the number sent"));
    }
    let endpoint = section.text("endpoint");
    if endpoint.is_none() && path.contains("{seq}") {
        section.note(
            "a path with {seq} is counted under a route template, which `endpoint` names",
            "endpoint = \"/items/{id}\"",
        );
    }
    let endpoint = endpoint.unwrap_or_else(|| path.split('?').next().unwrap_or_default().to_owned());
    let body = section.text("body");
    if let Some(body) = &body {
        if serde_json::from_str::<serde_json::Value>(&body.replace("{seq}", "0")).is_err() {
            section.complain("body", "`body` is JSON, with {seq} for the number sent");
        }
        if !["POST", "PUT", "PATCH"].contains(&method.as_str()) {
            section.complain("body", format!("a {method} carries no body"));
        }
    }
    section.finish();
    RequestTemplate { weight, method, path, endpoint, body }
}

fn faults(section: &Section<'_, '_>) -> Vec<FaultQuota> {
    let mut quotas: Vec<FaultQuota> = Vec::new();
    for section in section.tables("faults") {
        let fault = section.required("fault", Section::text).unwrap_or_default();
        if section.has("fault") && !is_fault(&fault) {
            section.complain(
                "fault",
                format!("`{fault}` is no fault; there is error, panic, delay=750ms, or several with commas"),
            );
        }
        let count = section.required("count", Section::count);
        let per = section.required("per", Section::count);
        if let (Some(count), Some(per)) = (count, per) {
            if count == 0 || count > per || per > MAX_BLOCK {
                section.complain(
                    "count",
                    format!("{count} of every {per} cannot be; count is 1 to per, per at most {MAX_BLOCK}"),
                );
            }
            let taken: u32 = quotas.iter().map(|quota| quota.count).sum();
            if quotas.iter().any(|other| other.per != per) {
                section.complain("per", "the quotas of one phase have the same `per`");
            } else if count <= per && taken.saturating_add(count) > per {
                section
                    .complain("count", format!("a request carries one fault, and {taken} of {per} are taken already"));
            }
            quotas.push(FaultQuota { fault, count, per });
        }
        section.finish();
    }
    quotas
}

fn expect(section: &Section<'_, '_>, faulty: bool) -> Expect {
    let fires = section.texts("fires");
    let may_fire = section.texts("may_fire");
    let inhibits = section.texts("inhibits");
    let mut seen = BTreeSet::new();
    let lists = [("fires", &fires), ("may_fire", &may_fire), ("inhibits", &inhibits)];
    for (key, alert) in lists.iter().flat_map(|(key, alerts)| alerts.iter().map(move |alert| (*key, alert))) {
        if !alert.starts_with(|c: char| c.is_ascii_uppercase()) || !alert.chars().all(|c| c.is_ascii_alphanumeric()) {
            section.complain(key, format!("`{alert}` is no alert's name; write it like AppHigh5xxErrorRate"));
        }
        if !seen.insert(alert) {
            section.complain(key, format!("`{alert}` is named twice"));
        }
    }
    let within = section.duration("within");
    if !fires.is_empty() && !section.has("within") {
        section.complain("fires", "`fires` needs `within`: how long after the fault began an alert may still be quiet");
    }
    if !fires.is_empty() && !faulty {
        section.complain("fires", "no phase gives an alert a reason to fire: give one `faults`, or provokes = true");
    }
    if !inhibits.is_empty() && fires.is_empty() {
        section.complain("inhibits", "what is not told of an alert is told by another: name it in `fires`");
    }
    if section.has("within") && fires.is_empty() {
        section.complain("within", "`within` goes with `fires`");
    }
    if within.is_some_and(|within| within.is_zero()) {
        section.complain("within", "no alert fires at once");
    }
    let redacts = section.flag("redacts");
    let loses_none = section.flag("loses_none");
    let mut panels = std::collections::BTreeMap::new();
    if let Some(table) = section.table("panels") {
        for panel in table.keys() {
            let named = table.text(&panel);
            let measure = Measure::ALL.into_iter().find(|measure| Some(measure.name()) == named.as_deref());
            if let (Some(named), None) = (&named, measure) {
                let all = Measure::ALL.map(Measure::name).join(", ");
                table.complain(&panel, format!("`{named}` is no measure; there is {all}"));
            }
            let id = panel.split_once('/').filter(|(uid, id)| is_name(uid) && id.parse::<u32>().is_ok());
            if id.is_none() {
                table.complain(&panel, format!("`{panel}` is no panel; write dashboard and panel like app-overview/3"));
            }
            panels.extend(measure.map(|measure| (panel, measure)));
        }
    }
    section.finish();
    Expect { fires, may_fire, inhibits, within, panels, loses_none, redacts }
}

/// `[a-z0-9-]+`, not beginning or ending with a dash.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What a fault may be: `error`, `panic`, `delay=750ms`, or several with commas.
fn is_fault(text: &str) -> bool {
    text.split(',').map(str::trim).all(|part| match part.strip_prefix("delay=") {
        Some(delay) => duration::parse(delay).is_ok_and(|delay| !delay.is_zero()),
        None => part == "error" || part == "panic",
    })
}
