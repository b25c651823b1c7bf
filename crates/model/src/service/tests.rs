use super::*;

/// A service with as little as there can be.
const LEAST: &str = "job = \"shop\"\naddress = \"http://127.0.0.1:5000/api\"\n";

fn read(text: &str) -> Service {
    Service::from_text(text).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// Line and words of everything that is wrong.
fn refused(text: &str) -> Vec<(usize, String)> {
    let findings = Service::from_text(text).expect_err("it is wrong");
    findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_left_out_is_not_there_and_the_reason_names_its_section() {
    let service = read(LEAST);
    assert_eq!((&*service.ready, &*service.metrics, &*service.base), ("/", "/metrics", "/api"));
    for part in [Part::Requests, Part::Latency, Part::Errors, Part::RequestId, Part::Faults, Part::Log, Part::Build] {
        let why = service.without(part).expect("it is not there");
        assert!(why.starts_with("the service has no ") && why.contains("monitoring/service.toml has no ["), "{why}");
        assert_eq!(Service::ours().without(part), None, "{part:?}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = r#"job = ""
ready = "health"
own_listener = true
internal = ["metrics"]
process_start = "1st"
colour = "red"

[start]
program = "server"
arguments = ["--listen={adress}"]

[requests]
counter = "http-requests"
code = "code!"

[latency]
histogram = "latency"
bucket = "le"

[request_id]
header = "x request"

[log]
format = "text"
time = "ts"
"#;
    let found = refused(text);
    for (line, what) in [
        (1, "`job` is what"),
        (2, "`health` is no path"),
        (4, "a route begins with a slash"),
        (4, "[requests] tells no `route`"),
        (5, "`1st` is no metric's name"),
        (6, "a service has no key `colour`"),
        (8, "nothing tells the program where to listen"),
        (8, "nothing tells the program where to listen to the monitoring"),
        (10, "nothing is put in the place of {adress}"),
        (13, "`http-requests` is no metric's name"),
        (14, "`code!` is no label's name"),
        (18, "latency has no key `bucket`"),
        (21, "`x request` is no header's name"),
        (23, "log needs `request_id`"),
        (23, "log needs `status`"),
        (24, "a log is read as json"),
    ] {
        let is_told = found.iter().any(|(at, told)| *at == line && told.starts_with(what));
        assert!(is_told, "{line}: {what} is not in {found:#?}");
    }
    assert_eq!(found.len(), 16, "{found:#?}");
}

#[test]
fn somebody_starts_it_and_not_two() {
    assert!(refused("job = \"shop\"\n")[0].1.contains("a [start], or an `address`"));
    let both = format!("{LEAST}[start]\nprogram = \"x\"\narguments = [\"{{port}}\"]\n");
    assert!(refused(&both)[0].1.contains("a [start], or an `address`"));
    let apart = read(&format!("{LEAST}monitoring = \"127.0.0.1:5001\"\n"));
    assert_eq!(apart.monitoring, Some("127.0.0.1:5001".parse().expect("an address")));
    let chosen = refused("job = \"shop\"\nmonitoring = \"a:1\"\n[start]\nprogram = \"x\"\narguments = [\"{port}\"]\n");
    assert!(chosen[0].1.contains("own_listener = true"), "{chosen:?}");
    let tls = refused("job = \"shop\"\naddress = \"https://shop.test/\"\n");
    assert!(tls[0].1.contains("TLS"), "{tls:?}");
}

#[test]
fn braces_that_are_the_programs_own_stay() {
    let started = read("job = \"shop\"\n[start]\nprogram = \"x\"\narguments = [\"{\\\"a\\\": {}}\", \":{port}\"]\n");
    assert_eq!(started.start.expect("it is started").arguments, ["{\"a\": {}}", ":{port}"]);
}

#[test]
fn a_series_and_a_request_are_told_alike_by_whatever_labels_there_are() {
    let of = |text: &str| {
        let service =
            read(&format!("{LEAST}internal = [\"/metrics\", \"/health/*\"]\n[requests]\ncounter = \"c\"\n{text}"));
        let metric = service.requests.clone().expect("a counter");
        (service, metric)
    };
    let (service, metric) = of("method = \"m\"\nroute = \"r\"\ncode = \"c\"\n");
    let series = labels(&[("m", "get"), ("r", "/items"), ("c", "200"), ("instance", "a:1")]);
    assert_eq!(service.key_of(&metric, &series).as_deref(), Some("GET /items 200"));
    assert_eq!(metric.key_for("GET", "/items", "200"), "GET /items 200");
    for internal in ["/metrics", "/health/live", "/health/"] {
        let series = labels(&[("m", "GET"), ("r", internal), ("c", "200")]);
        assert_eq!(service.key_of(&metric, &series), None, "{internal}");
    }
    assert!(!service.is_internal("/metrics/more") && !service.is_internal("/health"));

    let (service, metric) = of("route = \"r\"\ncode = \"c\"\nby_class = true\nonly = { server = \"one\" }\n");
    let series = labels(&[("server", "one"), ("r", "/"), ("c", "5xx")]);
    assert_eq!(service.key_of(&metric, &series), Some(metric.key_for("GET", "/", "503")));
    assert_eq!(service.key_of(&metric, &labels(&[("server", "two"), ("r", "/"), ("c", "5xx")])), None);
    assert_eq!(metric.selector("shop", "", &[]), "c{job=\"shop\",server=\"one\"}");
    assert_eq!(
        metric.selector("shop", "_bucket", &[("le", "=", "+Inf")]),
        "c_bucket{job=\"shop\",server=\"one\",le=\"+Inf\"}"
    );
    assert_eq!(metric.told_by(), "by route, status: it has no label of method");
}

#[test]
fn a_counter_without_labels_counts_everything_as_one() {
    let service = read(&format!("{LEAST}[requests]\ncounter = \"c\"\n"));
    let metric = service.requests.clone().expect("a counter");
    assert_eq!(service.key_of(&metric, &labels(&[("job", "shop")])).as_deref(), Some("requests"));
    assert_eq!(metric.key_for("GET", "/", "200"), "requests");
}

#[test]
fn our_own_has_the_names_that_bundles_of_before_were_judged_by() {
    let ours = Service::ours();
    assert!(ours.is_ours());
    let requests = ours.requests.as_ref().expect("a counter");
    assert_eq!(requests.selector(&ours.job, "", &[]), r#"app_requests_total{job="app"}"#);
    let latency = ours.latency.as_ref().expect("a histogram");
    assert_eq!(
        latency.selector(&ours.job, "_bucket", &[("le", "=", "+Inf")]),
        r#"app_request_latency_seconds_bucket{job="app",le="+Inf"}"#
    );
    for route in ["/metrics", "/health/live", "/health/ready"] {
        assert!(ours.is_internal(route), "{route}");
    }
    assert!(!ours.is_internal("/") && !ours.is_internal("/items") && !ours.is_internal("unmatched"));
}
