//! What a service calls its things, guessed from one answer of its /metrics: by type, by name, and by what labels hold.
//!
//! Pure. Each guess says why it was made, and what else there was: a guess is for reading, not for trusting.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use aiclipx_model::monitoring::promql;
use aiclipx_model::prom::exposition::{self, Exposition, SeriesName};
use aiclipx_model::service::{Build, Metric};

/// Programs' own metrics, of which no client knows.
const OWN: [&str; 10] =
    ["go_", "process_", "python_", "promhttp_", "prometheus_", "jvm_", "nodejs_", "dotnet_", "aspnetcore_", "scrape_"];
/// What a client asks with.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
/// A label with more values than this tells apart who asks, and not what counts.
const MANY_VALUES: usize = 20;
/// More routes than this are hardly templates.
const MANY_ROUTES: usize = 40;

/// An exposition, with what its families are.
pub(super) struct Exposed {
    pub(super) series: Exposition,
    pub(super) kinds: BTreeMap<String, String>,
    /// What is called like a counter and has no type.
    untyped: BTreeSet<String>,
    /// What was left out, and why.
    left_out: Option<String>,
}

/// What was taken, and why, in the order in which the file has it.
#[derive(Debug, Default)]
pub(super) struct Guess {
    pub(super) requests: Option<Metric>,
    /// Counters of requests, by type and name, that have no series yet, where nothing else counts requests: what the labels
    /// are is not known before the first.
    pub(super) silent: Vec<String>,
    pub(super) latency: Option<Metric>,
    pub(super) errors: Option<Metric>,
    pub(super) build: Option<Build>,
    pub(super) process_start: Option<String>,
    /// Routes that answered a GET with success, for a first scenario; templates left out.
    pub(super) routes: Vec<String>,
    /// Every route there is.
    pub(super) all_routes: BTreeSet<String>,
    /// A line for each choice.
    pub(super) why: Vec<String>,
    /// The names there are, for `check`: one series of each metric and set of labels, without its value.
    pub(super) recorded: String,
}

impl Exposed {
    pub(super) fn new(text: &str, series: Exposition) -> Exposed {
        let kind = |line: &str| {
            let mut words = line.strip_prefix("# TYPE ")?.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        };
        // OpenMetrics calls a counter without its ending.
        let is_open = exposition::is_open(text);
        let in_full = |(name, kind): (String, String)| match kind.as_str() {
            "counter" if is_open && !name.ends_with("_total") => (name + "_total", kind),
            "info" if is_open && !name.ends_with("_info") => (name + "_info", "gauge".to_owned()),
            _ => (name, kind),
        };
        let kinds: BTreeMap<String, String> = text.lines().filter_map(kind).map(in_full).collect();
        let needs_quotes = |series: &SeriesName| {
            let mut names = series.labels.keys().chain([&series.name]);
            names.find(|name| !promql::is_name(name)).cloned()
        };
        let (quoted, series): (Exposition, Exposition) =
            series.into_iter().partition(|(series, _)| needs_quotes(series).is_some());
        let left_out = quoted.keys().find_map(needs_quotes).map(|name| left_out(text, &name, quoted.len()));
        let is_untyped = |name: &&String| name.ends_with("_total") && !kinds.contains_key(*name);
        let untyped = series.keys().map(|series| &series.name).filter(is_untyped).cloned().collect();
        Exposed { series, kinds, untyped, left_out }
    }

