//! Whether a single event fires an alert: after one, `increase(x[5m]) > 0` holds for five minutes, so a shorter `for` passes.
//!
//! [`after_one_event`] decides for how long an expression holds after one event. The bare value of a counter, which holds until
//! the counter starts again, is not looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::token::{
    T_ADD, T_AVG, T_BOTTOMK, T_COUNT, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS,
    T_MAX, T_MIN, T_MUL, T_NEQ, T_QUANTILE, T_SUB, T_SUM, T_TOPK, TokenId,
};
use promql_parser::parser::{BinaryExpr, Call, Expr};

use super::finding::Findings;
use aiclipx_base::duration;
use aiclipx_model::monitoring::{Alert, Monitoring, promql};

/// Alerts that are meant to fire at one event: a line that is lost does not come back, and nothing else reports it.
pub(super) const OF_ONE_EVENT: [&str; 1] = ["MonitoringLogsDropped"];
/// Functions whose result does not depend on whether their argument has a value.
const ANYHOW: [&str; 4] = ["absent", "absent_over_time", "scalar", "vector"];
/// Functions and aggregations whose result is at most as large as their argument's.
const FUNCTIONS_THAT_KEEP: [&str; 7] = ["abs", "label_join", "label_replace", "scalar", "sort", "sort_desc", "vector"];
const AGGREGATIONS_THAT_KEEP: [TokenId; 7] = [T_AVG, T_BOTTOMK, T_MAX, T_MIN, T_QUANTILE, T_SUM, T_TOPK];
/// By how much more than 1 `increase()` may count one event: Prometheus extrapolates to both ends of the window.
const EXTRAPOLATED: f64 = 1.1;

/// An alert whose condition holds after one event, for as long as that is in its window, needs a `for` at least as long as the
/// window.
pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    for alert in monitoring.alerts() {
        one_event(alert, monitoring, findings);
    }
}

fn one_event(alert: &Alert, monitoring: &Monitoring, findings: &mut Findings) {
    let Ok(tree) = promql::parse(&alert.expr) else { return };
    if let Held::For(window) = after_one_event(&tree, monitoring, &BTreeSet::new())
        && alert.hold < window
        && !OF_ONE_EVENT.contains(&alert.name.as_str())
    {
        let window = duration::print(window);
        let what = format!("{} fires at one event: it holds for {window} after it", alert.name);
        findings.at(
            "alert/one-event",
            alert,
            what,
            format!("`for: {window}` or more, or compare with what is more than one event"),
        );
    }
}

/// What one event does to a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    /// Nothing: it is about a state, whatever happened.
    Anyhow,
    /// It holds for so long after the event.
    For(Duration),
    /// It does not hold: that takes more than one event.
    Never,
}

impl Held {
    /// Both must hold: the shorter time counts, and a state does not count.
    fn and(self, other: Held) -> Held {
        match (self, other) {
            (Held::Never, _) | (_, Held::Never) => Held::Never,
            (Held::For(one), Held::For(other)) => Held::For(one.min(other)),
            (Held::Anyhow, other) | (other, Held::Anyhow) => other,
        }
    }

    /// Either may hold: the longer time counts.
    fn or(self, other: Held) -> Held {
        match (self, other) {
            (Held::For(one), Held::For(other)) => Held::For(one.max(other)),
            (Held::For(one), _) | (_, Held::For(one)) => Held::For(one),
            (Held::Anyhow, _) | (_, Held::Anyhow) => Held::Anyhow,
            (Held::Never, Held::Never) => Held::Never,
        }
    }

    fn and_in_a_range_of(self, range: Duration) -> Held {
        match self {
            Held::For(window) => Held::For(window + range),
            other => other,
        }
    }

    /// As a value of this size while it holds, and none or zero otherwise.
    fn with(self, size: f64) -> Option<Memory> {
        match self {
            Held::Anyhow => None,
            Held::For(window) => Some(Memory { window, size: Some(size) }),
            Held::Never => Some(Memory { window: Duration::ZERO, size: Some(0.0) }),
        }
    }
}

