//! A stretch of a test's time as it is lived: on a clock that runs k times faster, between the moment from which rules are
//! evaluated and the one at which its series end. What is loaded for it, and what is sent, follow from here and nothing else.
//!
//! Rules are evaluated as promtool does it: all of them in one group, in its order, at the test's own interval; groups side by
//! side would read each other's results up to an interval late, which no test can tell from an alert that is late. Samples go in
//! by Prometheus' receiver of remote writes, with the labels, the gaps and the marks of staleness that the test gives them:
//! history is what lies before the first evaluation, and what lies ahead nobody sees before its time.

use std::time::Duration;

use promql_parser::parser::Expr;
use promql_parser::parser::value::ValueType;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reading::Texts;
use super::rules::Rule;
use super::series::{InputSeries, Item, goes_on};
use super::tests::TestGroup;
use crate::monitoring::prometheus_flags;
use crate::monitoring::promql;
use crate::monitoring::promql::clock::{ORIGIN, awaited, on_clock};
use aiclipx_base::address::Address;
use aiclipx_base::duration::{self, Speed};

/// Is there while rules are to give something.
pub const LIVES: &str = "drill:lives";
/// Is recorded at every evaluation, whether rules give something or not.
pub const EVALUATED: &str = "drill:evaluated";

/// When what is lived. Times are milliseconds of the test's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    pub speed: Speed,
    /// From one evaluation to the next.
    pub step_ms: i64,
    /// The first evaluation; all before it is history.
    pub begins_ms: i64,
    /// The last time that the test asks about. From here on series go on as they last did, until who is to be told is told.
    pub asked_until_ms: i64,
    /// From here on there are none.
    pub ends_ms: i64,
    /// The last evaluation that counts.
    pub over_ms: i64,
    /// Whether what was of the series is deleted when they end: as if the longest window of the rules had passed.
    pub forgets: bool,
}

impl Stretch {
    /// How long a time of the test really takes.
    pub fn real_ms(&self, test_ms: i64) -> i64 {
        test_ms / i64::from(self.speed.factor())
    }

    /// How much of the test's time so much real time is.
    pub fn test_ms(&self, real_ms: i64) -> i64 {
        real_ms * i64::from(self.speed.factor())
    }

    /// When this is, where the test began at `origin_ms`.
    pub fn at(&self, origin_ms: i64, test_ms: i64) -> i64 {
        origin_ms + self.real_ms(test_ms)
    }

    /// The evaluation whose result promtool takes for a time.
    pub fn evaluation_of(&self, test_ms: i64) -> i64 {
        test_ms - test_ms.rem_euclid(self.step_ms)
    }

    /// Every evaluation that counts.
    pub fn evaluations(&self) -> impl Iterator<Item = i64> + use<> {
        let (step, last) = (self.step_ms, self.over_ms);
        std::iter::successors(Some(self.begins_ms), move |at| Some(at + step)).take_while(move |at| *at <= last)
    }
}

/// Why rules can't be lived at a speed, with file and line.
pub fn unlived<'a>(rules: impl IntoIterator<Item = &'a Rule>, speed: Speed) -> Vec<String> {
    rules.into_iter().filter_map(|rule| lived_rule(rule, speed).err()).flatten().collect()
}

/// The rules as Prometheus loads them, in a group of that name, without those that can't be lived.
pub fn rules_file(rules: &[Rule], stretch: &Stretch, group: &str) -> String {
    let mut lived = vec![json!({ "record": EVALUATED, "expr": "vector(1)" })];
    lived.extend(rules.iter().filter_map(|rule| lived_rule(rule, stretch.speed).ok()));
    let interval = printed(stretch.real_ms(stretch.step_ms));
    let file = json!({ "groups": [{ "name": group, "interval": interval, "rules": lived }] });
    pretty(&file)
}

