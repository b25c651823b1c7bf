//! slo.toml as types, and what is wrong with it, each with its line.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::failure::Finding;
use crate::monitoring::layout::FOLDER;
use crate::monitoring::located;
use aiclipx_base::duration;

/// The table, below monitoring/.
pub const TABLE: &str = "slo.toml";
/// The rules that record what the table names, below monitoring/.
pub(super) const RECORDS: &str = "prometheus/rules/app.yml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slo {
    pub(super) period: Spanned<String>,
    pub(super) interval: Spanned<String>,
    pub(super) pair: Vec<Pair>,
    pub(super) objective: Vec<Objective>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) long: Spanned<String>,
    pub(super) short: Spanned<String>,
    /// A third window, shorter than both: whether anything goes on.
    pub(super) now: Option<Spanned<String>>,
    pub(super) factor: Spanned<f64>,
    #[serde(rename = "for")]
    pub(super) hold: Spanned<String>,
    pub(super) keep_firing_for: Option<Spanned<String>>,
    pub(super) severity: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objective {
    pub(super) slo: Spanned<String>,
    pub(super) promise: Spanned<String>,
    pub(super) percent: Spanned<f64>,
    pub(super) budget: Spanned<String>,
    pub(super) failed: Spanned<String>,
    /// Of requests: all that the promise is for.
    pub(super) of: Option<Spanned<String>>,
    /// Of requests: so many must have failed.
    pub(super) least: Option<u32>,
    /// Of time: what `failed` is recorded as.
    pub(super) is: Option<String>,
    pub(super) verb: String,
    pub(super) panel: u32,
}

impl Objective {
    /// The share that may fail. Decimal, as the percentage was written: 100 − 99.9 of binary fractions is not 0.1.
    pub(super) fn budget_share(&self) -> f64 {
        ((100.0 - self.percent.get_ref()) * 1e7).round() / 1e9
    }

    pub(super) fn ratio(&self) -> f64 {
        (self.percent.get_ref() * 1e7).round() / 1e9
    }
}

/// Over which time the objectives are promised, and how often their rules are evaluated.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) period: Duration,
    pub(super) evaluation: Duration,
}

/// What is wrong, as it is found.
struct Findings<'a> {
    text: &'a str,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn note(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let line = self.text[..at.start].matches('\n').count() + 1;
        self.found.push(finding(line, what.into()));
    }

    /// A duration as names have it; zero where it is none.
    fn duration(&mut self, text: &Spanned<String>) -> Duration {
        let written = text.get_ref();
        match duration::parse(written) {
            Ok(duration) => {
                let usual = duration::print(duration);
                if usual != *written {
                    self.note(&text.span(), format!("`{written}` is a part of names: write it as {usual}"));
                }
                duration
            }
            Err(error) => {
                self.note(&text.span(), error.to_string());
                Duration::ZERO
            }
        }
    }

    fn windows<'a>(&mut self, pair: &'a Pair) -> Windows<'a> {
        let Pair { long, short, now, hold, keep_firing_for, .. } = pair;
        self.duration(hold);
        Windows {
            pair,
            long: self.duration(long),
            short: self.duration(short),
            now: now.as_ref().map(|now| self.duration(now)),
            kept: keep_firing_for.as_ref().map_or(Duration::ZERO, |kept| self.duration(kept)),
        }
    }
}

fn finding(line: usize, what: String) -> Finding {
    Finding { file: Path::new(FOLDER).join(TABLE), line, what, remedy: String::new() }
}

/// A pair with its durations.
struct Windows<'a> {
    pair: &'a Pair,
    long: Duration,
    short: Duration,
    now: Option<Duration>,
    kept: Duration,
}

impl Windows<'_> {
    /// The shortest of its windows: for so long it fires on after a fault, beside what it is kept.
    fn shortest(&self) -> Duration {
        self.now.unwrap_or(self.short)
    }

    fn is_page(&self) -> bool {
        self.pair.severity.get_ref() == "critical"
    }
}

impl Slo {
    /// The table, and its times; `records` is the file of rules that record what it counts.
    pub(super) fn read(text: &str, records: Option<&Vec<u8>>) -> Result<(Slo, Times), Vec<Finding>> {
        let mut findings = Findings { text, found: Vec::new() };
        let slo: Slo = match toml::from_str(text) {
            Ok(slo) => slo,
            Err(error) => {
                match error.span() {
                    Some(span) => findings.note(&span, error.message()),
                    None => findings.found.push(finding(0, error.message().to_owned())),
                }
                return Err(findings.found);
            }
        };
        let times = Times {
            period: findings.duration(&slo.period),
            evaluation: findings.duration(&slo.interval).max(Duration::from_millis(1)),
        };
        for (list, is_empty) in [("pair", slo.pair.is_empty()), ("objective", slo.objective.is_empty())] {
            if is_empty {
                let what = format!("there is no `{list}`: nothing would be asked, and nothing fire");
                findings.note(&slo.period.span(), what);
            }
        }
        slo.check_pairs(times, &mut findings);
        slo.check_objectives(&mut findings);
        slo.check_records(records, &mut findings);
        if findings.found.is_empty() { Ok((slo, times)) } else { Err(findings.found) }
    }