    /// Families of a kind that are about what clients ask for.
    fn families<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let of_kind = self.kinds.iter().filter(move |(_, its)| *its == kind).map(|(name, _)| name.as_str());
        let untyped = self.untyped.iter().map(String::as_str).filter(move |_| kind == "counter");
        of_kind.chain(untyped).filter(|name| !OWN.iter().any(|own| name.starts_with(own)))
    }

    /// A name's series. Not all are looked through: there may be hundreds of thousands.
    fn of(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        let first = SeriesName { name: name.to_owned(), labels: BTreeMap::new() };
        let name = name.to_owned();
        let of_name = self.series.range(first..).take_while(move |(series, _)| series.name == name);
        of_name.map(|(series, value)| (&series.labels, *value))
    }

    fn labels_of(&self, name: &str) -> impl Iterator<Item = &BTreeMap<String, String>> {
        self.of(name).map(|(labels, _)| labels)
    }

    /// One series of each name and set of labels.
    fn recorded(&self) -> String {
        let mut text = String::from(
            "# What the service exposes, for `aiclipx check`: one series of each metric and set of labels, without its value. Make it\n\
             # anew when there are more: curl its metrics into this file.\n",
        );
        let (mut typed, mut before) = (BTreeSet::new(), BTreeSet::new());
        for SeriesName { name, labels } in self.series.keys() {
            if !before.insert((name, labels.keys().collect::<Vec<_>>())) {
                continue;
            }
            let is_of =
                |ending: &&str| name.strip_suffix(*ending).is_some_and(|family| self.kinds.contains_key(family));
            let ending = ["_bucket", "_count", "_sum"].into_iter().find(is_of).unwrap_or_default();
            let family = &name[..name.len() - ending.len()];
            if typed.insert(family) {
                let kind = self.kinds.get(family).map_or("untyped", String::as_str);
                let _ = writeln!(text, "# TYPE {family} {kind}");
            }
            let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels: Vec<_> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{labels} 0");
        }
        text
    }

    fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        self.labels_of(name).filter_map(|labels| labels.get(label)).map(String::as_str).collect()
    }

    fn label_names(&self, name: &str) -> BTreeSet<&str> {
        self.labels_of(name).flat_map(BTreeMap::keys).map(String::as_str).filter(|label| *label != "le").collect()
    }
}

/// Why series of a name that is written in quotes are left out.
fn left_out(text: &str, name: &str, count: usize) -> String {
    let written = format!("{name:?}");
    let line = text.lines().position(|line| !line.starts_with('#') && line.contains(&written)).map_or(0, |at| at + 1);
    format!(
        "{LEFT_OUT}: line {line} has {written}, and of such series there are {count}. Prometheus takes them from 3.0 on, where an older one refuses the whole \
         answer; nothing that is written here asks for them"
    )
}

/// So begins what is said of names that are written in quotes.
pub(super) const LEFT_OUT: &str = "names in quotes are left out";

/// Everything that can be told of an exposition.
pub(super) fn guess(exposed: &Exposed) -> Guess {
    let mut guess = Guess { recorded: exposed.recorded(), ..Guess::default() };
    guess.why.extend(exposed.left_out.clone());
    requests(exposed, &mut guess);
    latency(exposed, &mut guess);
    errors(exposed, &mut guess);
    build(exposed, &mut guess);
    let start = "process_start_time_seconds";
    if exposed.labels_of(start).next().is_some() {
        guess.process_start = Some(start.to_owned());
        guess.why.push(format!("process_start = {start}: a restart shows in it"));
    }
    guess
}

/// A family that may count requests: what its labels hold, and how much speaks for it.
struct Candidate {
    metric: Metric,
    points: i32,
}

fn requests(exposed: &Exposed, guess: &mut Guess) {
    let counters = exposed.families("counter").map(str::to_owned);
    let counted = exposed.families("histogram").chain(exposed.families("summary")).map(|name| format!("{name}_count"));
    let mut candidates: Vec<Candidate> = counters.chain(counted).filter_map(|name| candidate(exposed, &name)).collect();
    candidates
        .sort_by(|one, other| other.points.cmp(&one.points).then_with(|| one.metric.name.cmp(&other.metric.name)));
    let others: Vec<String> = candidates.iter().skip(1).take(3).map(|one| one.metric.name.clone()).collect();
    let Some(Candidate { mut metric, .. }) = candidates.into_iter().next() else {
        guess.silent = silent(exposed);
        return;
    };
    let told = |label: &Option<String>| label.clone().unwrap_or_else(|| "none".to_owned());
    let (method, route, code) = (told(&metric.method), told(&metric.route), told(&metric.code));
    let beside = if others.is_empty() { String::new() } else { format!("; not {}", others.join(", ")) };
    let untyped = if exposed.untyped.contains(&metric.name) { "it has no TYPE, and is one by its name; " } else { "" };
    let why = format!(
        "[requests] counter = {}: {untyped}labels by what they hold: method {method}, route {route}, code {code}{beside}",
        metric.name
    );
    guess.why.push(why);
    only(exposed, &mut metric, guess);
    if let Some(route) = &metric.route {
        routes(exposed, &metric, route, guess);
    }
    guess.requests = Some(metric);
}

/// A counter of what goes wrong may stay without a series for good: it is not waited for.
fn silent(exposed: &Exposed) -> Vec<String> {
    let rare = ["error", "exception", "fail", "fault", "reject", "drop", "retr", "timeout", "cancel", "abort"];
    let counts = |name: &&str| name.contains("request") && !rare.iter().any(|word| name.contains(word));
    exposed.families("counter").filter(counts).map(str::to_owned).collect()
}

