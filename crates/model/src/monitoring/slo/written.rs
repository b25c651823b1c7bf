//! The file of rules, line by line, with what people are to know of each form.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use toml::Spanned;

use super::table::{Objective, Pair, Slo, TABLE, Times};
use aiclipx_base::duration;

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

impl Objective {
    /// The series that records what a window burns.
    fn burn(&self, window: &str) -> String {
        format!("job:app_{}_budget:burnrate{window}", self.budget.get_ref())
    }
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
    pub(super) fn written(&self, Times { period, evaluation }: Times) -> String {
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
        // The same of all objectives of requests: said of the first.
        let first = self.objective.iter().find(|one| one.of.is_some());
        *text += match objective.of {
            Some(_) if first.is_some_and(|first| first.slo == objective.slo) => GUARDS,
            Some(_) => "\n",
            None => OF_TIME,
        };
        for (at, pair) in self.pair.iter().enumerate() {
            if at > 0 {
                *text += "\n";
            }
            let guards = self.guards(objective, at, evaluation);
            alert(objective, pair, &guards, text);
        }
    }

    /// What an alert asks beside its two windows, a line each.
    fn guards(&self, objective: &Objective, at: usize, evaluation: Duration) -> String {
        let Pair { long, now, factor, .. } = &self.pair[at];
        let mut guards = String::new();
        if let Some(now) = now {
            let least = match (&objective.of, at.checked_sub(1)) {
                (None, Some(before)) => self.pair[before].factor.get_ref(),
                _ => factor.get_ref(),
            };
            let _ = writeln!(guards, "            and {} > {least}", objective.burn(now.get_ref()));
        }
        if let (Some(of), Some(least)) = (objective.of.as_ref().map(Spanned::get_ref), objective.least) {
            let (long, failed) = (long.get_ref(), objective.failed.get_ref());
            let length = duration::parse(long).unwrap_or_default();
            let (seconds, count) = (length.as_secs(), evaluations(length, evaluation));
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
        guards
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

fn alert(objective: &Objective, pair: &Pair, guards: &str, text: &mut String) {
    let Objective { slo, percent, budget, of, verb, panel, .. } = objective;
    let Pair { long, short, factor, hold, keep_firing_for, severity, .. } = pair;
    let (slo, percent, name) = (slo.get_ref(), percent.get_ref(), budget.get_ref());
    let (long, short, factor) = (long.get_ref(), short.get_ref(), factor.get_ref());
    let (hold, severity) = (hold.get_ref(), severity.get_ref());
    let capital = name[..1].to_uppercase() + &name[1..];
    let (burns_long, burns_short) = (objective.burn(long), objective.burn(short));
    let keep = keep_firing_for.as_ref().filter(|_| of.is_some());
    let keep = keep.map_or_else(String::new, |keep| format!("        keep_firing_for: {}\n", keep.get_ref()));
    let end = if severity == "critical" { "burns too fast to last" } else { "will not last its period" };
    let often = if of.is_some() { "often" } else { "long" };
    let _ = write!(
        text,
        "      - alert: App{capital}BudgetBurn{long}
        expr: |
          {burns_long} > {factor} and {burns_short} > {factor}
{guards}        for: {hold}
{keep}        labels:
          severity: {severity}
          service: app
          slo: {slo}
          long_window: {long}
          short_window: {short}
        annotations:
          summary: The {name} budget {end}.
          description: >-
            {{{{ $labels.job }}}} {verb} {{{{ $value | printf \"%.1f\" }}}} times as {often} as its objective of {percent} % allows over the long
            window, and goes on: over the short one it is above {factor}, too.
          runbook_url: monitoring/runbooks/App{capital}BudgetBurn.md
          dashboard_url: http://localhost:3000/d/slo?viewPanel={panel}
"
    );
}
