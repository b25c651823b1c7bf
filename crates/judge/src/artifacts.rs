//! Every file of a bundle, in one table: its path, whether it is packed, who writes it, who needs it.
//!
//! What an experiment's folder may hold ([`OF_AN_EXPERIMENT`]) and what lies at the top of a bundle ([`OF_A_BUNDLE`]). Whoever
//! writes or reads one of these files takes its path from here; what is packed, what a bundle has a place for, and the tables of
//! evidence/README.md follow. A new artifact is a row here, what writes it, and what reads it.
//!
//! Which of them one experiment must consist of, and may not exceed, is [`consistency`](super::consistency)'s to say.

use std::path::{Path, PathBuf};

use aiclipx_model::monitoring::Loader;
use aiclipx_model::service::{Metric, Service};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// Below its folder; `*` stands for a name, where there are several.
    pub path: &'static str,
    /// Whether it is packed when a bundle is sealed, and then ends in [`PACKED`]: what is long, and some ten times smaller so.
    /// `zless` reads it.
    pub packed: bool,
    /// The step of making a bundle that writes it.
    pub written_by: WrittenBy,
    /// Who reads it.
    pub needed_by: Needed,
    /// What it holds, as evidence/README.md says it.
    pub holds: &'static str,
}

/// A step of making a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenBy {
    /// The scenario is enacted.
    Enact,
    /// What was recorded is collected.
    Collect,
    /// All is judged, and the reports are written.
    Report,
}

/// Who reads an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// These claims rest on it, in words.
    ByClaims(&'static str),
    /// No claim rests on it: people look at it.
    ByPeople,
}

/// What a packed artifact's name ends in.
pub const PACKED: &str = ".gz";

pub const SCENARIO: Artifact = Artifact {
    path: "scenario.toml",
    packed: false,
    written_by: WrittenBy::Enact,
    needed_by: Needed::ByClaims("all"),
    holds: "what was enacted, byte for byte",
};

/// [`Run`](super::run::Run).
pub const RUN: Artifact = Artifact {
    path: "run.json",
    packed: false,
    written_by: WrittenBy::Enact,
    needed_by: Needed::ByClaims("all"),
    holds: "when, how fast, which processes, which pictures, what disturbed it",
};

/// The client's truth.
pub const LEDGER: Artifact = Artifact {
    path: "ledger.jsonl",
    packed: true,
    written_by: WrittenBy::Enact,
    needed_by: Needed::ByClaims("all"),
    holds: "each scheduled request: when it was sent, what came of it",
};

/// What the receiver was sent.
pub const NOTIFICATIONS: Artifact = Artifact {
    path: "notifications.jsonl",
    packed: false,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("on alerts"),
    holds: "what the receiver was sent, from the window's start to its end",
};

/// A replica's exposition, around the traffic.
pub(crate) const EXPOSITION: Artifact = Artifact {
    path: "exposition/*.prom",
    packed: true,
    written_by: WrittenBy::Enact,
    needed_by: Needed::ByClaims("`buckets`, `exposed`, on panels of latency"),
    holds: "`before-N`, `after-N`: each replica's /metrics, around the traffic",
};

/// Raw samples; one for each of [`SAMPLES`].
pub const SAMPLE: Artifact = Artifact {
    path: "samples/*.json",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("on counters, alerts, panels"),
    holds: "raw samples of the window, as Prometheus answered",
};

/// What is loaded; one for each of [`LOADED_ANSWERS`], and [`NAMES`].
pub const LOADED: Artifact = Artifact {
    path: "loaded/*.json",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("`loaded`, `config`, `panel-answers`"),
    holds: "what Prometheus and Alertmanager say they run; `names`: of all metrics that Prometheus had in the window",
};

pub const LOG: Artifact = Artifact {
    path: "logs/*.log",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("`log`, on counters where a request got no answer; only the service's"),
    holds: "what the components wrote in the window",
};

/// Loki's answers: [`HELD_BY_LOKI`], [`PLANTED`], [`LEAKED`].
pub(crate) const LOKI: Artifact = Artifact {
    path: "loki/*.json",
    packed: false,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("`log`, `log-secrets`"),
    holds: "where Loki ran, how many lines of the run's requests it holds, and what of the planted ones",
};

/// A dashboard query: [`PanelAnswer`](super::experiment::PanelAnswer).
pub(crate) const PANEL_ANSWER: Artifact = Artifact {
    path: "panels/*.json",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("on panels"),
    holds: "`UID-ID-REF`: a dashboard query, its plan and the answer",
};

/// A panel drawn from those answers.
pub(crate) const PANEL_DRAWING: Artifact = Artifact {
    path: "panels/*.svg",
    packed: false,
    written_by: WrittenBy::Report,
    needed_by: Needed::ByPeople,
    holds: "`UID-ID`: the panel drawn from those answers",
};

