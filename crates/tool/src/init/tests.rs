use super::guess::{Exposed, Guess, guess};
use super::written::{Asked, files};
use super::*;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::scenario::Scenario;

fn guessed(text: &str) -> Guess {
    guess(&Exposed::new(text, exposition::parse(text).expect("an exposition")))
}

fn written(guess: &Guess) -> BTreeMap<PathBuf, String> {
    let address = "http://127.0.0.1:5000".parse().expect("an address");
    files(&Asked { job: "shop", address: &address, monitoring: None, metrics: "/metrics", ready: "/healthz" }, guess)
}

fn service(guess: &Guess) -> Service {
    let files = written(guess);
    let text = &files[Path::new(aiclipx_model::service::FILE)];
    Service::from_text(text).unwrap_or_else(|findings| panic!("{findings:#?}\n{text}"))
}

/// As Python's client exposes a Flask application of somebody's.
const PYTHON: &str = "\
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation=\"0\"} 300
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1700000000
# TYPE shop_requests_total counter
shop_requests_total{endpoint=\"/\",http_status=\"200\",method=\"GET\"} 3
shop_requests_total{endpoint=\"/items\",http_status=\"500\",method=\"POST\"} 2
shop_requests_total{endpoint=\"/items/7\",http_status=\"200\",method=\"GET\"} 1
# TYPE shop_latency_seconds histogram
shop_latency_seconds_bucket{endpoint=\"/\",le=\"0.1\"} 3
shop_latency_seconds_bucket{endpoint=\"/\",le=\"+Inf\"} 3
shop_latency_seconds_sum{endpoint=\"/\"} 0.1
shop_latency_seconds_count{endpoint=\"/\"} 3
# TYPE shop_errors_total counter
shop_errors_total 2
# TYPE shop_build_info gauge
shop_build_info{version=\"1.2\"} 1
";

/// As a server of Go's, whose handlers each count, and whose plain counter tells nothing apart.
const GO: &str = "\
# TYPE go_memstats_frees_total counter
go_memstats_frees_total 12
# TYPE promhttp_metric_handler_requests_total counter
promhttp_metric_handler_requests_total{code=\"200\"} 4
# TYPE web_requests_total counter
web_requests_total{handler=\"inner\"} 9
web_requests_total{handler=\"outer\"} 12
# TYPE web_request_duration_seconds histogram
web_request_duration_seconds_bucket{code=\"200\",handler=\"inner\",method=\"get\",le=\"+Inf\"} 9
web_request_duration_seconds_sum{code=\"200\",handler=\"inner\",method=\"get\"} 1
web_request_duration_seconds_count{code=\"200\",handler=\"inner\",method=\"get\"} 9
web_request_duration_seconds_bucket{code=\"200\",handler=\"outer\",method=\"get\",le=\"+Inf\"} 12
web_request_duration_seconds_sum{code=\"200\",handler=\"outer\",method=\"get\"} 1
web_request_duration_seconds_count{code=\"200\",handler=\"outer\",method=\"get\"} 12
# TYPE web_response_size_bytes histogram
web_response_size_bytes_bucket{code=\"200\",handler=\"outer\",method=\"get\",le=\"+Inf\"} 12
web_response_size_bytes_sum{code=\"200\",handler=\"outer\",method=\"get\"} 1
web_response_size_bytes_count{code=\"200\",handler=\"outer\",method=\"get\"} 12
";

/// Labels of anybody's making: paths that are none, what ends a line or a text.
const AWKWARD: &str = "\
# TYPE hits counter
hits{path=\"//evil.example/x\",code=\"200\",zone=\"a\\nb\",who=\"\u{2028}\",of=\"ü \\\"q\\\" \\\\\"} 30
hits{path=\"/a\\nb\",code=\"200\",zone=\"a\\nb\",who=\"\u{7f}\",of=\"ü \\\"q\\\" \\\\\"} 1
hits{path=\"/a\\\"b\",code=\"200\",zone=\"a\\nb\",who=\"\u{7f}\",of=\"ü \\\"q\\\" \\\\\"} 1
hits{path=\"/../etc\",code=\"200\",zone=\"c\",who=\"\u{7f}\",of=\"x\"} 1
hits{path=\"/größe\",code=\"200\",zone=\"c\",who=\"\u{7f}\",of=\"x\"} 1
hits{path=\"/%zz\",code=\"200\",zone=\"c\",who=\"\u{7f}\",of=\"x\"} 1
hits{path=\"/fine\",code=\"200\",zone=\"c\",who=\"\u{7f}\",of=\"x\"} 1
";

/// As `OpenMetrics` has it, exemplars and all.
const OPEN: &str = "\
# TYPE shop_requests counter
# UNIT shop_requests requests
shop_requests_total{code=\"200\",method=\"get\"} 3 # {trace_id=\"a # b\"} 1 1600000000.25
shop_requests_created{code=\"200\",method=\"get\"} 1600000000.25
# TYPE shop_build info
shop_build_info{version=\"1\"} 1
# TYPE shop_duration_seconds histogram
shop_duration_seconds_bucket{le=\"+Inf\"} 3 # {trace_id=\"c\"} 0.5
shop_duration_seconds_count 3
shop_duration_seconds_sum 0.5
# EOF
";

/// A histogram, and no counter of its own.
const TIMES: &str = "\
# TYPE handling_seconds histogram
handling_seconds_bucket{le=\"+Inf\"} 3
handling_seconds_count 3
handling_seconds_sum 0.5
";

const ALL: [&str; 5] = [PYTHON, GO, AWKWARD, OPEN, TIMES];

#[test]
fn a_first_scenario_asks_for_paths_alone_and_a_rule_names_what_can_be_written() {
    let found = guessed(AWKWARD);
    assert_eq!(found.routes, ["/fine"]);
    let only = service(&found).requests.expect("a counter").only;
    assert_eq!(only, [("of".to_owned(), "ü \"q\" \\".to_owned())].into());
    assert_eq!(
        found.why.iter().filter(|why| why.contains("can't be written into a rule")).count(),
        2,
        "{:#?}",
        found.why
    );
}

#[test]
fn openmetrics_names_are_those_of_the_series() {
    let service = service(&guessed(OPEN));
    let requests = service.requests.expect("a counter");
    assert_eq!((requests.name.as_str(), requests.code.as_deref()), ("shop_requests_total", Some("code")));
    assert_eq!(service.build.expect("what was built").info, "shop_build_info");
    assert_eq!(service.latency.expect("a histogram").name, "shop_duration_seconds");
}

/// However many series there are, what is kept of them is as long as what is known by name.
#[test]
fn what_is_recorded_has_a_series_of_each_kind() {
    let many: Vec<String> =
        (0..5000).map(|at| format!("shop_requests_total{{user=\"{at}\",code=\"200\"}} {at}\n")).collect();
    let many = many.concat();
    let found = guessed(&format!("# TYPE shop_requests_total counter\nshop_requests_total 1\n{many}"));
    let recorded = exposition::parse(&found.recorded).expect("it is read");
    assert_eq!(recorded.len(), 2, "{}", found.recorded);
    let only = service(&found).requests.expect("a counter").only;
    assert!(only.is_empty() && found.why.iter().any(|why| why.contains("it has 5001 values")), "{only:?}");
    for text in ALL {
        let (all, kept) = (exposition::parse(text).expect("it is read"), guessed(text).recorded);
        let kept = exposition::parse(&kept).unwrap_or_else(|error| panic!("{error:#}\n{kept}"));
        let names = |these: &exposition::Exposition| these.keys().map(|one| one.name.clone()).collect::<BTreeSet<_>>();
        assert_eq!(names(&all), names(&kept));
    }
}

/// Answers once, with this.
fn answering(answer: &str) -> Address {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = answer.to_owned();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        stream.write_all(answer.as_bytes()).expect("it is taken");
    });
    Address::loopback(port)
}

#[tokio::test]
async fn an_answer_that_is_no_metrics_says_what_it_is_and_what_to_do() {
    for (answer, told) in [
        (
            "HTTP/1.1 301 Moved\r\nlocation: https://shop.test/metrics\r\ncontent-length: 0\r\n\r\n",
            "to https://shop.test/metrics",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answers 404 Not Found"),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
            "it says that it is text/html",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nshop one\n", "`one` is no number"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\"http.requests_total\",code=\"200\"} 5",
            "names in quotes are left out: line 1 has \"http.requests_total\"",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "tells nothing of the service's requests"),
    ] {
        let (place, out) = (answering(answer), tempfile::tempdir().expect("a folder"));
        let failure = init(&format!("{place}/metrics"), None, "shop", out.path()).await.expect_err(told);
        let text = failure.to_string();
        assert!(text.contains(told) && text.contains("→"), "{text}");
        assert_eq!(std::fs::read_dir(out.path()).expect("a folder").count(), 0, "nothing is written");
    }
    let failure = init("https://127.0.0.1/metrics", None, "shop", Path::new("/nowhere")).await.expect_err("TLS");
    assert!(failure.to_string().contains("http://HOST:PORT"), "{failure}");
}

/// Two jobs of one name Prometheus refuses.
#[tokio::test]
async fn a_job_of_the_stack_s_is_refused() {
    let files = written(&guessed(PYTHON));
    let configuration = &files[Path::new("monitoring/prometheus/prometheus.yml")];
    let jobs: Vec<&str> = configuration.lines().filter_map(|line| line.trim().strip_prefix("- job_name: ")).collect();
    assert_eq!(jobs[0], "shop");
    assert_eq!(jobs[1..], TAKEN);
    for job in TAKEN {
        let failure = init("127.0.0.1:1", None, job, Path::new("/nowhere")).await.expect_err(job);
        assert!(failure.to_string().contains("--job shop"), "{failure}");
    }
}

#[test]
fn a_slow_answer_is_told_with_a_speed_at_which_it_is_in_time() {
    assert_eq!(slow(Duration::from_millis(250)), None);
    let told = |millis| slow(Duration::from_millis(millis)).expect("it is slow");
    assert!(told(1000).ends_with("--speed 7") && told(60_000).ends_with("--speed 1"), "{}", told(1000));
}

#[test]
fn labels_are_told_by_what_they_hold_and_raw_paths_by_their_numbers() {
    let found = guessed(PYTHON);
    let service = service(&found);
    let requests = service.requests.expect("a counter");
    assert_eq!(requests.name, "shop_requests_total");
    assert_eq!(requests.route.as_deref(), Some("endpoint"));
    assert_eq!(requests.code.as_deref(), Some("http_status"));
    assert_eq!(requests.method.as_deref(), Some("method"));
    let latency = service.latency.expect("a histogram");
    assert_eq!((latency.name.as_str(), latency.route.as_deref()), ("shop_latency_seconds", Some("endpoint")));
    assert_eq!(service.errors.expect("a counter").name, "shop_errors_total");
    assert_eq!(service.build.expect("what was built").version.as_deref(), Some("version"));
    assert_eq!(service.internal, ["/metrics", "/healthz"]);
    assert_eq!(found.routes, ["/"], "what failed, and what has a number in it, is no first route");
    assert!(found.why.iter().any(|why| why.contains("as they were asked for, like /items/7")), "{:#?}", found.why);
}

#[test]
fn of_several_counters_the_one_that_tells_most_is_taken_and_its_outermost_series() {
    let found = guessed(GO);
    let service = service(&found);
    let requests = service.requests.expect("a counter");
    assert_eq!(requests.name, "web_request_duration_seconds_count");
    assert_eq!(requests.only["handler"], "outer");
    assert_eq!(service.latency.expect("a histogram").only["handler"], "outer");
    assert!(service.internal.is_empty(), "without a route nothing can be left out by it");
    let why = found.why.join("\n");
    assert!(why.contains("the others are inner") && why.contains("not web_re"), "{why}");
}

#[test]
fn classes_of_codes_are_seen() {
    let text = "# TYPE http_requests_total counter\nhttp_requests_total{handler=\"/items/{id}\",status=\"2xx\",method=\"GET\"} 3\n";
    let requests = service(&guessed(text)).requests.expect("a counter");
    assert!(requests.by_class);
    assert_eq!(requests.key_for("GET", "/items/{id}", "204"), "GET /items/{id} 2xx");
}

#[test]
fn what_has_no_series_yet_is_told_and_programs_own_metrics_are_nobodys_requests() {
    let found = guessed(
        "# TYPE shop_requests_total counter\n# TYPE go_requests_total counter\ngo_requests_total{code=\"200\"} 1\n",
    );
    assert!(found.requests.is_none());
    let told = |found: &Guess| nothing(found, "http://h:1/metrics").map(|failure| failure.to_string());
    let failure = told(&found).expect("nothing is written");
    assert!(failure.contains("shop_requests_total at http://h:1/metrics has no series yet"), "{failure}");
    let failure = told(&guessed("# TYPE up gauge\nup 1\n")).expect("nothing is written");
    assert!(failure.contains("no counter and no histogram"), "{failure}");
    assert_eq!(told(&guessed(PYTHON)), None);
}

/// A histogram that has its buckets from the start is no reason to write a tree without the counter's labels; a counter of
/// errors that has no series is none to write nothing.
#[test]
fn a_counter_that_has_counted_nothing_yet_is_waited_for_and_one_of_errors_is_not() {
    let latency = "# TYPE shop_latency_seconds histogram\nshop_latency_seconds_bucket{le=\"+Inf\"} 0\n\
                   shop_latency_seconds_sum 0\nshop_latency_seconds_count 0\n";
    let told = |counter: &str| nothing(&guessed(&format!("{latency}# TYPE {counter} counter\n")), "http://h:1/metrics");
    let failure = told("shop_requests_total").expect("nothing is written").to_string();
    assert!(
        failure.contains("nothing was written: shop_requests_total") && failure.contains("\n  → send"),
        "{failure}"
    );
    assert!(told("shop_request_errors_total").is_none());
}

fn seen(texts: &[&str], guess: &Guess) -> Vec<Seen> {
    texts.iter().map(|text| Seen::of(text, guess)).collect()
}

#[test]
fn processes_that_take_turns_are_told_and_no_start_time_is_taken() {
    let mut found = guessed(PYTHON);
    let other = PYTHON.replace("1700000000", "1700000001");
    several(&seen(&[PYTHON, &other, PYTHON], &found), &mut found);
    assert_eq!(found.process_start, None);
    assert!(found.why.last().expect("a reason").contains("several processes answer in turn"));
    // By its counters, where both started in the same moment.
    let mut found = guessed(PYTHON);
    several(&seen(&[PYTHON, &PYTHON.replace("\"GET\"} 3", "\"GET\"} 1")], &found), &mut found);
    assert_eq!(found.process_start, None);
    let mut found = guessed(PYTHON);
    several(&seen(&[PYTHON, &PYTHON.replace("\"GET\"} 3", "\"GET\"} 4")], &found), &mut found);
    assert!(found.process_start.is_some(), "a counter that grows is one process's");
}

/// What is written is a tree: monitoring that is understood, and rendered at both speeds, and a scenario.
#[test]
fn everything_written_is_read_again() {
    for text in ALL {
        let guess = guessed(text);
        let files = written(&guess);
        let monitoring = files.iter().filter_map(|(path, text)| {
            Some((path.strip_prefix("monitoring").ok()?.to_owned(), text.clone().into_bytes()))
        });
        let monitoring = Monitoring::from_files(monitoring.collect()).unwrap_or_else(|found| panic!("{found:#?}"));
        let has_codes = guess.requests.is_some_and(|requests| requests.code.is_some());
        assert_eq!(
            monitoring.alerts().len(),
            2 + usize::from(has_codes),
            "ServiceDown, the Watchdog, and ServiceHighErrorShare where it can be known"
        );
        assert_eq!(monitoring.service().job, "shop");
        for speed in ["1", "30"] {
            let addresses = aiclipx_model::monitoring::addresses::Addresses::canonical();
            monitoring.render(&addresses, speed.parse().expect("a speed")).unwrap_or_else(|found| panic!("{found:#?}"));
        }
        let path = Path::new("scripts/traffic/01-first.toml");
        Scenario::from_text(path, &files[path]).unwrap_or_else(|found| panic!("{found:#?}"));
    }
}

/// What OWN.md sends people to `aiclipx check` with.
#[test]
fn check_finds_nothing_in_what_was_written() {
    for text in ALL {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in written(&guessed(text)) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
            std::fs::write(path, text).expect("it is written");
        }
        let found = aiclipx_tool::check::check(root.path()).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// A path is no pattern: `/-/ready.json` is that path, and no other that looks like it.
#[test]
fn what_probes_ask_for_is_left_out_by_its_own_name_in_rules_and_panels() {
    let address = "http://127.0.0.1:5000".parse().expect("an address");
    let asked = Asked { job: "shop", address: &address, monitoring: None, metrics: "/metrics", ready: "/-/ready.json" };
    let files = files(&asked, &guessed(PYTHON));
    let selector = r#"shop_requests_total{job="shop",endpoint!~"/metrics|/-/ready\\.json",http_status=~"5.."}"#;
    assert!(files[Path::new("monitoring/prometheus/rules/service.yml")].contains(selector), "{files:#?}");
    let panels = &files[Path::new("monitoring/grafana/dashboards/service.json")];
    assert!(panels.contains(&selector.replace('\\', r"\\").replace('"', r#"\""#)), "{panels}");
    // Without a path of its own nothing is left out.
    let asked = Asked { metrics: "/", ready: "/", ..asked };
    let bare = written::files(&asked, &guessed(PYTHON));
    assert!(!bare[Path::new("monitoring/prometheus/rules/service.yml")].contains("!~"));
}

/// Where its metrics are elsewhere both places are told, and Prometheus is sent to the second.
#[test]
fn metrics_elsewhere_are_scraped_there() {
    let address = "http://127.0.0.1:5000/api".parse().expect("an address");
    let monitoring = "127.0.0.1:5001".parse().expect("an address");
    let asked = Asked {
        job: "shop",
        address: &address,
        monitoring: Some(&monitoring),
        metrics: "/actuator/prometheus",
        ready: "/",
    };
    let files = files(&asked, &guessed(GO));
    let service = Service::from_text(&files[Path::new(aiclipx_model::service::FILE)]).expect("it is read");
    assert_eq!((service.monitoring, service.base.as_str()), (Some(monitoring), "/api"));
    assert!(files[Path::new("monitoring/prometheus/targets/app.json")].contains("app:5001"));
    assert!(
        files[Path::new("monitoring/prometheus/prometheus.yml")].contains("metrics_path: \"/actuator/prometheus\"\n")
    );
}

/// As Prometheus takes it: what has no type is called by its name alone; a name in quotes is one of Prometheus 3's.
#[test]
fn a_counter_without_a_type_is_one_by_its_name_and_names_in_quotes_are_left_out_with_their_line() {
    let text =
        PYTHON.replace("# TYPE shop_requests_total counter\n", "") + "{\"http.requests_total\",code=\"200\"} 5\n";
    let found = guessed(&text);
    assert_eq!(service(&found).requests.expect("a counter").name, "shop_requests_total");
    let why = found.why.join("\n");
    assert!(why.contains("it has no TYPE, and is one by its name; labels by"), "{why}");
    assert!(why.contains("line 17 has \"http.requests_total\", and of such series there are 1"), "{why}");
    assert!(
        found.recorded.contains("# TYPE shop_requests_total untyped\n") && !found.recorded.contains("http.requests")
    );
}

#[test]
fn what_is_in_the_way_is_told_as_what_it_is_and_nothing_is_written() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    symlink("nowhere", at("dangling")).expect("a link");
    std::fs::write(at("file"), "").expect("a file");
    symlink(at("file"), at("to-file")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    std::fs::create_dir(at("folder")).expect("a folder");
    symlink(at("folder"), at("to-folder")).expect("a link");
    for (name, says) in [
        ("dangling", "is a link that leads nowhere: there is no nowhere"),
        ("file", "is a file, and must be a folder"),
        ("to-file", "leads to a file, and must be a folder"),
        ("socket", "is a socket"),
        ("pipe", "is a named pipe (FIFO)"),
    ] {
        let told = in_the_way(&at(name).join("monitoring/service.toml")).expect(name);
        assert!(told.contains(says) && told.contains(name), "{told}");
    }
    for free in ["folder", "to-folder", "new"] {
        assert_eq!(in_the_way(&at(free).join("monitoring/service.toml")), None, "{free}");
    }
}

#[test]
fn a_path_is_told_as_a_shell_takes_it() {
    for (path, told) in [
        ("shop", "shop"),
        ("-shop", "./-shop"),
        ("a b/c\"d", "'a b/c\"d'"),
        ("../it's", "\"../it's\""),
        ("$HOME", "'$HOME'"),
    ] {
        assert_eq!(for_a_shell(Path::new(path)), told);
    }
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("monitoring/service.toml");
    assert!(write_new(&path, "first").expect("it is written"));
    assert!(!write_new(&path, "second").expect("it stays"));
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "first");
}