/// An expression on the clock of a drill, without what waits for its beginning.
pub fn lived_expr(rule: &Rule, speed: Speed) -> Result<Expr, Vec<String>> {
    let place = |why: String| format!("{}:{}: {why}", rule.file.display(), rule.line);
    let mut expr = rule.tree().map_err(|why| vec![why])?;
    promql::divide(&mut expr, speed).map_err(|all| all.into_iter().map(place).collect::<Vec<_>>())?;
    on_clock(expr, speed).map_err(|why| vec![place(why)])
}

fn lived_rule(rule: &Rule, speed: Speed) -> Result<Value, Vec<String>> {
    let expr = lived_expr(rule, speed)?;
    let text = promql::print(&expr);
    let vector = if expr.value_type() == ValueType::Scalar { format!("vector({text})") } else { format!("({text})") };
    let mut refused = Vec::new();
    let place = format!("{}:{}", rule.file.display(), rule.line);
    let within = match rule.limit {
        0 => String::new(),
        // A rule that gives more than its group's `limit` gives nothing at all.
        limit => format!(" and on() (count({vector}) <= {limit})"),
    };
    let expr = format!("{vector}{within} and on() {LIVES}");
    if rule.limit > 0 && rule.alert.as_ref().is_some_and(|alert| !alert.keep_firing_for.is_zero()) {
        refused.push(format!("{place}: the `limit` of its group counts what is kept firing, too, which is not lived"));
    }
    let mut divided = |key: &str, duration: Duration| {
        let real = speed.real(duration).map_err(|why| refused.push(format!("{place}: {key}: {why}")));
        duration::print(real.unwrap_or_default())
    };
    let Some(alert) = &rule.alert else {
        return Ok(json!({ "record": rule.name, "expr": expr, "labels": rule.labels }));
    };
    let mut lived = json!({
        "alert": rule.name, "expr": expr, "labels": rule.labels, "annotations": alert.annotations,
        "for": divided("for", alert.hold),
    });
    if !alert.keep_firing_for.is_zero() {
        lived["keep_firing_for"] = json!(divided("keep_firing_for", alert.keep_firing_for));
    }
    for text in rule.labels.values().chain(alert.annotations.values()) {
        // What a template asks, it asks of the drill's Prometheus, in its own words.
        if asks(text) {
            refused.push(format!("{place}: a template asks a query of its own, which is not lived"));
        }
    }
    if refused.is_empty() { Ok(lived) } else { Err(refused) }
}

/// Whether a template asks Prometheus something: `query` within an action.
fn asks(template: &str) -> bool {
    let actions = template.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '$' || c == '/';
    let mut words = actions.flat_map(|action| action.split(move |c| !is_of_a_word(c)));
    words.any(|word| word == "query")
}

/// Prometheus' configuration: nobody is scraped, rules are evaluated, and one Alertmanager is told.
pub fn prometheus_file(group: &TestGroup, stretch: &Stretch, rules: &str, alertmanager: &Address) -> String {
    pretty(&json!({
        "global": {
            "evaluation_interval": printed(stretch.real_ms(stretch.step_ms)),
            "external_labels": group.external_labels,
        },
        "rule_files": [rules],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [alertmanager.to_string()] }] }] },
        // What was recorded before the first evaluation is sent behind what comes later.
        "storage": { "tsdb": { "out_of_order_time_window": "1d" } },
    }))
}

/// The flags that go with it.
pub fn prometheus_arguments(group: &TestGroup, stretch: &Stretch) -> Vec<String> {
    let mut flags = prometheus_flags(stretch.speed);
    flags.extend(["--web.enable-remote-write-receiver", "--web.enable-admin-api"].map(str::to_owned));
    if !group.external_url.is_empty() {
        flags.push(format!("--web.external-url={}", group.external_url));
        flags.push("--web.route-prefix=/".to_owned());
    }
    flags
}

/// What is sent of a series: Unix milliseconds and values, none for the mark of staleness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    pub labels: Texts,
    pub samples: Vec<(i64, Option<Number>)>,
}

/// A value as text, so that no NaN and no last bit is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub String);

impl Number {
    pub fn of(value: f64) -> Number {
        Number(value.to_string())
    }