/// A page of Grafana's: [`Seen`](super::grafana::Seen).
pub const GRAFANA_PAGE: Artifact = Artifact {
    path: "grafana/*.json",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByClaims("`pictured-dashboard`"),
    holds: "where Grafana ran, what its page of a dashboard asked and was answered",
};

/// An expected alert's graph: [`AlertGraph`](super::alert_graph::AlertGraph).
pub const GRAPH: Artifact = Artifact {
    path: "graphs/*.json",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByPeople,
    holds: "an expected alert's expression over the run, for the report to draw where its page could not be pictured",
};

/// A picture of a page, while the expected alert fired; of a dashboard's page in Grafana, after the run.
pub(crate) const PICTURE: Artifact = Artifact {
    path: "screens/*.png",
    packed: false,
    written_by: WrittenBy::Enact,
    needed_by: Needed::ByClaims("`pictured-…`: that there is one"),
    holds: "pages of Prometheus while the expected alert fired; where Grafana ran, `dashboard-UID`: its page over the run",
};

/// Prometheus' own data of the run, as it lies in its folder.
pub const SNAPSHOT: Artifact = Artifact {
    path: "tsdb.tar",
    packed: true,
    written_by: WrittenBy::Collect,
    needed_by: Needed::ByPeople,
    holds: "of a private stack, Prometheus' own data (below)",
};

/// What an experiment's folder may hold.
pub const OF_AN_EXPERIMENT: [Artifact; 15] = [
    SCENARIO,
    RUN,
    LEDGER,
    NOTIFICATIONS,
    EXPOSITION,
    SAMPLE,
    LOADED,
    LOG,
    LOKI,
    PANEL_ANSWER,
    PANEL_DRAWING,
    GRAFANA_PAGE,
    GRAPH,
    PICTURE,
    SNAPSHOT,
];

/// The names of all metrics that Prometheus had in the window: `/api/v1/label/__name__/values`.
pub const NAMES: &str = "loaded/names.json";
/// Loki's answer to how many lines of the run's requests it holds; of a stack without Loki there is none.
pub const HELD_BY_LOKI: &str = "loki/requests.json";
/// Loki's answer to which of the planted lines it holds: see [`planted`](super::planted).
pub const PLANTED: &str = "loki/planted.json";
/// Loki's answer to which lines of any component hold one of the planted secrets.
pub(crate) const LEAKED: &str = "loki/leaked.json";

/// Raw samples that are kept of a run.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Of the file, in `samples/`.
    pub name: &'static str,
    /// What is asked for over the window.
    pub selector: String,
}

/// What every process of Go's own client, and ours, tells its start by.
const PROCESS_START: &str = "process_start_time_seconds";

/// The names of all there can be: one file of [`SAMPLE`] each.
pub const SAMPLES: [&str; 9] = [
    "requests",
    "latency_count",
    "latency_inf",
    "errors",
    "up",
    "scrape_duration",
    "process_start",
    "alerts",
    "iterations_missed",
];