    fn check_pairs(&self, times: Times, findings: &mut Findings<'_>) {
        let pairs: Vec<Windows<'_>> = self.pair.iter().map(|pair| findings.windows(pair)).collect();
        for pair in &pairs {
            self.check_pair(pair, times, findings);
        }
        for neighbours in pairs.windows(2) {
            let [pair, next] = neighbours else { continue };
            if next.long <= pair.long {
                findings.note(&next.pair.long.span(), "pairs stand from the shortest long window to the longest");
            }
            if pair.is_page() && next.is_page() {
                self.check_pages(pair, next, findings);
            }
        }
    }

    fn check_pair(&self, windows: &Windows<'_>, times: Times, findings: &mut Findings<'_>) {
        let Pair { long, short, now, factor, severity, .. } = windows.pair;
        if !(factor.get_ref().is_finite() && *factor.get_ref() > 0.0) {
            findings.note(&factor.span(), "a budget burns so many times faster than evenly: above 0");
        }
        let written = severity.get_ref();
        if !["critical", "warning"].contains(&written.as_str()) {
            let what = format!("`{written}` is no severity that a route is for: critical, warning");
            findings.note(&severity.span(), what);
        }
        if windows.short >= windows.long || windows.long > times.period {
            let period = self.period.get_ref();
            let what = format!("a pair is a short window, a longer one, and both within the {period}");
            findings.note(&short.span(), what);
        }
        if let (Some(now), Some(length)) = (now, windows.now)
            && length >= windows.short
        {
            let what = format!("what goes on now is asked of a window shorter than {}", short.get_ref());
            findings.note(&now.span(), what);
        }
        if !windows.long.as_nanos().is_multiple_of(times.evaluation.as_nanos()) {
            findings.note(&long.span(), format!("{} are no whole number of evaluations", long.get_ref()));
        }
    }

    /// Of two pairs that page, the first inhibits the second, and must not end before it.
    fn check_pages(&self, windows: &Windows<'_>, next: &Windows<'_>, findings: &mut Findings<'_>) {
        let (pair, long) = (windows.pair, next.pair.long.get_ref());
        let is_of_time = self.objective.iter().any(|objective| objective.of.is_none());
        let (asked, short) = (next.pair.now.as_ref().unwrap_or(&next.pair.short), pair.short.get_ref());
        if is_of_time && asked.get_ref() != short {
            let what =
                format!("of time, {long} ends with the pair before it only if it asks the same window `now`: {short}");
            findings.note(&asked.span(), what);
        }
        let least = next.shortest() + next.kept;
        if windows.kept < least {
            let what = format!(
                "{} keeps {long} from being told and ends before it, which pages when all is well again: \
                 `keep_firing_for` of {} at least",
                pair.long.get_ref(),
                duration::print(least)
            );
            findings.note(&pair.keep_firing_for.as_ref().map_or(pair.long.span(), Spanned::span), what);
        }
    }

    fn check_objectives(&self, findings: &mut Findings<'_>) {
        let mut seen = BTreeSet::new();
        for objective in &self.objective {
            let Objective { slo, budget, failed, percent, promise, .. } = objective;
            for name in [slo, budget] {
                let written = name.get_ref();
                if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_lowercase()) {
                    findings.note(&name.span(), format!("`{written}` is a part of names: lower-case letters"));
                }
            }
            // Each is a part of names: of labels, of records and alerts, of what is read.
            for (key, name) in [("slo", slo), ("budget", budget), ("failed", failed)] {
                if !seen.insert((key, name.get_ref())) {
                    findings.note(&name.span(), format!("a second objective whose `{key}` is `{}`", name.get_ref()));
                }
            }
            let written = percent.get_ref().to_string();
            if !(objective.budget_share() > 0.0 && objective.budget_share() < 1.0) {
                findings.note(&percent.span(), format!("{written} % leave no budget, or nothing else"));
            }
            if !promise.get_ref().split_whitespace().any(|word| word.trim_end_matches('%') == written) {
                let what = format!("the promise does not say {written} %, which is what alerts go by");
                findings.note(&promise.span(), what);
            }
            let has = (objective.of.is_some(), objective.least.is_some(), objective.is.is_some());
            if ![(true, true, false), (false, false, true)].contains(&has) {
                let what = "an objective of requests has `of` and `least`; one of time has `is`";
                findings.note(&slo.span(), what);
            }
        }
    }

    /// Windows are counted in evaluations of this table's interval: what is counted must be recorded as often.
    fn check_records(&self, records: Option<&Vec<u8>>, findings: &mut Findings<'_>) {
        let Some(Ok(document)) = records.map(|bytes| located::read(bytes)) else { return };
        let ours = self.interval.get_ref();
        for name in self.objective.iter().flat_map(|one| [Some(&one.failed), one.of.as_ref()]).flatten() {
            let series = name.get_ref();
            let records = |group: &&located::Node| {
                group.items_of("rules").iter().any(|rule| rule.text_of("record") == Some(series))
            };
            let Some(group) = document.items_of("groups").iter().find(records) else { continue };
            let interval = group.text_of("interval");
            if interval != Some(ours) {
                let every = interval.map_or("as the configuration says".to_owned(), |every| format!("every {every}"));
                let what = format!(
                    "`{series}` is recorded {every} (monitoring/{RECORDS}), and counted as one of every {ours}"
                );
                findings.note(&name.span(), what);
            }
        }
    }
}
