//! What is lived: scenes, each a stretch of a test's time on a stack of its own, and at which speed.
//!
//! Of a test's time only as much is lived as its questions need: before each the alert's `for`, behind the last as long as it
//! takes to tell. What lies before is history. A test that asks about times far apart is lived in several scenes; one in whose end
//! an alert no longer fires ends once more where it last did, so that it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::given::Given;
use super::rows::{self, Row};
use super::stretches::{is_in, stretches};
use aiclipx_base::duration::Speed;
use aiclipx_model::drill::rules::Rule;
use aiclipx_model::drill::scene::{Stretch, millis};
use aiclipx_model::drill::tests::{AlertTest, TestGroup};
use aiclipx_model::nearest;

/// What is lived, and what can't be.
#[derive(Debug)]
pub struct Plan {
    pub scenes: Vec<Scene>,
    /// The alerts that it is about, by name; several rules may share one, and one that only a test names has none.
    pub alerts: BTreeMap<String, Vec<Rule>>,
    /// The rows of the matrix.
    pub rows: Vec<Row>,
    /// The rules of each test file, in the order in which they are evaluated.
    pub rules: Vec<Vec<Rule>>,
    /// Tests of an alert that can't be lived, and why.
    pub refused: Vec<Refused>,
}

/// A test that can't be lived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub alert: String,
    /// The test file's place among those given.
    pub file: usize,
    pub why: String,
}

/// A stretch of a test, lived on a stack of its own.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Unique, and fit for a folder: `app_test-3`.
    pub name: String,
    /// The test file's place among those given.
    pub file: usize,
    /// The test's place in it.
    pub test: usize,
    pub stretch: Stretch,
    /// The alerts that are looked at.
    pub alerts: BTreeSet<String>,
}

/// What is asked for: only some alerts, and a speed for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub only: Vec<String>,
    pub speed: Option<Speed>,
}

impl Plan {
    /// Plans a drill: the same for the same files, in `verify`, too.
    pub fn of(given: &Given, wanted: &Wanted) -> Plan {
        let is_wanted = |name: &str| wanted.only.is_empty() || wanted.only.iter().any(|one| one == name);
        let mut alerts: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        for rule in given.alerts().filter(|rule| is_wanted(&rule.name)) {
            alerts.entry(rule.name.clone()).or_default().push(rule.clone());
        }
        // One that a test asks about and no rule defines never fires: that is found, too.
        for asked in given.tests.iter().flat_map(|file| &file.tests).flat_map(|test| &test.alerts) {
            if is_wanted(&asked.alert) {
                alerts.entry(asked.alert.clone()).or_default();
            }
        }
        let rules: Vec<Vec<Rule>> = given.tests.iter().map(|tests| given.rules_of(tests)).collect();
        let (rows, in_all) = (rows::of(&alerts), rules.clone());
        let mut plan = Plan { scenes: Vec::new(), alerts, rows, rules, refused: Vec::new() };
        let mut told_at_the_end: BTreeSet<String> = BTreeSet::new();
        let mut told_before: Vec<(String, usize, usize, i64)> = Vec::new();
        for (file, tests) in given.tests.iter().enumerate() {
            let rules = &in_all[file];
            for (test, group) in tests.tests.iter().enumerate() {
                let asked: Vec<&AlertTest> = group.alerts.iter().filter(|one| is_wanted(&one.alert)).collect();
                let Some(last) = asked.iter().map(|one| millis(one.at)).max() else { continue };
                plan.add(given, wanted, (file, test), rules, &asked);
                for alert in asked.iter().map(|one| &one.alert) {
                    let fires = asked.iter().filter(|one| one.alert == *alert && !one.expected.is_empty());
                    let Some(fires) = fires.map(|one| millis(one.at)).max() else { continue };
                    let ends_with_it = fires == last;
                    if ends_with_it {
                        told_at_the_end.insert(alert.clone());
                    } else {
                        told_before.push((alert.clone(), file, test, fires));
                    }
                }
            }
        }
        // Once an alert has been told in some scene, that is enough.
        for (alert, file, test, fires) in told_before {
            if told_at_the_end.insert(alert) {
                let tests = &given.tests[file];
                let until = |one: &&AlertTest| millis(one.at) <= fires && is_wanted(&one.alert);
                let asked: Vec<&AlertTest> = tests.tests[test].alerts.iter().filter(until).collect();
                plan.add(given, wanted, (file, test), &in_all[file], &asked);
            }
        }
        plan
    }