fn candidate(exposed: &Exposed, name: &str) -> Option<Candidate> {
    exposed.labels_of(name).next()?;
    let mut metric = labels(exposed, name);
    let words = ["request", "http", "call", "response"];
    let of_name: i32 = words.iter().map(|word| i32::from(name.contains(word))).sum();
    let has = |label: &Option<String>| i32::from(label.is_some());
    if has(&metric.code) + has(&metric.method) + has(&metric.route) == 0 && !name.contains("requests_total") {
        return None;
    }
    // A counter of its own is meant for it; what a histogram counts is as exact.
    let is_own = i32::from(!name.ends_with("_count"));
    let of_sizes = i32::from(name.contains("size") || name.contains("bytes"));
    // Round trips, and not the time to the first byte of an answer.
    let of_answers = i32::from(name.contains("response"));
    let points = 6 * has(&metric.code) + 4 * has(&metric.route) + 3 * has(&metric.method) + 2 * of_name + is_own
        - 9 * of_sizes
        - 3 * of_answers;
    metric.by_class = metric.code.as_ref().is_some_and(|code| exposed.values(name, code).iter().any(|v| is_class(v)));
    Some(Candidate { metric, points })
}

/// Which label is which, by what they hold.
fn labels(exposed: &Exposed, name: &str) -> Metric {
    let mut metric =
        Metric { name: name.to_owned(), method: None, route: None, code: None, by_class: false, only: BTreeMap::new() };
    for label in exposed.label_names(name) {
        let values = exposed.values(name, label);
        let all = |is: fn(&str) -> bool| values.iter().all(|value| is(value));
        let place = if all(|value| is_code(value) || is_class(value)) {
            &mut metric.code
        } else if all(is_method) {
            &mut metric.method
        } else if values.iter().any(|value| value.starts_with('/')) {
            &mut metric.route
        } else {
            continue;
        };
        place.get_or_insert_with(|| label.to_owned());
    }
    metric
}

/// Labels that tell apart what is no request's: of each the value that counted most.
fn only(exposed: &Exposed, metric: &mut Metric, guess: &mut Guess) {
    let known = [&metric.method, &metric.route, &metric.code].map(|label| label.clone().unwrap_or_default());
    for label in exposed.label_names(&metric.name) {
        if known.iter().any(|known| known == label) {
            continue;
        }
        let mut counted: BTreeMap<&str, f64> = BTreeMap::new();
        for (labels, value) in exposed.of(&metric.name) {
            *counted.entry(labels.get(label).map_or("", String::as_str)).or_default() += value;
        }
        let most = counted.iter().max_by(|one, other| one.1.total_cmp(other.1)).map(|(value, _)| (*value).to_owned());
        let Some(most) = most.filter(|most| !most.is_empty()) else { continue };
        if !is_writable(&most) {
            guess.why.push(format!(
                "[requests.only] {label} is left out: {most:?}, which counted most, can't be written into a rule"
            ));
            continue;
        }
        if counted.len() > MANY_VALUES {
            let what =
                format!("[requests.only] {label} is left out: it has {} values, which count together", counted.len());
            guess.why.push(what);
            continue;
        }
        let others: Vec<&str> = counted.keys().copied().filter(|value| *value != most).take(4).collect();
        let which = if others.is_empty() {
            "the only value there is".to_owned()
        } else {
            format!("it counted most; the others are {}: is a request in more than one of them?", others.join(", "))
        };
        guess.why.push(format!("[requests.only] {label} = {most}: {which}"));
        metric.only.insert(label.to_owned(), most);
    }
}

