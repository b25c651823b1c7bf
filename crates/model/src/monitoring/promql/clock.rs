//! An expression as it is asked on another clock: one that began at some moment and runs k times faster.
//!
//! [`divide`](super::divide) alone keeps what speaks of rates; a drill wants more: the samples of a unit test go in as they are written, at a
//! k-th of their times, and every value must come out as promtool computes it. So what is per second is divided by k again, what
//! reads the clock is told the test's time, and what looks ahead looks a k-th as far. Nothing is refused but what can't be
//! written down, so a drill needs no hazards.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Call, Expr, MatrixSelector, Offset, VectorSelector};

use super::functions::{Treats, treats};
use super::text::prepared;
use super::tree::{children_mut, gives, nodes, print, selectors};
use aiclipx_base::duration::{self, Speed};

/// When the clock began, in Unix seconds: a series, for nobody knows it when the rules are loaded.
pub const ORIGIN: &str = "drill:origin";

/// When each alert became active, in Unix seconds.
const MOMENTS: &str = "ALERTS_FOR_STATE";

/// What is per second is rounded to so much: divided once more, a number like 0.05 would come out a last bit above itself.
const LAST_DECIMAL: &str = "0.000000000001";

/// The expression, its durations divided already, as it gives on a clock that runs so fast what it gave on its own.
pub fn on_clock(mut expr: Expr, speed: Speed) -> Result<Expr, String> {
    let names = |selector: &VectorSelector| {
        selector.name.is_some() || selector.matchers.matchers.iter().any(|one| one.name == "__name__")
    };
    if selectors(&expr).iter().any(|selector| names(selector) && gives(selector, MOMENTS)) {
        return Err(format!("`{MOMENTS}` holds moments, and a drill lives at others"));
    }
    told(&mut expr, speed)?;
    Ok(expr)
}