    /// The scenes of one test.
    fn add(&mut self, given: &Given, wanted: &Wanted, at: (usize, usize), rules: &[Rule], asked: &[&AlertTest]) {
        let (file, test) = at;
        let (tests, group) = (&given.tests[file], &given.tests[file].tests[test]);
        let mut refuse = |why: &str| {
            let names: BTreeSet<&String> = asked.iter().map(|one| &one.alert).collect();
            let place = format!("{}:{} ({})", tests.path.display(), group.line, group.name);
            let refused =
                names.into_iter().map(|alert| Refused { alert: alert.clone(), file, why: format!("{place}: {why}") });
            self.refused.extend(refused);
        };
        if let Some(why) = group.series.iter().find_map(|one| one.as_ref().err()) {
            return refuse(why);
        }
        let alone = |asked: &[&AlertTest]| stretches(given, wanted.speed, (tests, group), rules, asked);
        let stretches = match alone(asked) {
            Ok(stretches) => stretches,
            Err(why) if asked.iter().all(|one| one.alert == asked[0].alert) => return refuse(&why),
            // What can't be lived takes nothing else with it: together are lived those that can be, else each by itself.
            Err(_) => {
                let names: BTreeSet<&str> = asked.iter().map(|one| one.alert.as_str()).collect();
                let of = |names: &[&str]| -> Vec<&AlertTest> {
                    asked.iter().copied().filter(|one| names.contains(&one.alert.as_str())).collect()
                };
                let (lived, not): (Vec<&str>, Vec<&str>) =
                    names.iter().copied().partition(|name| alone(&of(&[*name])).is_ok());
                let each = |names: &[&str]| names.iter().map(|name| of(&[*name])).collect::<Vec<_>>();
                let mut parts = if not.is_empty() { each(&lived) } else { [vec![of(&lived)], each(&not)].concat() };
                parts.retain(|part| !part.is_empty());
                for part in parts {
                    self.add(given, wanted, at, rules, &part);
                }
                return;
            }
        };
        for stretch in stretches {
            let in_it = asked.iter().filter(|one| is_in(&stretch, millis(one.at)));
            let stem =
                tests.path.with_extension("").to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            self.scenes.push(Scene {
                name: format!("{:03}-{stem}", self.scenes.len() + 1),
                file,
                test,
                stretch,
                alerts: in_it.map(|one| one.alert.clone()).collect(),
            });
        }
    }
}

/// That no rule defines the alert which a test names, and which it may mean.
pub fn no_rule(given: &Given, row: &Row) -> Option<String> {
    let known: Vec<&str> = given.alerts().map(|rule| rule.name.as_str()).collect();
    let nearest = nearest::nearest(&row.alert, &known);
    let meant = nearest.map(|name| format!(", did the test mean {name}?")).unwrap_or_default();
    row.rule.is_none().then(|| format!("no rule is called {}{meant}", row.alert))
}

impl Scene {
    /// Its name, and the first of the alerts that it is about.
    pub fn shown(&self) -> String {
        let mut alerts: Vec<&str> = self.alerts.iter().map(String::as_str).collect();
        let more = alerts.len().saturating_sub(3);
        if more > 1 {
            alerts.truncate(2);
            return format!("{} {} and {} more", self.name, alerts.join(", "), more + 1);
        }
        format!("{} {}", self.name, alerts.join(", "))
    }

    /// What the test asks about in it.
    pub fn asked<'a>(&self, given: &'a Given) -> impl Iterator<Item = &'a AlertTest> {
        let (stretch, alerts) = (self.stretch, self.alerts.clone());
        let asked = given.tests[self.file].tests[self.test].alerts.iter();
        asked.filter(move |one| alerts.contains(&one.alert) && is_in(&stretch, millis(one.at)))
    }

    /// The test.
    pub fn group<'a>(&self, given: &'a Given) -> &'a TestGroup {
        &given.tests[self.file].tests[self.test]
    }

    /// Where the test stands: `app_test.yml:12 (its name)`.
    pub fn place(&self, given: &Given) -> String {
        let group = self.group(given);
        format!("{}:{} ({})", given.tests[self.file].path.display(), group.line, group.name)
    }

    /// The path of the rules' place among those given, for messages.
    pub fn file<'a>(&self, given: &'a Given) -> &'a PathBuf {
        &given.tests[self.file].path
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::stretches::{LIVED_MS, TELLING_MS};
    use super::*;

    const RULES: &str = "\
groups:
  - name: a
    rules:
      - {alert: A, expr: x > 0, for: 5m, labels: {severity: page}}
      - {alert: Long, expr: 'max_over_time(x[1d]) > 0', labels: {severity: page}}