/// For how long an expression has a value after one event, which is what an alert fires by; recording rules are followed.
///
/// An operation on several has a value while all of them have; what stands behind `unless` only narrows it.
fn after_one_event(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Held {
    let of = |expr: &Expr| after_one_event(expr, monitoring, seen);
    let recorded = |name: Option<&String>| {
        let followed = name.and_then(|name| monitoring.followed(name, seen));
        followed.map_or(Held::Anyhow, |(tree, seen)| after_one_event(tree, monitoring, &seen))
    };
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Unary(unary) => of(&unary.expr),
        Expr::Aggregate(aggregate) => of(&aggregate.expr),
        Expr::Subquery(subquery) => of(&subquery.expr).and_in_a_range_of(subquery.range),
        Expr::VectorSelector(selector) => recorded(selector.name.as_ref()),
        Expr::MatrixSelector(matrix) => recorded(matrix.vs.name.as_ref()).and_in_a_range_of(matrix.range),
        Expr::Call(call) if ANYHOW.contains(&call.func.name) => Held::Anyhow,
        Expr::Call(call) => call.args.args.iter().map(|argument| of(argument)).fold(Held::Anyhow, Held::and),
        Expr::Binary(BinaryExpr { lhs, rhs, op, .. }) => match op.id() {
            T_LOR if promql::number(rhs).is_some() || promql::is_nothing(rhs) => Held::Anyhow,
            T_LOR => of(lhs).or(of(rhs)),
            T_LUNLESS => of(lhs),
            _ if op.is_comparison_operator() && !is_bool(expr) => {
                of(lhs).and(of(rhs)).and(compared(lhs, op.id(), rhs, monitoring, seen))
            }
            _ => of(lhs).and(of(rhs)),
        },
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Held::Anyhow,
    }
}

/// Whether an expression is a comparison with `bool`: 1 or 0, and no sample filtered.
fn is_bool(expr: &Expr) -> bool {
    matches!(expr, Expr::Binary(binary) if binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool))
}

/// For how long a comparison holds after one event.
fn compared(lhs: &Expr, op: TokenId, rhs: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Held {
    let (value, op, bound) = match (promql::number(lhs), promql::number(rhs)) {
        (Some(bound), None) => (rhs, mirrored(op), Some(bound)),
        (_, bound) => (lhs, op, bound),
    };
    let of = |expr: &Expr| memory(expr, monitoring, seen);
    let Some(Memory { window, size }) = of(value) else {
        return if of(rhs).is_some() { Held::Never } else { Held::Anyhow };
    };
    let Some(bound) = bound else { return Held::Never };
    let is_enough = match op {
        // That nothing happened is a state, and so is little.
        T_LSS | T_LTE => return Held::Anyhow,
        T_NEQ if bound != 0.0 => return Held::Anyhow,
        T_GTR | T_GTE if bound < 0.0 => return Held::Anyhow,
        T_EQLC | T_GTE if bound == 0.0 => return Held::Anyhow,
        T_GTR | T_NEQ if bound == 0.0 => size.is_none_or(|size| size > 0.0),
        T_GTR => size.is_some_and(|size| size > bound),
        T_GTE => size.is_some_and(|size| size >= bound),
        T_EQLC => size.is_some_and(|size| size.total_cmp(&bound).is_eq()),
        _ => false,
    };
    if is_enough { Held::For(window) } else { Held::Never }
}

/// The comparison with its sides exchanged.
fn mirrored(op: TokenId) -> TokenId {
    match op {
        T_LSS => T_GTR,
        T_LTE => T_GTE,
        T_GTR => T_LSS,
        T_GTE => T_LTE,
        same => same,
    }
}

/// How an event shows in a value.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// For how long.
    window: Duration,
    /// The largest value that one event can lead to, where the expression's form tells.
    size: Option<f64>,
}

impl Memory {
    fn sized(self, by: impl FnOnce(f64) -> f64) -> Memory {
        Memory { size: self.size.map(by), ..self }
    }

    fn longest(one: Option<Memory>, other: Option<Memory>, size: Option<f64>) -> Option<Memory> {
        let window = one.into_iter().chain(other).map(|memory| memory.window).max()?;
        Some(Memory { window, size })
    }
}

