//! slo.toml into prometheus/rules/slo.yml: the rules of the objectives, of which every one is the same but for its names.
//!
//! Pure, like [`render`](super::Monitoring::render): (slo.toml, rules/app.yml) → the file, byte for byte. That the file is
//! what the table gives is `check`'s to hold. What is made reads as if a person had written it, for a person will at three in
//! the morning: each form with why it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{FOLDER, located};
use crate::failure::Finding;
use aiclipx_base::duration;

/// The table, below monitoring/.
pub const TABLE: &str = "slo.toml";
/// What is made of it, below monitoring/.
pub const MADE: &str = "prometheus/rules/slo.yml";
/// What is read by it: the table, and how often what it counts is recorded.
pub const SOURCES: [&str; 2] = [TABLE, RECORDS];
/// The rules that record what the table names, below monitoring/.
const RECORDS: &str = "prometheus/rules/app.yml";

/// The rules, by the files of monitoring/; none where there is no table. Everything that is wrong with it is told.
pub fn rules(files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Option<String>, Vec<Finding>> {
    let Some(table) = files.get(Path::new(TABLE)) else { return Ok(None) };
    let text = String::from_utf8_lossy(table);
    let slo: Slo = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(&text, &span));
        vec![finding(line, error.message().to_owned())]
    })?;
    let mut findings = Vec::new();
    let (period, evaluation) = slo.understood(&text, &mut findings);
    slo.counted_as_recorded(&text, files.get(Path::new(RECORDS)), &mut findings);
    if findings.is_empty() { Ok(Some(slo.written(period, evaluation))) } else { Err(findings) }
}

/// The first line in which two texts differ, from 1; none where they are the same.
pub fn differs(one: &str, other: &str) -> Option<usize> {
    let lines = |text: &str| -> Vec<String> { text.split('\n').map(str::to_owned).collect() };
    let (one, other) = (lines(one), lines(other));
    (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at)).map(|at| at + 1)
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text[..span.start].matches('\n').count() + 1
}