    pub fn value(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

/// All that is sent for a stretch of a test that began at `origin_ms`: its series, what ends the absences that `rules` wait for,
/// and the drill's own.
pub fn sent(group: &TestGroup, rules: &[Rule], stretch: &Stretch, origin_ms: i64) -> Vec<Sent> {
    let interval_ms = millis(group.interval);
    let at = |test_ms| stretch.at(origin_ms, test_ms);
    let series = group.series.iter().filter_map(|one| one.as_ref().ok());
    let mut all: Vec<Sent> = series.map(|one| of_series(one, interval_ms, stretch, &at)).collect();
    let steps = |from: i64| (from..=stretch.over_ms).step_by(usize::try_from(stretch.step_ms).unwrap_or(1));
    let constant = |labels: Texts, from: i64, value: f64| Sent {
        labels,
        samples: steps(from).map(|test_ms| (at(test_ms), Some(Number::of(value)))).collect(),
    };
    let own = |name: &str| Texts::from([("__name__".to_owned(), name.to_owned())]);
    let mut awaited: Vec<Texts> =
        rules.iter().filter_map(|rule| rule.tree().ok()).flat_map(|expr| awaited(&expr)).collect();
    awaited.sort();
    awaited.dedup();
    for labels in awaited {
        match all.iter_mut().find(|one| one.labels == labels) {
            Some(one) => one.samples.extend(constant(labels, stretch.ends_ms + stretch.step_ms, 1.0).samples),
            None => all.push(constant(labels, stretch.ends_ms + stretch.step_ms, 1.0)),
        }
    }
    #[allow(clippy::cast_precision_loss)] // milliseconds of this century
    all.push(constant(own(ORIGIN), 0, origin_ms as f64 / 1000.0));
    all.push(constant(own(LIVES), stretch.begins_ms, 1.0));
    all
}

/// No fewer samples than [`sent`] gives, told without laying them out.
pub fn samples(group: &TestGroup, rules: &[Rule], stretch: &Stretch) -> i64 {
    let in_all = |ms: i64, every: i64| ms / every.max(1) + 2;
    let interval_ms = millis(group.interval);
    let series = group.series.iter().filter_map(|one| one.as_ref().ok()).map(|one| {
        let asked = in_all(stretch.asked_until_ms, interval_ms);
        let own = i64::try_from(one.length()).unwrap_or(i64::MAX).min(asked);
        own.saturating_add(in_all(stretch.ends_ms - stretch.asked_until_ms, interval_ms))
    });
    let awaited: usize = rules.iter().filter_map(|rule| rule.tree().ok()).map(|expr| awaited(&expr).len()).sum();
    let own = in_all(stretch.over_ms, stretch.step_ms).saturating_mul(2 + i64::try_from(awaited).unwrap_or(i64::MAX));
    series.fold(own, i64::saturating_add)
}

fn of_series(series: &InputSeries, interval_ms: i64, stretch: &Stretch, at: &impl Fn(i64) -> i64) -> Sent {
    let last = usize::try_from(stretch.asked_until_ms / interval_ms).unwrap_or(0);
    let mut samples = Vec::new();
    let mut is_there = false;
    let items: Vec<Item> = series.items().chain(std::iter::repeat(Item::Gap)).take(last + 1).collect();
    for (index, item) in items.iter().enumerate() {
        let test_ms = interval_ms * i64::try_from(index).unwrap_or(i64::MAX);
        match item {
            Item::Number(value) => samples.push((at(test_ms), Some(Number::of(*value)))),
            Item::Stale => samples.push((at(test_ms), None)),
            Item::Gap => continue,
        }
        is_there = *item != Item::Stale;
    }
    for by in 1.. {
        let test_ms = interval_ms * i64::try_from(last + by).unwrap_or(i64::MAX);
        if test_ms >= stretch.ends_ms {
            break;
        }
        let Some(value) = goes_on(&items, by) else { break };
        samples.push((at(test_ms), Some(Number::of(value))));
    }
    if is_there {
        samples.push((at(stretch.ends_ms), None));
    }
    Sent { labels: series.labels.clone(), samples }
}

/// How far rules look back, what they record and follow included: at most so long what was goes on to count.
pub fn looks_back(rules: &[Rule], rule: &Rule) -> Duration {
    fn of<'a>(rules: &'a [Rule], rule: &'a Rule, above: &mut Vec<&'a str>) -> Duration {
        let Ok(expr) = rule.tree() else { return Duration::ZERO };
        let own: Duration = promql::durations(&expr).into_iter().sum();
        let mut longest = Duration::ZERO;
        for selector in promql::selectors(&expr) {
            for inner in rules.iter().filter(|one| one.alert.is_none() && promql::gives(selector, &one.name)) {
                if !above.contains(&inner.name.as_str()) && above.len() < 16 {
                    above.push(&inner.name);
                    longest = longest.max(of(rules, inner, above));
                    above.pop();
                }
            }
        }
        own + longest
    }
    of(rules, rule, &mut Vec::new())
}

/// Whole milliseconds of a duration.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn printed(real_ms: i64) -> String {
    duration::print(Duration::from_millis(real_ms.unsigned_abs()))
}