/// How an event shows in a value, recording rules followed; none where it does not.
fn memory(expr: &Expr, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<Memory> {
    let of = |expr: &Expr| memory(expr, monitoring, seen);
    let held = |expr: &Expr| after_one_event(expr, monitoring, seen);
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Subquery(subquery) => of(&subquery.expr),
        Expr::Unary(unary) => of(&unary.expr).map(|memory| Memory { size: None, ..memory }),
        Expr::Aggregate(aggregate) if [T_COUNT, T_GROUP].contains(&aggregate.op.id()) => {
            held(&aggregate.expr).with(1.0)
        }
        Expr::Aggregate(aggregate) => {
            let keeps = AGGREGATIONS_THAT_KEEP.contains(&aggregate.op.id());
            of(&aggregate.expr).map(|memory| Memory { size: memory.size.filter(|_| keeps), ..memory })
        }
        Expr::Call(call) => called(call, monitoring, seen),
        Expr::Binary(BinaryExpr { lhs, rhs, op, .. }) => match (op.id(), promql::number(lhs), promql::number(rhs)) {
            // A filter keeps values as they are.
            (T_LAND | T_LUNLESS, ..) => of(lhs),
            (id, left, _) if op.is_comparison_operator() => {
                let so = compared(lhs, id, rhs, monitoring, seen);
                if is_bool(expr) {
                    return so.with(1.0);
                }
                let kept = of(if left.is_some() { rhs } else { lhs });
                kept.map(|kept| Memory { size: if so == Held::Never { Some(0.0) } else { kept.size }, ..kept })
            }
            (T_DIV, _, Some(by)) => of(lhs).map(|memory| memory.sized(|size| size / by)),
            (T_MUL, _, Some(by)) => of(lhs).map(|memory| memory.sized(|size| size * by)),
            (T_MUL, Some(by), _) => of(rhs).map(|memory| memory.sized(|size| size * by)),
            (T_ADD, _, Some(more)) => of(lhs).map(|memory| memory.sized(|size| size + more)),
            (T_ADD, Some(more), _) => of(rhs).map(|memory| memory.sized(|size| size + more)),
            (T_SUB, _, Some(less)) => of(lhs).map(|memory| memory.sized(|size| size - less)),
            (id, ..) => {
                let (left, right) = (of(lhs), of(rhs));
                let sizes = || left.iter().chain(&right).filter_map(|memory| memory.size);
                let size = match id {
                    T_LOR => sizes().reduce(f64::max),
                    T_ADD if left.is_some() && right.is_some() => Some(sizes().sum()).filter(|_| sizes().count() == 2),
                    _ => None,
                };
                Memory::longest(left, right, size)
            }
        },
        Expr::VectorSelector(selector) => {
            let (tree, seen) = monitoring.followed(selector.name.as_deref()?, seen)?;
            memory(tree, monitoring, &seen)
        }
        Expr::MatrixSelector(matrix) => of(&Expr::VectorSelector(matrix.vs.clone())),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => None,
    }
}

fn called(call: &Call, monitoring: &Monitoring, seen: &BTreeSet<&str>) -> Option<Memory> {
    let arguments = || call.args.args.iter().map(AsRef::as_ref);
    let before = arguments().filter_map(|argument| memory(argument, monitoring, seen));
    let before = before.max_by_key(|memory| memory.window);
    let range = arguments().find_map(|argument| match argument {
        Expr::MatrixSelector(matrix) => Some(matrix.range),
        Expr::Subquery(subquery) => Some(subquery.range),
        _ => None,
    });
    // A value that is there only while something holds.
    let held = arguments().map(|argument| after_one_event(argument, monitoring, seen)).fold(Held::Anyhow, Held::and);
    let longer = |range: Duration| before.map_or(Duration::ZERO, |memory| memory.window) + range;
    match (call.func.name, range) {
        (name, Some(range)) if promql::REMEMBER_AN_EVENT.contains(&name) => {
            let counted = if ["changes", "resets"].contains(&name) { 1.0 } else { EXTRAPOLATED };
            let size = if name.ends_with("rate") { counted / range.as_secs_f64() } else { counted };
            Some(Memory { window: longer(range), size: Some(size).filter(|_| before.is_none()) })
        }
        ("absent" | "absent_over_time", _) => None,
        ("present_over_time", Some(_)) => held.with(1.0),
        ("count_over_time", Some(range)) => held.with(samples(call, range, held, monitoring)),
        // What is not there is not less.
        ("min_over_time", Some(_)) if let Held::For(window) = held => before.map(|memory| Memory { window, ..memory }),
        // All of it must have it.
        ("min_over_time", Some(range)) => {
            before.map(|memory| Memory { window: memory.window.saturating_sub(range), ..memory })
        }
        ("max_over_time" | "last_over_time", Some(range)) => {
            before.map(|memory| Memory { window: longer(range), ..memory })
        }
        (name, None) if FUNCTIONS_THAT_KEEP.contains(&name) => before,
        (_, range) => before.map(|_| Memory { window: longer(range.unwrap_or_default()), size: None }),
    }
}