fn routes(exposed: &Exposed, metric: &Metric, route: &str, guess: &mut Guess) {
    guess.all_routes = exposed.values(&metric.name, route).into_iter().map(str::to_owned).collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let raw = guess.all_routes.iter().find(|route| route.contains('?') || route.split('/').any(is_number));
    if let Some(raw) = raw {
        guess.why.push(format!("`{route}` holds paths as they were asked for, like {raw}: there is a series for each"));
    } else if guess.all_routes.len() > MANY_ROUTES {
        let count = guess.all_routes.len();
        guess.why.push(format!("`{route}` has {count} values: are they paths as they were asked for?"));
    }
    let is_good = |labels: &BTreeMap<String, String>| {
        let at = |label: &Option<String>| label.as_ref().and_then(|label| labels.get(label));
        at(&metric.method).is_none_or(|method| method.eq_ignore_ascii_case("GET"))
            && at(&metric.code).is_none_or(|code| code.starts_with('2'))
    };
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-._~@+=,".contains(c);
    let is_plain = |route: &&String| {
        route.starts_with('/')
            && !route.starts_with("//")
            && route.chars().all(is_path)
            && !route.split('/').any(|part| is_number(part) || part == "..")
    };
    let good = exposed.labels_of(&metric.name).filter(|labels| is_good(labels)).filter_map(|labels| labels.get(route));
    let good: BTreeSet<&String> = good.filter(is_plain).collect();
    guess.routes = good.into_iter().cloned().collect();
}

fn latency(exposed: &Exposed, guess: &mut Guess) {
    let words = ["duration", "latency", "seconds", "request"];
    let of_time = |name: &&str| ["duration", "latency", "seconds", "time"].iter().any(|word| name.contains(word));
    let points = |name: &str| {
        let same = guess.requests.as_ref().is_some_and(|requests| requests.name == format!("{name}_count"));
        let named: i32 = words.iter().map(|word| i32::from(name.contains(word))).sum();
        named + 4 * i32::from(same) - 2 * i32::from(name.contains("response"))
    };
    let found: Vec<&str> = exposed.families("histogram").filter(of_time).collect();
    let in_millis = |name: &str| name.ends_with("_ms") || name.contains("millis");
    if let Some(name) = found.iter().find(|name| in_millis(name)) {
        guess.why.push(format!("no [latency] of {name}: bounds are read as seconds, and these are milliseconds"));
    }
    let best = found.into_iter().filter(|name| !in_millis(name)).max_by_key(|name| points(name));
    let Some(name) = best else { return };
    let counted = labels(exposed, &format!("{name}_count"));
    let of_requests = guess.requests.as_ref().map(|requests| requests.only.clone()).unwrap_or_default();
    let names = exposed.label_names(&format!("{name}_count"));
    let has: BTreeMap<_, _> = of_requests.into_iter().filter(|(label, _)| names.contains(label.as_str())).collect();
    let by_class = guess.requests.as_ref().is_some_and(|requests| requests.by_class) && counted.code.is_some();
    guess.why.push(format!("[latency] histogram = {name}: a histogram of time, by its name"));
    guess.latency = Some(Metric { name: name.to_owned(), only: has, by_class, ..counted });
}

fn errors(exposed: &Exposed, guess: &mut Guess) {
    let words = ["error", "exception", "failure", "fault"];
    let requests = guess.requests.as_ref().map(|requests| requests.name.clone()).unwrap_or_default();
    let begins = requests.split('_').next().unwrap_or_default();
    let is_it = |name: &&str| {
        *name != requests
            && !begins.is_empty()
            && name.starts_with(begins)
            && words.iter().any(|word| name.contains(word))
    };
    let Some(name) = exposed.families("counter").find(is_it) else { return };
    guess.why.push(format!("[errors] counter = {name}: by its name. It is held against the answers of 500 and above; take it out if it counts anything else"));
    let none = || None;
    guess.errors = Some(Metric {
        name: name.to_owned(),
        method: none(),
        route: none(),
        code: none(),
        by_class: false,
        only: BTreeMap::new(),
    });
}

fn build(exposed: &Exposed, guess: &mut Guess) {
    let Some(name) = exposed.families("gauge").find(|name| name.ends_with("_build_info")) else { return };
    let labels = exposed.label_names(name);
    let version = labels.contains("version").then(|| "version".to_owned());
    guess.why.push(format!("[build] info = {name}: by its name"));
    guess.build = Some(Build { info: name.to_owned(), version, revision: None });
}

/// Whether YAML and TOML have it as it is: no character that moves the cursor or ends a line.
fn is_writable(value: &str) -> bool {
    !value.contains(|c: char| c.is_control() || ['\u{2028}', '\u{2029}', '\u{feff}'].contains(&c))
}

fn is_code(value: &str) -> bool {
    value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit()) && ("100".."600").contains(&value)
}

fn is_class(value: &str) -> bool {
    value.len() == 3 && value.ends_with("xx") && value.starts_with(|c: char| c.is_ascii_digit())
}

fn is_method(value: &str) -> bool {
    METHODS.iter().any(|method| value.eq_ignore_ascii_case(method)) || value.eq_ignore_ascii_case("other")
}