fn told(expr: &mut Expr, speed: Speed) -> Result<(), String> {
    children_mut(expr).into_iter().try_for_each(|child| told(child, speed))?;
    let (at, offset) = match expr {
        Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) => {
            (&selector.at, &selector.offset)
        }
        Expr::Subquery(subquery) => (&subquery.at, &subquery.offset),
        Expr::Call(call) => {
            if let Some(text) = called(call, speed) {
                *expr = promql_parser::parser::parse(&prepared(&format!("({text})"))?)?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    match (at, offset) {
        (Some(at), _) => Err(format!("`{at}` names a moment, and a drill lives at another")),
        // Its samples are there from the beginning: it would see more than any Prometheus.
        (None, Some(Offset::Neg(ahead))) if !ahead.is_zero() => {
            let ahead = duration::print(times(*ahead, speed));
            Err(format!(
                "`offset -{ahead}` asks for what is still to come, of which a Prometheus that evaluates it has nothing"
            ))
        }
        _ => Ok(()),
    }
}

/// A duration that was divided, as it was written.
fn times(divided: Duration, speed: Speed) -> Duration {
    divided * speed.factor()
}

/// A moment, in seconds, as the clock shows it: exact to the millisecond, which subtracting alone is not.
fn shown(vector: &str, speed: Speed) -> String {
    format!("round(({vector} - scalar({ORIGIN})) * {speed}, 0.001)")
}

/// A call whose function reads the clock or counts per second, as it is asked on another; none of any other.
fn called(call: &Call, speed: Speed) -> Option<String> {
    let arguments: Vec<String> = call.args.args.iter().map(|argument| print(argument)).collect();
    let name = call.func.name;
    match treats(name) {
        Treats::PerSecond | Treats::Slope => {
            Some(format!("round({name}({}) / {speed}, {LAST_DECIMAL})", arguments.join(", ")))
        }
        Treats::Clock if name == "time" => Some(format!("scalar({})", shown("vector(time())", speed))),
        Treats::Clock => Some(shown(&format!("{name}({})", arguments.join(", ")), speed)),
        Treats::Calendar if arguments.is_empty() => Some(format!("{name}({})", shown("vector(time())", speed))),
        Treats::Ahead => {
            let (range, ahead) = (arguments.first()?, arguments.get(1)?);
            Some(format!("{name}({range}, ({ahead}) / {speed})"))
        }
        _ => None,
    }
}

/// Whether what it gives may have other last bits than on its own clock: it measures how fast something changes.
pub fn measures_change(expr: &Expr) -> bool {
    nodes(expr).into_iter().any(|node| match node {
        Expr::Call(call) => matches!(
            treats(call.func.name),
            Treats::PerSecond | Treats::Slope | Treats::Ahead | Treats::Growth | Treats::Change
        ),
        _ => false,
    })
}

/// What `absent` and `absent_over_time` ask for, as far as it can be given: name and labels of a series that is there.
pub fn awaited(expr: &Expr) -> Vec<BTreeMap<String, String>> {
    let mut found = Vec::new();
    for node in nodes(expr) {
        let Expr::Call(call) = node else { continue };
        if !call.func.name.starts_with("absent") {
            continue;
        }
        for selector in call.args.args.iter().flat_map(|argument| selectors(argument)) {
            let Some(name) = &selector.name else { continue };
            let matchers = &selector.matchers.matchers;
            let equal = matchers.iter().filter(|one| one.op == MatchOp::Equal);
            let labels = equal.map(|one| (one.name.clone(), one.value.clone()));
            found.push(labels.chain([("__name__".to_owned(), name.clone())]).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(k: u32, text: &str) -> Result<String, String> {
        let speed = Speed::new(k).unwrap();
        on_clock(promql_parser::parser::parse(text).unwrap(), speed).map(|expr| print(&expr))
    }

    fn printed(text: &str) -> String {
        print(&promql_parser::parser::parse(text).unwrap())
    }

    #[test]
    fn what_is_per_second_is_divided_again_and_what_is_counted_is_not() {
        for (text, told) in [
            ("rate(x[3s]) > 1", "(round(rate(x[3s]) / 100, 0.000000000001)) > 1"),
            ("increase(x[3s]) > 10", "increase(x[3s]) > 10"),
            ("deriv(x[6s])", "(round(deriv(x[6s]) / 100, 0.000000000001))"),
            ("changes(x[3s] offset 6s) > 3", "changes(x[3s] offset 6s) > 3"),
            ("sum(irate(x[3s]))", "sum((round(irate(x[3s]) / 100, 0.000000000001)))"),
        ] {
            assert_eq!(on(100, text).unwrap(), printed(told), "{text}");
        }
    }

    #[test]
    fn what_reads_the_clock_is_told_the_tests_time() {
        for (text, told) in [
            ("time() - x > 60", "(scalar(round((vector(time()) - scalar(drill:origin)) * 100, 0.001))) - x > 60"),
            ("timestamp(x)", "(round((timestamp(x) - scalar(drill:origin)) * 100, 0.001))"),
            ("hour() < 6", "(hour(round((vector(time()) - scalar(drill:origin)) * 100, 0.001))) < 6"),
            ("day_of_week(x)", "day_of_week(x)"),
            ("predict_linear(x[36s], 4 * 3600) < 0", "(predict_linear(x[36s], (4 * 3600) / 100)) < 0"),
        ] {
            assert_eq!(on(100, text).unwrap(), printed(told), "{text}");
        }
    }

    #[test]
    fn what_names_a_moment_is_told() {
        assert!(on(100, "x @ 100").unwrap_err().contains("names a moment"));
        for text in ["time() - ALERTS_FOR_STATE > 60", "max_over_time({__name__=~\"ALERTS_.*\"}[5m])"] {
            assert!(on(100, text).unwrap_err().contains("holds moments"), "{text}");
        }
        assert!(on(100, "ALERTS{alertstate=\"firing\"} and {job=\"a\"}").is_ok());
    }

    #[test]
    fn what_asks_for_what_is_still_to_come_is_told_as_it_was_written() {
        for text in ["x offset -600ms", "rate(x[3s] offset -600ms) > 1", "max_over_time(x[3s:1s] offset -600ms)"] {
            let why = on(100, text).unwrap_err();
            assert!(why.contains("`offset -1m` asks for what is still to come"), "{why}");
        }
        assert!(on(100, "x offset 600ms").is_ok());
    }

    #[test]
    fn what_may_have_other_last_bits_is_what_measures_change() {
        let of = |text: &str| measures_change(&promql_parser::parser::parse(text).unwrap());
        assert!(of("sum(rate(x[5m])) > 1") && of("increase(x[5m]) > 1") && of("predict_linear(x[1h], 60) < 0"));
        assert!(!of("x / y > 1") && !of("avg_over_time(x[5m]) > 1"));
    }

    #[test]
    fn what_is_awaited_is_what_would_end_an_absence() {
        let of = |text: &str| awaited(&promql_parser::parser::parse(text).unwrap());
        let told = of(r#"absent(up{job="a", instance=~"b.*"} == 1)"#);
        let named = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(told, [named(&[("__name__", "up"), ("job", "a")])]);
        assert!(of("up == 0").is_empty());
    }
}
