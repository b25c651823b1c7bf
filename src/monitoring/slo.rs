//! slo.toml into prometheus/rules/slo.yml: the rules of the objectives, of which every one is the same but for its names.
//!
//! Pure, like [`render`](super::Monitoring::render): (slo.toml, prometheus.yml) → the file, byte for byte. That the file is
//! what the table gives is `check`'s to hold. What is made reads as if a person had written it, for a person will at three in
//! the morning: each form with why it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{FOLDER, PROMETHEUS, duration_of, located};
use crate::duration;
use crate::failure::Finding;

/// The table, below monitoring/.
pub const TABLE: &str = "slo.toml";
/// What is made of it, below monitoring/.
pub const MADE: &str = "prometheus/rules/slo.yml";
/// What it is made of: the table, and how often rules are evaluated.
pub const SOURCES: [&str; 2] = [TABLE, PROMETHEUS];

/// Prometheus' own, where a configuration says none.
const DEFAULT_EVALUATION: Duration = Duration::from_secs(60);

/// The rules, by the files of monitoring/; none where there is no table. Everything that is wrong with it is told.
pub fn rules(files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Option<String>, Vec<Finding>> {
    let Some(table) = files.get(Path::new(TABLE)) else { return Ok(None) };
    let text = String::from_utf8_lossy(table);
    let configuration = files.get(Path::new(PROMETHEUS)).and_then(|bytes| located::read(bytes).ok());
    let evaluation =
        configuration.and_then(|node| node.get("global").map(|global| duration_of(global, "evaluation_interval")));
    let evaluation = evaluation.filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_EVALUATION);
    let slo: Slo = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(&text, &span));
        vec![finding(line, error.message().to_owned())]
    })?;
    let mut findings = Vec::new();
    let period = slo.understood(&text, evaluation, &mut findings);
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
    pair: Vec<Pair>,
    objective: Vec<Objective>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    long: Spanned<String>,
    short: Spanned<String>,
    factor: f64,
    #[serde(rename = "for")]
    hold: Spanned<String>,
    severity: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Objective {
    slo: Spanned<String>,
    promise: String,
    percent: Spanned<f64>,
    budget: Spanned<String>,
    failed: Spanned<String>,
    /// Of requests: all that the promise is for.
    of: Option<String>,
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
    /// The period; what is wrong with the table is told.
    fn understood(&self, text: &str, evaluation: Duration, findings: &mut Vec<Finding>) -> Duration {
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
        let pairs: Vec<_> = self.pair.iter().map(|pair| (pair, read(&pair.long), read(&pair.short))).collect();
        for pair in &self.pair {
            read(&pair.hold);
        }
        let mut before = Duration::ZERO;
        for (pair, long, short) in &pairs {
            if short >= long || *long > period {
                let what =
                    format!("a pair is a short window, a longer one, and both within the {}", self.period.get_ref());
                complain(pair.short.span(), what);
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
        let mut seen = BTreeSet::new();
        for objective in &self.objective {
            for name in [&objective.slo, &objective.budget] {
                let is_word = name.get_ref().bytes().all(|byte| byte.is_ascii_lowercase());
                if !is_word || name.get_ref().is_empty() {
                    complain(name.span(), format!("`{}` is a part of names: lower-case letters", name.get_ref()));
                }
            }
            if !seen.insert(objective.slo.get_ref()) || !seen.insert(objective.failed.get_ref()) {
                complain(objective.slo.span(), format!("a second objective `{}`", objective.slo.get_ref()));
            }
            if !(objective.budget_share() > 0.0 && objective.budget_share() < 1.0) {
                let what = format!("{} % leave no budget, or nothing else", objective.percent.get_ref());
                complain(objective.percent.span(), what);
            }
            let is_of_requests = objective.of.is_some() && objective.least.is_some() && objective.is.is_none();
            let is_of_time = objective.of.is_none() && objective.least.is_none() && objective.is.is_some();
            if !is_of_requests && !is_of_time {
                let what = "an objective of requests has `of` and `least`; one of time has `is`".to_owned();
                complain(objective.slo.span(), what);
            }
        }
        period
    }
}

/// Every window once, from short to long, each with whether it is some pair's long one.
fn windows(pairs: &[Pair]) -> Vec<(String, Duration, bool)> {
    let long: BTreeSet<&String> = pairs.iter().map(|pair| pair.long.get_ref()).collect();
    let all: BTreeSet<&String> = pairs.iter().map(|pair| pair.short.get_ref()).chain(long.iter().copied()).collect();
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
# what is known. app.yml records what is read here, in a group of its own: it is an evaluation old at most.
groups:
  - name: slo
    rules:
";

const GUARDS: &str = "
      # The last lines are guards, over the pair's own long window, so that a lull of minutes does not begin the hours of a
      # `for` anew. So many requests must have failed: a share of a handful says nothing. The first pair is asked of a
      # Prometheus that has just been started, too, and takes what is not known for time without failures; the longer ones
      # ask for knowledge from before their long window, for minutes after a first start are not yet three days.
";

const OF_TIME: &str = "
      # Without guards: what is not known is no outage, so that minutes after a first start are not yet an hour.
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
            let _ = writeln!(text, "# {:<14}{promise}", format!("{}:", slo.get_ref()));
        }
        text += &HEAD.replacen('\n', "#\n", 1);
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
            let _ = match &objective.of {
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
            let Pair { long, short, factor, hold, severity } = pair;
            let (long, short, hold) = (long.get_ref(), short.get_ref(), hold.get_ref());
            let mut guards = String::new();
            if let (Some(of), Some(least)) = (&objective.of, objective.least) {
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
        labels:
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
            let _ = match &objective.of {
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