/// The most samples that a range has of something that holds for so long.
fn samples(call: &Call, range: Duration, held: Held, monitoring: &Monitoring) -> f64 {
    let Held::For(window) = held else { return 0.0 };
    let step = call.args.args.iter().find_map(|argument| match argument.as_ref() {
        Expr::Subquery(subquery) => subquery.step,
        _ => None,
    });
    let step = step.unwrap_or_else(|| monitoring.evaluation_interval()).max(Duration::from_millis(1));
    window.saturating_sub(range).min(range).div_duration_f64(step).floor() + 1.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const RECORDED: &str = "groups:\n- name: extra\n  rules:\n  - record: job:a:rate5m\n    expr: sum by (job) (rate(a_total[5m]))\n  - record: job:a:itself\n    expr: job:a:itself or rate(a_total[5m])\n  - record: job:a:above\n    expr: rate(a_total[5m]) > 0\n";

    #[test]
    fn what_one_event_does_to_a_condition() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("monitoring");
        let ours = Monitoring::read(&folder).unwrap_or_else(|failure| panic!("{failure}"));
        let mut files = ours.files().clone();
        files.insert("prometheus/rules/extra.yml".into(), RECORDED.as_bytes().to_vec());
        let monitoring = Monitoring::from_files(files).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let minutes = |minutes| Held::For(Duration::from_mins(minutes));
        let mut missed = Vec::new();
        for (expr, held) in [
            // Above nothing, however it is written.
            ("rate(a[5m]) > 0", minutes(5)),
            ("0 < increase(a[20m])", minutes(20)),
            ("(sum by (job) (rate(a[20m])) != 0)", minutes(20)),
            ("sum by (job) (resets(a[20m]) > 0)", minutes(20)),
            ("rate(a[5m] offset 1h) > 0", minutes(5)),
            // As much as one event, or more.
            ("changes(a[1h]) >= 1", minutes(60)),
            ("changes(a[1h]) > 1", Held::Never),
            ("changes(a[1h]) == 1", minutes(60)),
            ("changes(a[1h]) == 2", Held::Never),
            ("increase(a[1h]) > 1", minutes(60)),
            ("increase(a[1h]) > 2", Held::Never),
            ("sum(rate(a[5m])) > 0.003", minutes(5)),
            ("sum(rate(a[5m])) > 0.01", Held::Never),
            ("rate(a[5m]) * 300 > 1", minutes(5)),
            ("300 * rate(a[5m]) / 2 > 1", Held::Never),
            ("rate(a[5m]) / rate(b[5m]) > 0.05", Held::Never),
            ("rate(a[5m]) / rate(b[5m]) > 0", minutes(5)),
            ("rate(a[5m]) > rate(b[5m])", Held::Never),
            ("a > rate(b[5m])", Held::Never),
            // A number may be computed.
            ("rate(a[5m]) > 1 / 600", minutes(5)),
            ("rate(a[5m]) > (3 - 1) * 2 / 2400 + 0", minutes(5)),
            ("rate(a[5m]) > 10 / 600", Held::Never),
            ("rate(a[5m]) > on () vector(1 / 600)", minutes(5)),
            ("rate(a[5m]) - 0.001 > 0", minutes(5)),
            ("rate(a[5m]) - 0.01 > 0", Held::Never),
            ("rate(a[5m]) + 1 > 1", minutes(5)),
            ("1 + rate(a[5m]) > 1.01", Held::Never),
            // That it is so is one, and that it is not is zero.
            ("(rate(a[5m]) > bool 0) == 1", minutes(5)),
            ("(rate(a[5m]) > bool 0.01) == 1", Held::Never),
            ("(rate(a[5m]) > bool 0.01) > 0", Held::Never),
            ("sum(0 < bool rate(a[5m])) >= 1", minutes(5)),
            ("(rate(a[5m]) < bool 0.01) == 1", Held::Anyhow),
            ("rate(a[5m]) > bool 0", Held::Anyhow),
            // What is made of a condition is there while it is.
            ("(rate(a[5m]) > 0) * 100", minutes(5)),
            ("100 * (rate(a[5m]) > 0.01)", Held::Never),
            ("(rate(a[5m]) > 0) * on () group_left info", minutes(5)),
            ("(rate(a[20m]) > 0) / (rate(b[5m]) > 0)", minutes(5)),
            ("-(rate(a[5m]) > 0)", minutes(5)),
            ("(rate(a[5m]) > 0) < 100", minutes(5)),
            ("job:a:above", minutes(5)),
            ("sum(0 < rate(a[5m])) > 0", minutes(5)),
            ("sum(0.01 > rate(a[5m])) > 0", minutes(5)),
            ("max_over_time((rate(a[5m]) > 0)[10m:])", minutes(15)),
            ("max_over_time(job:a:above[10m])", minutes(15)),
            ("min_over_time((rate(a[20m]) > 0)[5m:]) > 0", minutes(25)),
            ("label_replace(rate(a[5m]) > 0, \"b\", \"$1\", \"c\", \"(.+)\")", minutes(5)),
            ("absent(rate(a[5m]) > 0)", Held::Anyhow),
            ("vector(scalar(rate(a[5m]) > 0))", Held::Anyhow),
            ("rate(a[5m]) > 0 or vector(0)", Held::Anyhow),
            ("rate(a[5m]) > 0 or 0 * b", Held::Anyhow),
            ("(rate(a[5m]) > 0.01 or 0 * b) > 0", Held::Never),
            ("label_replace(rate(a[5m]), \"b\", \"$1\", \"c\", \"(.+)\") > 0.003", minutes(5)),
            ("avg by (job) (rate(a[5m])) > 0.003", minutes(5)),
            // So are how many there are.
            ("count(rate(a[5m]) > 0) >= 1", minutes(5)),
            ("count(rate(a[5m]) > 0) > 1", Held::Never),
            ("count(rate(a[5m]) > 0.01) > 0", Held::Never),
            ("count(rate(a[5m])) >= 1", Held::Anyhow),
            ("group(rate(a[5m]) > 0) == 1", minutes(5)),
            ("present_over_time((rate(a[5m]) > 0)[30m:]) == 1", minutes(35)),
            ("count_over_time((rate(a[5m]) > 0)[30m:1m]) >= 4", minutes(35)),
            ("count_over_time((rate(a[5m]) > 0)[30m:1m]) > 10", Held::Never),
            // A state; and that nothing happens is one.
            ("up == 0", Held::Anyhow),
            ("absent(up)", Held::Anyhow),
            ("rate(a[5m]) == 0", Held::Anyhow),
            ("rate(a[5m]) >= 0", Held::Anyhow),
            ("rate(a[5m]) > -1", Held::Anyhow),
            ("changes(a[5m]) != 1", Held::Anyhow),
            ("rate(a[5m]) < 0.5", Held::Anyhow),
            ("avg_over_time(up[5m]) < 0.8", Held::Anyhow),
            // What only remembers holds it longer, or as long as all of its range has it.
            ("max_over_time(rate(a[5m])[30m:]) > 0", minutes(35)),
            ("avg_over_time(rate(a[5m])[30m:]) > 0", minutes(35)),
            ("present_over_time((rate(a[5m]) > 0)[30m:]) > 0", minutes(35)),
            ("max_over_time(sum_over_time(rate(a[5m])[30m:])[1h:]) > 0", minutes(95)),
            ("min_over_time(rate(a[20m])[5m:]) > 0", minutes(15)),
            ("max_over_time(job:a:rate5m[30m]) > 0", minutes(35)),
            ("job:a:rate5m > 0", minutes(5)),
            ("job:a:itself > 0", minutes(5)),
            // All of it must hold, and any of it may.
            ("up == 1 and rate(a[20m]) > 0", minutes(20)),
            ("rate(a[20m]) > 0 and up == 1", minutes(20)),
            ("up == 1 and rate(a[20m]) > 0.01", Held::Never),
            ("rate(a[20m]) > 0 and rate(a[5m]) > 0", minutes(5)),
            ("rate(a[20m]) > 0.01 and rate(a[20m]) > 0", Held::Never),
            ("rate(a[20m]) > 0 and rate(a[20m]) > 0.01", Held::Never),
            ("rate(a[20m]) > 0 or rate(a[5m]) > 0", minutes(20)),
            ("rate(a[20m]) > 0.01 or rate(a[5m]) > 0", minutes(5)),
            ("up == 0 or rate(a[5m]) > 0", minutes(5)),
            ("up == 0 or rate(a[5m]) > 1", Held::Anyhow),
            ("rate(a[5m]) > 0 unless up == 0", minutes(5)),
            ("up == 0 unless rate(a[5m]) > 0", Held::Anyhow),
        ] {
            let tree = promql::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
            let told = after_one_event(&tree, &monitoring, &BTreeSet::new());
            if told != held {
                missed.push(format!("{expr}: {told:?}, not {held:?}"));
            }
        }
        assert_eq!(missed, [""; 0]);
    }
}