";
    const ALERTMANAGER: &str = "{route: {receiver: r, group_wait: 30s, group_interval: 5m}, receivers: [{name: r}]}";

    /// The plan of one test with these questions: an alert, a time, and whether it fires.
    fn plan(asked: &[(&str, &str, bool)], wanted: &Wanted, series: &str) -> Plan {
        let asked: Vec<String> = asked
            .iter()
            .map(|(alert, at, fires)| {
                let expected = if *fires { "[{exp_labels: {severity: page}}]" } else { "[]" };
                format!("      - {{eval_time: {at}, alertname: {alert}, exp_alerts: {expected}}}\n")
            })
            .collect();
        let tests = format!(
            "rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series: [{series}]\n    \
             alert_rule_test:\n{}",
            asked.concat()
        );
        let files = [("r.yml", RULES), ("t.yml", &tests), ("am.yml", ALERTMANAGER)];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let given = Given::from_files(files.into_iter().collect(), Path::new("am.yml")).unwrap();
        Plan::of(&given, wanted)
    }

    const MINUTE: i64 = 60_000;
    const SERIES: &str = "{series: x, values: 1x9}";

    #[test]
    fn one_stretch_holds_times_that_are_close_and_leaves_history_before_the_first() {
        let all = plan(&[("A", "2h", false), ("A", "2h5m", true)], &Wanted::default(), SERIES);
        let [scene] = &all.scenes[..] else { panic!("{all:?}") };
        let stretch = &scene.stretch;
        // Its `for`, and two evaluations.
        assert_eq!((stretch.begins_ms, stretch.asked_until_ms), (113 * MINUTE, 125 * MINUTE));
        // Until it is told: the group's interval, and what telling takes, really.
        assert!(stretch.ends_ms - stretch.asked_until_ms >= 5 * MINUTE + stretch.test_ms(TELLING_MS));
        assert!(!stretch.forgets && stretch.real_ms(stretch.over_ms - stretch.begins_ms) < LIVED_MS);
        assert_eq!((stretch.speed.factor(), stretch.real_ms(stretch.step_ms)), (100, 600));
    }

    #[test]
    fn times_that_are_far_apart_are_lived_apart_and_what_fires_before_the_end_is_lived_to_there() {
        let all = plan(&[("A", "10m", true), ("A", "10h", false)], &Wanted::default(), SERIES);
        let told: Vec<(i64, i64)> = all
            .scenes
            .iter()
            .map(|one| (one.stretch.begins_ms / MINUTE, one.stretch.asked_until_ms / MINUTE))
            .collect();
        assert_eq!(told, [(3, 10), (593, 600), (3, 10)]);
        let names: BTreeSet<&str> = all.scenes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn what_looks_back_for_long_is_forgotten_at_the_end_and_not_waited_for() {
        let all = plan(&[("Long", "10m", true)], &Wanted::default(), SERIES);
        let stretch = &all.scenes[0].stretch;
        assert!(stretch.forgets && stretch.over_ms - stretch.ends_ms < 60 * MINUTE, "{stretch:?}");
    }

    #[test]
    fn what_cannot_be_lived_is_refused_with_its_place_and_reason() {
        let speed = Wanted { speed: Speed::new(7).ok(), ..Wanted::default() };
        let all = plan(&[("A", "10m", true)], &speed, SERIES);
        assert!(all.scenes.is_empty() && all.refused[0].why.starts_with("t.yml:4 (test 1): "), "{:?}", all.refused);
        let all = plan(&[("A", "10m", true)], &Wanted::default(), "{series: x, values: '{{schema:1}}'}");
        assert!(all.scenes.is_empty() && all.refused[0].why.contains("native histograms"), "{:?}", all.refused);
    }

    /// A common multiple of steps that is far away at one speed is close at another; where it is at none, nothing is lived.
    #[test]
    fn steps_of_subqueries_choose_the_speed_or_are_refused_with_their_rule() {
        let of = |steps: [&str; 3], speed: Option<u32>| {
            let [one, two, three] = steps;
            let expr = format!(
                "count_over_time(x[10m:{one}]) + max_over_time(x[5m:{two}]) + max_over_time(x[5m:{three}]) > 1"
            );
            let rules =
                format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', labels: {{severity: page}}}}]}}]");
            let tests = "{rule_files: [r.yml], evaluation_interval: 15s, tests: [{interval: 15s, input_series: [{series: x, values: \
                         1x99}], alert_rule_test: [{eval_time: 12m, alertname: A, exp_alerts: [{exp_labels: {severity: page}}]}]}]}";
            let files = [("r.yml", rules.as_str()), ("t.yml", tests), ("am.yml", ALERTMANAGER)];
            let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
            let given = Given::from_files(files.into_iter().collect(), Path::new("am.yml")).unwrap();
            let wanted = Wanted { speed: speed.map(|speed| Speed::new(speed).unwrap()), ..Wanted::default() };
            let plan = Plan::of(&given, &wanted);
            let speeds: Vec<u32> = plan.scenes.iter().map(|one| one.stretch.speed.factor()).collect();
            (speeds, plan.refused.first().map(|one| one.why.clone()).unwrap_or_default())
        };
        assert_eq!(of(["15s", "30s", "1m"], None).0, [20]);
        assert_eq!(of(["7s", "30s", "1m"], None).0, [40]);
        // Where one speed is asked for, it is waited for longer.
        assert_eq!(of(["7s", "30s", "1m"], Some(20)).0, [20]);
        let (speeds, why) = of(["7s", "11s", "1m"], None);
        assert!(speeds.is_empty() && why.contains("r.yml:1: subqueries with steps of 7s and 11s and 1m"), "{why}");
    }

    /// The plan of a test that asks about these alerts at once, each with its expression.
    fn at_once(alerts: &[(&str, &str)]) -> Plan {
        let rule = |(name, expr): &(&str, &str)| {
            format!("  - {{alert: {name}, expr: '{expr}', labels: {{severity: page}}}}\n")
        };
        let rules = format!("groups:\n- name: g\n  rules:\n{}", alerts.iter().map(rule).collect::<Vec<_>>().concat());
        let test = |(name, _): &(&str, &str)| {
            format!("{{eval_time: 12m, alertname: {name}, exp_alerts: [{{exp_labels: {{severity: page}}}}]}}")
        };
        let tests = alerts.iter().map(test).collect::<Vec<_>>().join(", ");
        let tests = format!(
            "{{rule_files: [r.yml], evaluation_interval: 15s, tests: [{{interval: 15s, input_series: [], alert_rule_test: [{tests}]}}]}}"
        );
        let files = [("r.yml", rules.as_str()), ("t.yml", &tests), ("am.yml", ALERTMANAGER)];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        Plan::of(&Given::from_files(files.into_iter().collect(), Path::new("am.yml")).unwrap(), &Wanted::default())
    }

    #[test]
    fn what_cannot_be_lived_takes_nothing_else_with_it() {
        let plan = at_once(&[("A", "x > 0"), ("Ahead", "x offset -1m > 0"), ("B", "y > 0")]);
        let [scene] = &plan.scenes[..] else { panic!("{plan:?}") };
        assert_eq!(scene.alerts, BTreeSet::from(["A".to_owned(), "B".to_owned()]));
        let [refused] = &plan.refused[..] else { panic!("{plan:?}") };
        assert!(refused.alert == "Ahead" && refused.why.contains("r.yml:5: `offset -1m`"), "{refused:?}");
        // What depends on it goes with it.
        let plan = at_once(&[("A", "ALERTS > 0"), ("Ahead", "x offset -1m > 0")]);
        assert!(plan.scenes.is_empty() && plan.refused.len() == 2, "{plan:?}");
        // What can be lived, and not together, is lived one by one.
        let plan = at_once(&[("A", "max_over_time(x[5m:17s]) > 0"), ("B", "max_over_time(x[5m:19s]) > 0")]);
        let told: Vec<usize> = plan.scenes.iter().map(|scene| scene.alerts.len()).collect();
        assert_eq!((told, plan.refused.len()), (vec![1, 1], 0), "{plan:?}");
    }

    #[test]
    fn what_is_more_than_a_drill_can_take_is_refused_before_it_is_laid_out() {
        for at in ["9000h", "290y"] {
            let all = plan(&[("A", at, true)], &Wanted::default(), SERIES);
            assert!(all.scenes.is_empty() && all.refused[0].why.contains("20h is the most"), "{:?}", all.refused);
        }
        let bomb = vec!["{series: x, values: 0+1x1000000}"; 200].join(", ");
        let all = plan(&[("A", "2000h", true)], &Wanted::default(), &bomb);
        assert!(all.scenes.is_empty() && all.refused[0].why.contains("fewer series"), "{:?}", all.refused);
        let slow = Wanted { speed: Speed::new(1).ok(), ..Wanted::default() };
        let all = plan(&[("A", "30h", true)], &slow, SERIES);
        assert!(all.scenes.is_empty() && all.refused[0].why.contains("20h is the most"), "{:?}", all.refused);
        assert_eq!(plan(&[("A", "10m", true)], &Wanted::default(), &bomb).refused, []);
    }

    #[test]
    fn only_what_is_wanted_is_planned_and_what_no_rule_defines_is() {
        let only = Wanted { only: vec!["A".to_owned()], speed: None };
        let all = plan(&[("A", "10m", true), ("Long", "10m", true)], &only, SERIES);
        assert_eq!((all.alerts.len(), all.scenes[0].alerts.len()), (1, 1));
        let all = plan(&[("Misspelt", "10m", true)], &Wanted::default(), SERIES);
        assert!(all.alerts["Misspelt"].is_empty() && all.alerts.len() == 3);
    }
}