fn finding(line: usize, what: String) -> Finding {
    Finding { file: Path::new(FOLDER).join(TABLE), line, what, remedy: String::new() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slo {
    period: Spanned<String>,
    interval: Spanned<String>,
    pair: Vec<Pair>,
    objective: Vec<Objective>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    long: Spanned<String>,
    short: Spanned<String>,
    /// A third window, shorter than both: whether anything goes on.
    now: Option<Spanned<String>>,
    factor: Spanned<f64>,
    #[serde(rename = "for")]
    hold: Spanned<String>,
    keep_firing_for: Option<Spanned<String>>,
    severity: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Objective {
    slo: Spanned<String>,
    promise: Spanned<String>,
    percent: Spanned<f64>,
    budget: Spanned<String>,
    failed: Spanned<String>,
    /// Of requests: all that the promise is for.
    of: Option<Spanned<String>>,
    /// Of requests: so many must have failed.
    least: Option<u32>,
    /// Of time: what `failed` is recorded as.
    is: Option<String>,
    verb: String,
    panel: u32,
}

impl Objective {
    /// What may fail, as a share. Decimal, as the percentage was written: 100 − 99.9 of binary fractions is not 0.1.
    fn budget_share(&self) -> f64 {
        ((100.0 - self.percent.get_ref()) * 1e7).round() / 1e9
    }

    fn ratio(&self) -> f64 {
        (self.percent.get_ref() * 1e7).round() / 1e9
    }

    /// What a window burns, as recorded.
    fn burn(&self, window: &str) -> String {
        format!("job:app_{}_budget:burnrate{window}", self.budget.get_ref())
    }
}

impl Slo {
    /// The period, and how often rules are evaluated; what is wrong with the table is told.
    fn understood(&self, text: &str, findings: &mut Vec<Finding>) -> (Duration, Duration) {
        let mut complain = |at: Range<usize>, what: String| findings.push(finding(line_of(text, &at), what));
        let mut read = |what: &Spanned<String>| match duration::parse(what.get_ref()) {
            Ok(duration) if duration::print(duration) == *what.get_ref() => duration,
            Ok(duration) => {
                let (written, usual) = (what.get_ref(), duration::print(duration));
                complain(what.span(), format!("`{written}` is a part of names: write it as {usual}"));
                duration
            }
            Err(error) => {
                complain(what.span(), error.to_string());
                Duration::ZERO
            }
        };
        let period = read(&self.period);
        let evaluation = read(&self.interval).max(Duration::from_millis(1));
        let pairs: Vec<_> = self.pair.iter().map(|pair| (pair, read(&pair.long), read(&pair.short))).collect();
        // Of each how long it goes on after a fault at most: what it remembers, and for how long it is kept.
        let mut after = Vec::new();
        for (pair, _, short) in &pairs {
            read(&pair.hold);
            let now = pair.now.as_ref().map_or(*short, &mut read);
            after.push((now, pair.keep_firing_for.as_ref().map_or(Duration::ZERO, &mut read)));
        }
        for (list, is_empty) in [("pair", self.pair.is_empty()), ("objective", self.objective.is_empty())] {
            if is_empty {
                complain(self.period.span(), format!("there is no `{list}`: nothing would be asked, and nothing fire"));
            }
        }
        let mut before = Duration::ZERO;
        for (pair, long, short) in &pairs {
            if !(pair.factor.get_ref().is_finite() && *pair.factor.get_ref() > 0.0) {
                complain(pair.factor.span(), "a budget burns so many times faster than evenly: above 0".to_owned());
            }
            if !["critical", "warning"].contains(&pair.severity.get_ref().as_str()) {
                let what =
                    format!("`{}` is no severity that a route is for: critical, warning", pair.severity.get_ref());
                complain(pair.severity.span(), what);
            }
            if short >= long || *long > period {
                let what =
                    format!("a pair is a short window, a longer one, and both within the {}", self.period.get_ref());
                complain(pair.short.span(), what);
            }
            if let Some(now) = &pair.now
                && duration::parse(now.get_ref()).is_ok_and(|now| now >= *short)
            {
                let what = format!("what goes on now is asked of a window shorter than {}", pair.short.get_ref());
                complain(now.span(), what);
            }
            if *long <= before {
                complain(pair.long.span(), "pairs stand from the shortest long window to the longest".to_owned());
            }
            before = *long;
            if !long.as_nanos().is_multiple_of(evaluation.as_nanos()) {
                let what = format!("{} are no whole number of evaluations", pair.long.get_ref());
                complain(pair.long.span(), what);
            }
        }
        for (pairs, ends) in self.pair.windows(2).zip(after.windows(2)) {
            let ([pair, next], [(_, kept), (remembers, next_kept)]) = (pairs, ends) else { continue };
            let pages = [pair, next].iter().all(|pair| pair.severity.get_ref() == "critical");
            let is_of_time = self.objective.iter().any(|objective| objective.of.is_none());
            let asked = next.now.as_ref().unwrap_or(&next.short);
            if pages && is_of_time && asked.get_ref() != pair.short.get_ref() {
                let (next, short) = (next.long.get_ref(), pair.short.get_ref());
                let what = format!(
                    "of time, {next} ends with the pair before it only if it asks the same window `now`: {short}"
                );
                complain(asked.span(), what);
            }
            if pages && *kept < *remembers + *next_kept {
                let (long, next, least) = (pair.long.get_ref(), next.long.get_ref(), *remembers + *next_kept);
                let what = format!(
                    "{long} keeps {next} from being told and ends before it, which pages when all is well again: \
                     `keep_firing_for` of {} at least",
                    duration::print(least)
                );
                complain(pair.keep_firing_for.as_ref().map_or(pair.long.span(), Spanned::span), what);
            }
        }
        let mut seen = BTreeSet::new();
        for objective in &self.objective {
            for name in [&objective.slo, &objective.budget] {
                let is_word = name.get_ref().bytes().all(|byte| byte.is_ascii_lowercase());
                if !is_word || name.get_ref().is_empty() {
                    complain(name.span(), format!("`{}` is a part of names: lower-case letters", name.get_ref()));
                }
            }
            // Each is a part of names: of labels, of records and alerts, of what is read.
            for (key, name) in [("slo", &objective.slo), ("budget", &objective.budget), ("failed", &objective.failed)] {
                if !seen.insert((key, name.get_ref())) {
                    complain(name.span(), format!("a second objective whose `{key}` is `{}`", name.get_ref()));
                }
            }
            if !(objective.budget_share() > 0.0 && objective.budget_share() < 1.0) {
                let what = format!("{} % leave no budget, or nothing else", objective.percent.get_ref());
                complain(objective.percent.span(), what);
            }
            let percent = objective.percent.get_ref().to_string();
            let says = |word: &str| word.trim_end_matches('%') == percent;
            if !objective.promise.get_ref().split_whitespace().any(says) {
                let what = format!("the promise does not say {percent} %, which is what alerts go by");
                complain(objective.promise.span(), what);
            }
            let is_of_requests = objective.of.is_some() && objective.least.is_some() && objective.is.is_none();
            let is_of_time = objective.of.is_none() && objective.least.is_none() && objective.is.is_some();
            if !is_of_requests && !is_of_time {
                let what = "an objective of requests has `of` and `least`; one of time has `is`".to_owned();
                complain(objective.slo.span(), what);
            }
        }
        (period, evaluation)
    }

    /// Windows are counted in evaluations of those who record what is in them, which must be as many as of ours.
    fn counted_as_recorded(&self, text: &str, rules: Option<&Vec<u8>>, findings: &mut Vec<Finding>) {
        let Some(Ok(document)) = rules.map(|bytes| located::read(bytes)) else { return };
        for name in self.objective.iter().flat_map(|one| [Some(&one.failed), one.of.as_ref()]).flatten() {
            let records = |group: &&located::Node| {
                group.items_of("rules").iter().any(|rule| rule.text_of("record") == Some(name.get_ref()))
            };
            let Some(group) = document.items_of("groups").iter().find(records) else { continue };
            let interval = group.text_of("interval");
            if interval != Some(self.interval.get_ref()) {
                let every =
                    interval.map_or("as the configuration says".to_owned(), |interval| format!("every {interval}"));
                let what = format!(
                    "`{}` is recorded {every} (monitoring/{RECORDS}), and counted as one of every {}",
                    name.get_ref(),
                    self.interval.get_ref()
                );
                findings.push(finding(line_of(text, &name.span()), what));
            }
        }
    }
}

/// Every window once, from short to long, each with whether it is some pair's long one.
fn windows(pairs: &[Pair]) -> Vec<(String, Duration, bool)> {
    let long: BTreeSet<&String> = pairs.iter().map(|pair| pair.long.get_ref()).collect();
    let others = pairs.iter().flat_map(|pair| [Some(&pair.short), pair.now.as_ref()]).flatten().map(Spanned::get_ref);
    let all: BTreeSet<&String> = others.chain(long.iter().copied()).collect();
    let length = |window: &String| duration::parse(window).unwrap_or_default();
    let mut windows: Vec<_> = all.into_iter().map(|name| (name.clone(), length(name), long.contains(name))).collect();
    windows.sort_by_key(|(_, length, _)| *length);
    windows
}

/// How often a rule is evaluated in a window.
fn evaluations(window: Duration, evaluation: Duration) -> u128 {
    window.as_nanos() / evaluation.as_nanos()
}

const HEAD: &str = "
# A pair of windows asks the long one whether it matters and the short one whether it still goes on, after the SRE workbook
# (Alerting on SLOs, multiwindow). One alert a pair, its windows in its labels (production time, whatever the stack's
# speed), so it is seen which pair fired. What may go wrong is the budget; the burn rate is how many times faster than
# evenly it is spent.
#
# Of requests a window is the mean of recorded rates: failed over all, both averaged first, so no ratio is averaged, and
# three days cost as many samples as there were evaluations, not times the service's series. Of time a long window is as
# long as it is called, whatever is known of it, and an outage of a minute is one of all its minutes; the short one asks of
# what is known. app.yml records what is read here, in a group of its own: it is an evaluation old at most. Evaluations are
# counted here, so how many there are is said here and there, whatever the configuration says.
groups:
  - name: slo
    interval: ";

const GUARDS: &str = "
      # The last lines are guards, over the pair's own long window, so that a lull of minutes does not begin the hours of a
      # `for` anew. So many requests must have failed: a share of a handful says nothing. The first pair is asked of a
      # Prometheus that has just been started, too, and takes what is not known for time without failures; the longer ones
      # ask for knowledge from before their long window, for minutes after a first start are not yet three days.
";

const OF_TIME: &str = "
      # Without guards: what is not known is no outage, so that minutes after a first start are not yet an hour. Nor is any kept,
      # or whoever is told first that nobody answers would have to be told for as long: the second page asks its shortest window for
      # what the first one asks, so that it does not outlast it.
";

impl Slo {
    /// The file. Writing to a text does not fail.
    fn written(&self, period: Duration, evaluation: Duration) -> String {
        let mut text = format!(
            "# Made of monitoring/{TABLE} by `just slo`: change that file, not this one.\n#\n\
             # Service level objectives, over {}:\n#\n",
            self.period.get_ref()
        );
        for Objective { slo, promise, .. } in &self.objective {
            let _ = writeln!(text, "# {:<14}{}", format!("{}:", slo.get_ref()), promise.get_ref());
        }
        text += &HEAD.replacen('\n', "#\n", 1);
        let _ = writeln!(text, "{}\n    rules:", self.interval.get_ref());
        self.promises(&mut text);
        for objective in &self.objective {
            self.burn_rates(objective, evaluation, &mut text);
        }
        for objective in &self.objective {
            self.alerts(objective, evaluation, &mut text);
        }
        self.remaining(evaluations(period, evaluation), &mut text);
        text
    }

    /// The objectives as series, for whoever draws them.
    fn promises(&self, text: &mut String) {
        *text += "      - record: slo:objective:ratio\n        expr: |\n";
        for (at, objective) in self.objective.iter().enumerate() {
            let or = if at == 0 { "" } else { "  or " };
            let (ratio, slo) = (objective.ratio(), objective.slo.get_ref());
            let _ = writeln!(text, "          {or}label_replace(vector({ratio}), \"slo\", \"{slo}\", \"\", \"\")");
        }
    }

    fn burn_rates(&self, objective: &Objective, evaluation: Duration, text: &mut String) {
        let (failed, budget) = (objective.failed.get_ref(), objective.budget_share());
        *text += "\n";
        if let Some(is) = &objective.is {
            let _ = writeln!(text, "      - record: {failed}\n        expr: {is}");
        }
        for (window, length, is_long) in windows(&self.pair) {
            let _ = writeln!(text, "      - record: {}", objective.burn(&window));
            let _ = match objective.of.as_ref().map(Spanned::get_ref) {
                // As it is recorded.
                Some(of) if failed.ends_with(&format!(":rate{window}")) => {
                    writeln!(text, "        expr: {failed} / {of} / {budget}")
                }
                Some(of) => writeln!(
                    text,
                    "        expr: |\n          avg_over_time({failed}[{window}])\n            \
                     / avg_over_time({of}[{window}]) / {budget}"
                ),
                None if is_long => writeln!(
                    text,
                    "        expr: sum_over_time({failed}[{window}]) / {} / {budget}",
                    evaluations(length, evaluation)
                ),
                None => writeln!(text, "        expr: avg_over_time({failed}[{window}]) / {budget}"),
            };
        }
    }

    fn alerts(&self, objective: &Objective, evaluation: Duration, text: &mut String) {
        let Objective { slo, percent, budget, failed, verb, panel, .. } = objective;
        let name = budget.get_ref();
        let capital = name[..1].to_uppercase() + &name[1..];
        // The same of all objectives of requests: said of the first.
        let is_first = |one: &&Objective| one.of.is_some();
        let is_said = self.objective.iter().find(is_first).is_some_and(|first| first.slo != objective.slo);
        *text += match objective.of {
            Some(_) if is_said => "\n",
            Some(_) => GUARDS,
            None => OF_TIME,
        };
        for (at, pair) in self.pair.iter().enumerate() {
            let Pair { long, short, now, factor, hold, keep_firing_for, severity } = pair;
            let (factor, severity) = (factor.get_ref(), severity.get_ref());
            let (long, short, hold) = (long.get_ref(), short.get_ref(), hold.get_ref());
            let mut guards = String::new();
            if let Some(now) = now {
                let least = match (&objective.of, at.checked_sub(1)) {
                    (None, Some(before)) => self.pair[before].factor.get_ref(),
                    _ => factor,
                };
                let _ = writeln!(guards, "            and {} > {least}", objective.burn(now.get_ref()));
            }
            let keep = keep_firing_for.as_ref().filter(|_| objective.of.is_some());
            let keep = keep.map_or_else(String::new, |keep| format!("        keep_firing_for: {}\n", keep.get_ref()));
            if let (Some(of), Some(least)) = (objective.of.as_ref().map(Spanned::get_ref), objective.least) {
                let length = duration::parse(long).unwrap_or_default();
                let (seconds, count) = (length.as_secs(), evaluations(length, evaluation));
                let failed = failed.get_ref();
                let _ = if at == 0 {
                    writeln!(guards, "            and sum_over_time({failed}[{long}]) / {count} > {least} / {seconds}")
                } else {
                    writeln!(
                        guards,
                        "            and avg_over_time({failed}[{long}]) > {least} / {seconds}\n            \
                         and max_over_time({of}[1d] offset {long}) >= 0"
                    )
                };
            }
            let end = if severity == "critical" { "burns too fast to last" } else { "will not last its period" };
            let often = if objective.of.is_some() { "often" } else { "long" };
            let between = if at == 0 { "" } else { "\n" };
            let _ = write!(
                text,
                "{between}      - alert: App{capital}BudgetBurn{long}
        expr: |
          {} > {factor} and {} > {factor}
{guards}        for: {hold}
{keep}        labels:
          severity: {severity}
          service: app
          slo: {}
          long_window: {long}
          short_window: {short}
        annotations:
          summary: The {name} budget {end}.
          description: >-
            {{{{ $labels.job }}}} {verb} {{{{ $value | printf \"%.1f\" }}}} times as {often} as its objective of {} % allows over the long
            window, and goes on: over the short one it is above {factor}, too.
          runbook_url: monitoring/runbooks/App{capital}BudgetBurn.md
          dashboard_url: http://localhost:3000/d/slo?viewPanel={panel}
",
                objective.burn(long),
                objective.burn(short),
                slo.get_ref(),
                percent.get_ref(),
            );
        }
    }

    fn remaining(&self, count: u128, text: &mut String) {
        let period = self.period.get_ref();
        let _ = write!(
            text,
            "
  # What is left of the budget of {period}, 0…1, below zero when overspent. The period is as long as it is called, {count}
  # evaluations, whatever is known of it: the rest was time of the usual traffic and no failures, so that a Prometheus of
  # twenty minutes has nearly all of a month's budget. Once a minute: it looks back furthest.
  - name: budget
    interval: 1m
    rules:
"
        );
        for objective in &self.objective {
            let (failed, budget) = (objective.failed.get_ref(), objective.budget_share());
            let name = format!("job:app_{}_budget:remaining{period}", objective.budget.get_ref());
            let _ = writeln!(text, "      - record: {name}");
            let _ = match objective.of.as_ref().map(Spanned::get_ref) {
                Some(of) => writeln!(
                    text,
                    "        expr: |\n          1 - sum_over_time({failed}[{period}]) / {count}\n            \
                     / avg_over_time({of}[{period}]) / {budget}"
                ),
                None => writeln!(text, "        expr: 1 - sum_over_time({failed}[{period}]) / {count} / {budget}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> String {
        read(TABLE)
    }

    fn read(path: &str) -> String {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(FOLDER).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn made_of(table: &str, records: &str) -> Result<Option<String>, Vec<Finding>> {
        rules(&[(TABLE, table), (RECORDS, records)].map(|(path, text)| (path.into(), text.into())).into())
    }

    /// What is made when one text of the table is another; it must be there.
    fn edited(from: &str, to: &str) -> Result<String, Vec<Finding>> {
        let table = ours();
        assert!(table.contains(from), "{TABLE} does not contain {from}");
        made_of(&table.replacen(from, to, 1), &read(RECORDS)).map(Option::unwrap_or_default)
    }

    #[test]
    fn the_committed_file_is_what_the_table_gives() {
        let made = made_of(&ours(), &read(RECORDS)).expect("the table is right").expect("there is a table");
        assert_eq!(differs(&read(MADE), &made), None, "`just slo` makes it");
    }

    /// Which lines of the file are others, without what they have in common.
    fn changed(made: &str) -> Vec<String> {
        let before = read(MADE);
        let there: BTreeSet<&str> = before.lines().collect();
        made.lines().filter(|line| !there.contains(line)).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_cell_of_the_table_is_changed_wherever_it_stands() {
        let factor = changed(&edited("factor = 14.4", "factor = 13.5").expect("it is right"));
        assert_eq!(
            factor.len(),
            9,
            "an expression and a sentence of each objective, and of time the next page's: {factor:#?}"
        );
        assert!(factor.iter().all(|line| line.contains("13.5")), "{factor:#?}");

        let hold = changed(&edited("for = \"5m\"", "for = \"20m\"").expect("it is right"));
        assert_eq!(hold, ["for: 20m"; 4]);

        // Of time nothing is kept.
        let kept = changed(&edited("keep_firing_for = \"9m\"", "keep_firing_for = \"10m\"").expect("it is right"));
        assert_eq!(kept, ["keep_firing_for: 10m"; 3]);

        // Of time `now` is the pair's before, so both are another.
        let table = ours().replacen("short = \"5m\"", "short = \"3m\"", 1).replacen("now = \"5m\"", "now = \"3m\"", 1);
        let now = changed(&made_of(&table, &read(RECORDS)).expect("it is right").expect("there is a table"));
        for line in ["and job:app_error_budget:burnrate3m > 6", "and job:app_availability_budget:burnrate3m > 14.4"] {
            assert!(now.iter().any(|changed| changed == line), "{line} is not among {now:#?}");
        }

        let window = changed(&edited("long = \"6h\"", "long = \"8h\"").expect("it is right"));
        for line in [
            "- record: job:app_error_budget:burnrate8h",
            "/ avg_over_time(job:app_requests:rate5m[8h]) / 0.01",
            "expr: sum_over_time(job:app_unavailable:min[8h]) / 1920 / 0.005",
            "- alert: AppLatencyBudgetBurn8h",
            "and avg_over_time(job:app_requests_failed:rate5m[8h]) > 10 / 28800",
            "and max_over_time(job:app_requests_answered:rate5m[1d] offset 8h) >= 0",
            "long_window: 8h",
        ] {
            assert!(window.iter().any(|changed| changed == line), "{line} is not among {window:#?}");
        }

        let objective = changed(
            &edited("\"99 % of the requests end within 0.5 s\"\npercent = 99\n", "\"99.9 %\"\npercent = 99.9\n")
                .expect("it is right"),
        );
        assert!(objective.iter().any(|line| line.contains("vector(0.999)")), "{objective:#?}");
        let decimal = objective.iter().filter(|line| line.ends_with("/ 0.001")).count();
        assert_eq!(decimal, 8, "seven windows and what remains: {objective:#?}");
    }

    /// How many evaluations a window has is not written anywhere: it follows from how often the group is evaluated, which it
    /// says, whatever a configuration says of all groups.
    #[test]
    fn windows_are_counted_in_the_evaluations_of_their_group() {
        for (interval, counts) in
            [("30s", ["/ 120 >", "/ 120 / 0.005", "/ 86400\n"]), ("1m", ["/ 60 >", "/ 60 / 0.005", "/ 43200\n"])]
        {
            let table = ours().replacen("interval = \"15s\"", &format!("interval = \"{interval}\""), 1);
            let records = read(RECORDS).replacen("interval: 15s", &format!("interval: {interval}"), 1);
            let made = made_of(&table, &records).expect("it is right").expect("there is a table");
            assert!(made.contains(&format!("  - name: slo\n    interval: {interval}\n    rules:\n")), "{made}");
            for count in counts {
                assert!(made.contains(count), "{interval}: {count}");
            }
        }
    }

    #[test]
    fn what_is_recorded_in_another_rhythm_than_it_is_counted_in_is_told() {
        for (records, every) in [("", "as the configuration says"), ("    interval: 1m\n", "every 1m")] {
            let records = read(RECORDS).replacen("    interval: 15s\n", records, 1);
            let findings = made_of(&ours(), &records).expect_err("it counts another rhythm's");
            let what =
                format!("`job:app_requests_failed:rate5m` is recorded {every} (monitoring/prometheus/rules/app.yml)");
            let finding = findings.iter().find(|finding| finding.what.starts_with(&what));
            let line = finding.and_then(|finding| ours().lines().nth(finding.line - 1).map(str::to_owned));
            assert_eq!(line.as_deref(), Some("failed = \"job:app_requests_failed:rate5m\""), "{findings:#?}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_table_is_told_with_its_line() {
        for (from, to, what, at) in [
            ("factor = 6\n", "factors = 6\n", "unknown field `factors`", "factors"),
            ("severity = \"warning\"\n", "", "missing field `severity`", "[[pair]]"),
            ("factor = 6\n", "factor = \"6\"\n", "invalid type: string", "factor = \"6\""),
            ("period = \"30d\"", "period = 30", "invalid type: integer", "period"),
            ("period = \"30d\"", "period = \"30\"", "`30` is not a duration", "period"),
            ("period = \"30d\"", "period = \"2d\"", "both within the 2d", "short = \"6h\""),
            ("long = \"1d\"", "long = \"24h\"", "write it as 1d", "24h"),
            ("long = \"6h\"", "long = \"50m\"", "from the shortest long window", "50m"),
            ("long = \"6h\"", "long = \"6h10s\"", "no whole number of evaluations", "6h10s"),
            ("short = \"30m\"", "short = \"6h\"", "a pair is a short window, a longer one", "short = \"6h\""),
            ("for = \"5m\"", "for = \"5 m\"", "`5 m` is not a duration", "5 m"),
            ("interval = \"15s\"", "interval = \"15\"", "`15` is not a duration", "interval"),
            ("now = \"5m\"", "now = \"30m\"", "asked of a window shorter than 30m", "now = \"30m\""),
            ("now = \"5m\"", "now = \"\"", "not a duration", "now = \"\""),
            ("now = \"5m\"", "now = \"10m\"", "only if it asks the same window `now`: 5m", "now = \"10m\""),
            ("keep_firing_for = \"4m\"", "keep_firing_for = \"4\"", "`4` is not a duration", "\"4\""),
            (
                "keep_firing_for = \"9m\"",
                "keep_firing_for = \"8m\"",
                "1h keeps 6h from being told and ends before it, which pages when all is well again: `keep_firing_for` of 9m",
                "\"8m\"",
            ),
            ("keep_firing_for = \"9m\"\n", "", "`keep_firing_for` of 9m at least", "long = \"1h\""),
            ("now = \"5m\"\n", "", "`keep_firing_for` of 34m at least", "\"9m\""),
            ("percent = 99.5", "percent = 100", "100 % leave no budget", "100"),
            ("percent = 99.5", "percent = 99", "the promise does not say 99 %", "promise = \"99.5 %"),
            (
                "\"99 % of the requests",
                "\"99.9 % of the requests",
                "the promise does not say 99 %",
                "promise = \"99.9 %",
            ),
            ("slo = \"latency\"", "slo = \"errors\"", "a second objective whose `slo` is `errors`", "slo = \"errors\""),
            ("budget = \"latency\"", "budget = \"error\"", "whose `budget` is `error`", "budget = \"error\""),
            ("factor = 6\n", "factor = -1\n", "above 0", "factor = -1"),
            ("severity = \"warning\"", "severity = \"warn\"", "`warn` is no severity", "severity = \"warn\""),
            ("budget = \"error\"", "budget = \"errors-\"", "`errors-` is a part of names", "errors-"),
            ("least = 10\n", "", "has `of` and `least`; one of time has `is`", "slo = \"errors\""),
            ("is = \"1 - job:app_available:max\"\n", "", "one of time has `is`", "slo = \"availability\""),
            ("[[objective]]\n", "[[objective]\n", "", "[[objective]"),
        ] {
            let table = ours().replacen(from, to, 1);
            let findings = edited(from, to).expect_err(what);
            let finding = findings.iter().find(|finding| finding.what.contains(what));
            let finding = finding.unwrap_or_else(|| panic!("{to}: {what} is not among {findings:#?}"));
            assert_eq!(finding.file, Path::new(FOLDER).join(TABLE));
            let line = table.lines().nth(finding.line.wrapping_sub(1)).unwrap_or_default();
            assert!(line.contains(at), "{to}: line {} is `{line}`", finding.line);
        }
    }

    #[test]
    fn without_a_table_nothing_is_made() {
        assert_eq!(rules(&BTreeMap::new()), Ok(None));
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(differs("a\nb\n", "a\nb\n"), None);
        assert_eq!(differs("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(differs("a\nb\n", "a\nb"), Some(3));
        assert_eq!(differs("a\nb", "a\nb\nc"), Some(3));
    }
}