/// JSON is YAML, and leaves nothing to be taken for something else.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::drill::rules;

    const RULES: &str = "\
groups:
  - name: a
    rules:
      - {record: 'a:b', expr: 'sum(rate(x[5m]))'}
      - {alert: A, expr: 'a:b > 1 and absent(y{job=\"b\"})', for: 5m, annotations: {summary: 'curl /api/v1/query {{ $value }}'}}
      - {alert: B, expr: 'vector(time()) > 1', keep_firing_for: 10m}
";

    fn stretch() -> Stretch {
        let speed = Speed::new(100).unwrap();
        Stretch {
            speed,
            step_ms: 60_000,
            begins_ms: 60_000,
            asked_until_ms: 180_000,
            ends_ms: 300_000,
            over_ms: 360_000,
            forgets: false,
        }
    }

    fn group(series: &[(&str, &str)]) -> TestGroup {
        let series = series.iter().map(|(name, values)| InputSeries::read(name, values)).collect();
        TestGroup {
            name: String::new(),
            line: 1,
            interval: Duration::from_mins(1),
            series,
            alerts: Vec::new(),
            external_labels: Texts::new(),
            external_url: String::new(),
        }
    }

    #[test]
    fn rules_are_loaded_in_one_group_divided_and_wait_for_the_beginning() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        let file: Value = serde_json::from_str(&rules_file(&rules, &stretch(), "drill")).unwrap();
        let [all] = &file["groups"].as_array().unwrap()[..] else { panic!("{file}") };
        let told = |index: usize, key: &str| all["rules"][index][key].as_str().unwrap_or_default().to_owned();
        assert_eq!((all["interval"].as_str(), told(0, "record")), (Some("600ms"), EVALUATED.to_owned()));
        assert!(told(1, "expr").starts_with("(sum((round(rate(x[3s]) / 100, "), "{}", told(1, "expr"));
        assert!((1..=3).all(|index| told(index, "expr").ends_with(") and on() drill:lives")), "{file}");
        assert_eq!((told(2, "for"), told(3, "keep_firing_for")), ("3s".to_owned(), "6s".to_owned()));
        let slower = Stretch { speed: Speed::new(7).unwrap(), ..stretch() };
        let refused = unlived(&rules, slower.speed);
        assert!(refused[0].starts_with("r.yml:4: "), "{refused:?}");
        assert!(refused.iter().any(|why| why.starts_with("r.yml:5: for")), "{refused:?}");
        // What can't be lived is loaded by nobody.
        let file: Value =
            serde_json::from_str(&rules_file(&rules[1..], &Stretch { speed: slower.speed, ..stretch() }, "d")).unwrap();
        assert_eq!(file["groups"][0]["rules"].as_array().map(Vec::len), Some(1), "{file}");
    }

    #[test]
    fn what_is_more_than_the_limit_of_its_group_is_nothing() {
        let read = |keep: &str| {
            let text = format!(
                "groups:\n- {{name: g, limit: 2, rules: [{{record: r, expr: x}}, {{alert: A, expr: 1{keep}}}]}}\n- {{name: h, rules: [{{alert: B, expr: x}}]}}\n"
            );
            rules::read(Path::new("r.yml"), text.as_bytes()).unwrap()
        };
        let file: Value = serde_json::from_str(&rules_file(&read(""), &stretch(), "drill")).unwrap();
        let told = |index: usize| file["groups"][0]["rules"][index]["expr"].as_str().unwrap().to_owned();
        assert_eq!(told(1), "(x) and on() (count((x)) <= 2) and on() drill:lives");
        assert_eq!(told(2), "vector(1) and on() (count(vector(1)) <= 2) and on() drill:lives");
        assert_eq!(told(3), "(x) and on() drill:lives");
        let refused = unlived(&read(", keep_firing_for: 5m"), stretch().speed);
        assert!(refused[0].contains("`limit` of its group"), "{refused:?}");
    }

    #[test]
    fn no_more_is_sent_than_is_told_before_it_is_laid_out() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        for values in ["0+6x900000", "1 1 stale _x9", "1", "_x9 1"] {
            let group = group(&[("x", values), ("z", values)]);
            let laid_out: usize = sent(&group, &rules, &stretch(), 1_000_000).iter().map(|one| one.samples.len()).sum();
            let told = samples(&group, &rules, &stretch());
            assert!((laid_out..laid_out + 40).contains(&usize::try_from(told).unwrap()), "{values}: {laid_out} {told}");
        }
    }

    #[test]
    fn a_template_that_asks_for_itself_is_told_and_one_that_speaks_of_queries_is_not() {
        assert!(asks("{{ query \"up\" | first | value }}") && asks("a {{ with printf \"x\" | query }}b{{ end }}"));
        assert!(!asks("GET /api/v1/query?query=up {{ $value }}") && !asks("{{ $labels.query }}"));
    }

    #[test]
    fn what_is_sent_is_the_tests_own_then_goes_on_and_ends() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        let group = group(&[("x", "0+6x9"), ("gone", "1 1 stale _x9"), ("ended", "1")]);
        let sent = sent(&group, &rules, &stretch(), 1_000_000);
        let of = |name: &str| sent.iter().find(|one| one.labels["__name__"] == name).unwrap();
        let values = |name: &str| {
            let told = |value: &Option<Number>| value.as_ref().map_or("stale".to_owned(), |value| value.0.clone());
            of(name).samples.iter().map(|(at, value)| (at - 1_000_000, told(value))).collect::<Vec<_>>()
        };
        let told =
            |pairs: &[(i64, &str)]| pairs.iter().map(|(at, value)| (*at, (*value).to_owned())).collect::<Vec<_>>();
        // Until the third minute it is the test's, then a step each, and at the fifth it ends.
        let x = [(0, "0"), (600, "6"), (1200, "12"), (1800, "18"), (2400, "24"), (3000, "stale")];
        assert_eq!(values("x"), told(&x));
        assert_eq!(values("gone"), told(&[(0, "1"), (600, "1"), (1200, "stale")]));
        assert_eq!(values("ended"), told(&[(0, "1"), (3000, "stale")]));
        // What ends the absence that a rule waits for.
        assert_eq!((of("y").labels["job"].as_str(), values("y")), ("b", told(&[(3600, "1")])));
        assert_eq!(values(LIVES).first(), Some(&(600, "1".to_owned())));
        assert_eq!(of(ORIGIN).samples[0], (1_000_000, Some(Number("1000".to_owned()))));
    }

    #[test]
    fn how_far_rules_look_back_follows_what_they_record() {
        let rules = rules::read(Path::new("r.yml"), RULES.as_bytes()).unwrap();
        assert_eq!(looks_back(&rules, &rules[1]), Duration::from_mins(5));
    }

    #[test]
    fn evaluations_come_at_every_step_from_the_beginning_on() {
        let all: Vec<i64> = stretch().evaluations().collect();
        assert_eq!(all, [60_000, 120_000, 180_000, 240_000, 300_000, 360_000]);
        assert_eq!(stretch().evaluation_of(179_999), 120_000);
    }
}