/// What is asked for of a service: of what it does not have there is nothing to ask.
pub fn samples_of(service: &Service) -> Vec<Sample> {
    let job = service.job.as_str();
    let of_latency = |ending, more: &[(&str, &str, &str)]| Some(service.latency.as_ref()?.selector(job, ending, more));
    let plain = |metric: &Metric| metric.selector(job, "", &[]);
    let starts = match service.process_start.as_deref() {
        Some(PROCESS_START) => PROCESS_START.to_owned(),
        Some(other) => format!(r#"{{__name__=~"{PROCESS_START}|{other}"}}"#),
        // What else runs behind its target tells for itself.
        None => format!(r#"{PROCESS_START}{{job!="{job}"}}"#),
    };
    let selectors = [
        service.requests.as_ref().map(plain),
        of_latency("_count", &[]),
        of_latency("_bucket", &[("le", "=", "+Inf")]),
        service.errors.as_ref().map(plain),
        Some("up".to_owned()),
        Some(format!(r#"scrape_duration_seconds{{job="{job}"}}"#)),
        Some(starts),
        Some("ALERTS".to_owned()),
        Some("prometheus_rule_group_iterations_missed_total".to_owned()),
    ];
    let asked = SAMPLES.into_iter().zip(selectors);
    asked.filter_map(|(name, selector)| Some(Sample { name, selector: selector? })).collect()
}

/// An answer in which a component says what it runs.
#[derive(Debug, Clone, Copy)]
pub struct LoadedAnswer {
    /// Of the file, in `loaded/`.
    pub name: &'static str,
    /// Who is asked.
    pub of: Loader,
    /// For what.
    pub path: &'static str,
}

/// One file of [`LOADED`] each.
pub const LOADED_ANSWERS: [LoadedAnswer; 5] = [
    LoadedAnswer { name: "config", of: Loader::Prometheus, path: "/api/v1/status/config" },
    LoadedAnswer { name: "rules", of: Loader::Prometheus, path: "/api/v1/rules" },
    LoadedAnswer { name: "flags", of: Loader::Prometheus, path: "/api/v1/status/flags" },
    LoadedAnswer { name: "prometheus", of: Loader::Prometheus, path: "/api/v1/status/buildinfo" },
    LoadedAnswer { name: "alertmanager", of: Loader::Alertmanager, path: "/api/v2/status" },
];

/// What lies at the top of a bundle, beside the sums; folders end in a slash.
pub const OF_A_BUNDLE: [&str; 9] = [
    "report.html",
    "report.md",
    "report.pdf",
    "run.json",
    "verdicts.json",
    "tree/",
    "mutants.json",
    "experiments/",
    "broken-off/",
];

/// Where the experiments lie, each in a folder.
pub const EXPERIMENTS: &str = "experiments";
/// Where a bundle keeps what is left of tries that did not come to their end, each in a folder.
pub const BROKEN_OFF: &str = "broken-off";

impl Artifact {
    /// The path of the one that is called so.
    pub fn named(&self, name: &str) -> String {
        self.path.replacen('*', name, 1)
    }

    /// The path of the only one there is.
    pub(crate) fn file(&self) -> String {
        self.path.to_owned()
    }

    /// Where the only one lies in an experiment's folder.
    pub fn below(&self, folder: &Path) -> PathBuf {
        folder.join(self.path)
    }

    /// Whether a file is one of this kind, by its place in the experiment's folder without [`PACKED`].
    pub(crate) fn is(&self, file: &str) -> bool {
        match self.path.split_once('*') {
            None => file == self.path,
            Some((before, after)) => file
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|name| !name.contains('/')),
        }
    }

    /// The folder in which there are several, and what their names end in; none where there is only one.
    pub(crate) fn several(&self) -> Option<(&'static str, &'static str)> {
        let (before, after) = self.path.split_once('*')?;
        Some((before.trim_end_matches('/'), after))
    }
}

/// The kind of a file, by its place in an experiment's folder without [`PACKED`]; none where there is no place for it.
pub fn of(file: &str) -> Option<&'static Artifact> {
    OF_AN_EXPERIMENT.iter().find(|artifact| artifact.is(file))
}

/// Where a replica's exposition lies; `when` is `before` or `after` the traffic.
pub fn exposition(when: &str, replica: usize) -> String {
    EXPOSITION.named(&format!("{when}-{replica}"))
}

/// Where the drawing of a panel, `uid/id`, lies.
pub(crate) fn panel_drawing(panel: &str) -> String {
    PANEL_DRAWING.named(&panel.replace('/', "-"))
}

/// Where the picture of a page for an alert lies. Of a name that is no plain word nothing lies anywhere.
pub fn picture(alert: &str, page: &str) -> String {
    let word = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect::<String>();
    PICTURE.named(&format!("{}-{}", word(alert), word(page)))
}

/// Where the picture of a dashboard's page in Grafana lies.
pub fn dashboard_picture(dashboard: &str) -> String {
    PICTURE.named(&format!("dashboard-{dashboard}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_one_kind_at_most_and_its_folder_and_ending_decide() {
        for (file, path) in [
            ("run.json", Some("run.json")),
            ("samples/up.json", Some("samples/*.json")),
            ("panels/slo-3-A.json", Some("panels/*.json")),
            ("panels/slo-3.svg", Some("panels/*.svg")),
            ("samples/up.prom", None),
            ("samples/deeper/up.json", None),
            ("elsewhere/run.json", None),
            ("tsdb.tar.gz", None),
        ] {
            assert_eq!(of(file).map(|artifact| artifact.path), path, "{file}");
            assert!(OF_AN_EXPERIMENT.iter().filter(|artifact| artifact.is(file)).count() < 2, "{file}");
        }
    }

    #[test]
    fn every_path_that_is_made_is_one_the_table_has() {
        let named = [NAMES, HELD_BY_LOKI, PLANTED, LEAKED].map(str::to_owned).into_iter();
        let made = [exposition("before", 0), panel_drawing("slo/3"), picture("A", "graph"), dashboard_picture("slo")];
        let several = OF_AN_EXPERIMENT.iter().map(|artifact| artifact.named("a"));
        for file in named.chain(made).chain(several) {
            assert!(of(&file).is_some(), "{file}");
        }
        assert_eq!(picture("../../A", "graph"), "screens/A-graph.png");
    }
}
