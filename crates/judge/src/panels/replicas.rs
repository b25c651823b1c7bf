//! What a panel may show of several replicas. Prometheus scrapes each at times of its own and adds up what it makes of each, so the
//! ledger is asked the same way: of each replica between its own scrapes.

use super::window::{Allowed, Known, of_the_service};
use crate::experiment::Experiment;
use aiclipx_model::prom::answer::Series;
use aiclipx_model::scenario::Measure;
use aiclipx_model::service::Service;
use aiclipx_model::traffic::ledger::{Ledger, Measured};

/// A replica: when it was scraped, in Unix milliseconds, and what was sent to it.
pub(super) struct Replica {
    scrapes: Vec<i64>,
    pub(super) ledger: Ledger,
}

/// The replicas by themselves, where there are several and the panel adds them up; a quantile or a maximum is of all together.
pub(super) fn replicas(experiment: &Experiment, service: &Service, measure: Measure) -> anyhow::Result<Vec<Replica>> {
    let is_sum = matches!(measure, Measure::RequestRate | Measure::ErrorRate | Measure::ErrorShare);
    if !is_sum || !experiment.run.tells_replicas_apart() {
        return Ok(Vec::new());
    }
    let up = experiment.samples("up")?;
    let replica = |(number, name): (u32, String)| {
        let is_it = |series: &Series| experiment.run.replica_at(series.labels.get("instance")).as_ref() == Some(&name);
        let scraped = of_the_service(&up, service).filter(|(series, _)| is_it(series));
        let mut ledger = experiment.ledger.clone();
        ledger.entries.retain(|entry| entry.replica == Some(number));
        Replica { scrapes: scraped.flat_map(|(_, times)| times).collect(), ledger }
    };
    Ok((1..).zip(experiment.run.replicas()).map(replica).collect())
}

/// What is known of a window of each; none where one of them was scraped less than twice in it.
pub(super) fn known(replicas: &[Replica], from: i64, to: i64) -> Option<Vec<(&Replica, Known)>> {
    replicas.iter().map(|replica| Some((replica, Known::of(&replica.scrapes, from, to)?))).collect()
}

/// As [`Allowed::by`], of sums: `edges` says how many requests of a replica may be on either side of an edge of its window.
#[allow(clippy::cast_precision_loss)] // requests of a window
pub(super) fn allowed(
    measure: Measure,
    known: &[(&Replica, Known)],
    edges: impl Fn(&Ledger, &Known) -> f64,
    measured: impl Fn(&Ledger, Measure, &Known) -> Option<Measured>,
) -> Option<Allowed> {
    // Of each the rate that Prometheus makes of it; none of nothing.
    let rate = |measure| -> Option<f64> {
        let of =
            |(one, known): &(&Replica, Known)| Some(measured(&one.ledger, measure, known)?.value * known.stretch());
        known.iter().map(of).sum()
    };
    if measure == Measure::ErrorShare {
        let answered = known.iter().filter_map(|(one, known)| measured(&one.ledger, Measure::RequestRate, known));
        let answered: u64 = answered.map(|measured| measured.population).sum();
        let at_the_edges: f64 = known.iter().map(|(one, known)| edges(&one.ledger, known)).sum();
        let (failed, all) = (rate(Measure::ErrorRate)?, rate(Measure::RequestRate)?);
        return (all > 0.0).then(|| Allowed::around(failed / all, at_the_edges / (answered as f64).max(1.0)));
    }
    let at_the_edges = |(one, known): &(&Replica, Known)| edges(&one.ledger, known) / known.seconds() * known.stretch();
    Some(Allowed::around(rate(measure)?, known.iter().map(at_the_edges).sum()))
}
