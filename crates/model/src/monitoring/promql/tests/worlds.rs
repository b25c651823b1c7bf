//! What a division must keep, on expressions that nobody thought of: whether an expression holds at a moment of a world is whether
//! the divided one holds at the same moment of a world that lives faster, or it is refused.
//!
//! The evaluator knows nothing of kinds. It has the series of both worlds: counters that count at the same rates, gauges that go
//! through the same levels, stocks (gauges, too) that are as full as they were and fill at the same rate, moments of the clock, and
//! what is recorded of them.

use std::sync::Arc;

use super::*;
use promql_parser::parser::token::{
    T_ADD, T_COUNT, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD, T_NEQ, T_POW, T_STDDEV, T_SUB,
};
use promql_parser::parser::value::ValueType;

/// Both worlds' clocks begin here, and seconds are seconds in both.
const EPOCH: f64 = 100_000.0;
/// Samples of a window: as many in both.
const SAMPLES: u32 = 12;

const SERIES: [&str; 9] =
    ["a_total", "b_total", "g", "h", "s", "t", "m_timestamp_seconds", "n_timestamp_seconds", "u_uptime_seconds"];

/// Recorded, and asked for by name and by pattern.
fn recorded() -> Recorded {
    [("r:growth", "increase(a_total[5m])"), ("r:rate", "rate(b_total[10m])"), ("r:stock", "avg_over_time(s[30m]) + 7")]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Arc::new(expr(text))))
        .collect()
}

/// Where floating point can't tell what holds, or only how full a stock is.
struct Unsure;

type Value = Result<Option<f64>, Unsure>;

/// By how much a stock's level may differ between the worlds: what its changes are to it, several times over.
const LEVEL: f64 = 0.01;

struct World {
    speed: f64,
    /// When is judged: a stock has the same level then, and its curve before is as much flatter as it is shorter.
    moment: f64,
    recorded: Recorded,
}

impl World {
    fn new(speed: u32) -> World {
        let mut recorded = recorded();
        for expr in recorded.values_mut() {
            divide(Arc::make_mut(expr), Speed::new(speed).expect("a speed")).expect("it divides");
        }
        World { speed: f64::from(speed), moment: 0.0, recorded }
    }

    /// What a selector names, by name or by pattern.
    fn selected(&self, selector: &VectorSelector, second: f64) -> Value {
        let pattern = |name: &str| selector.matchers.matchers.iter().all(|matcher| matcher.is_match(name));
        let is_it = |name: &str| selector.name.as_deref().map_or_else(|| pattern(name), |own| own == name);
        if let Some((_, expr)) = self.recorded.iter().find(|(name, _)| is_it(name)) {
            return self.value(expr, second);
        }
        let name = SERIES.into_iter().find(|name| is_it(name)).expect("a series");
        Ok(Some(self.series(name, second)))
    }

    /// A series at a second of this world.
    fn series(&self, name: &str, second: f64) -> f64 {
        let production = second * self.speed;
        let stock = |curve: fn(f64) -> f64| {
            let now = curve(self.moment * self.speed);
            now - (now - curve(production)) / self.speed
        };
        match name {
            "s" => stock(|second| 1e7 + 3000.0 * (second / 5300.0).sin()),
            "t" => stock(|second| 3e6 + 500.0 * (second / 900.0).cos()),
            "a_total" => (2.0 * production + 900.0 * (production / 700.0).sin()) / self.speed,
            "b_total" => (0.4 * production + 80.0 * (production / 300.0).cos() + 80.0) / self.speed,
            "g" => 6.0 + 5.0 * (production / 1100.0).sin(),
            "h" => 310.0 + 290.0 * (production / 5300.0).cos(),
            "m_timestamp_seconds" => EPOCH + (production / 3700.0).floor() * 3700.0 / self.speed,
            "n_timestamp_seconds" => EPOCH + (production / 900.0).floor() * 900.0 / self.speed,
            "u_uptime_seconds" => production % 40_000.0 / self.speed,
            other => panic!("nobody made {other}"),
        }
    }

    fn window(&self, expr: &Expr, second: f64) -> Result<(Vec<f64>, f64), Unsure> {
        let shift = |offset: Option<&Offset>| match offset {
            Some(Offset::Pos(by)) => by.as_secs_f64(),
            Some(Offset::Neg(by)) => -by.as_secs_f64(),
            None => 0.0,
        };
        let (range, from) = match expr {
            Expr::MatrixSelector(matrix) => (matrix.range.as_secs_f64(), shift(matrix.vs.offset.as_ref())),
            Expr::Subquery(subquery) => (subquery.range.as_secs_f64(), shift(subquery.offset.as_ref())),
            other => panic!("{other} is no window"),
        };
        let mut values = Vec::new();
        for sample in 0..=SAMPLES {
            let at = second - from - range * f64::from(SAMPLES - sample) / f64::from(SAMPLES);
            match expr {
                Expr::MatrixSelector(matrix) => values.extend(self.selected(&matrix.vs, at)?),
                Expr::Subquery(subquery) => values.extend(self.value(&subquery.expr, at)?),
                _ => {}
            }
        }
        Ok((values, range))
    }

    fn value(&self, expr: &Expr, second: f64) -> Value {
        Ok(match expr {
            Expr::NumberLiteral(number) => Some(number.val),
            Expr::Paren(paren) => self.value(&paren.expr, second)?,
            Expr::Unary(unary) => self.value(&unary.expr, second)?.map(|value| -value),
            Expr::VectorSelector(selector) => {
                let at = second - backward(selector.offset.as_ref()).as_secs_f64();
                self.selected(selector, at)?
            }
            Expr::Aggregate(aggregate) => {
                let of = |value| match aggregate.op.id() {
                    T_COUNT => 1.0,
                    T_STDDEV => 0.0,
                    _ => value,
                };
                self.value(&aggregate.expr, second)?.map(of)
            }
            Expr::Call(call) => self.call(call.func.name, &call.args.args, second)?,
            Expr::Binary(binary) => {
                let (left, right) = (self.value(&binary.lhs, second)?, self.value(&binary.rhs, second)?);
                match (binary.op.id(), left, right) {
                    (T_LAND, Some(left), Some(_)) | (T_LUNLESS, Some(left), None) | (T_LOR, Some(left), _) => {
                        Some(left)
                    }
                    (T_LOR, None, right) => right,
                    (T_LAND | T_LUNLESS, ..) | (_, None, _) | (_, _, None) => None,
                    (op, Some(left), Some(right)) if binary.op.is_comparison_operator() => {
                        let holds = compared(op, left, right)?;
                        let is_scalar = binary.lhs.value_type() == ValueType::Scalar;
                        match (binary.return_bool(), holds) {
                            (true, holds) => Some(f64::from(u8::from(holds))),
                            (false, true) => Some(if is_scalar { right } else { left }),
                            (false, false) => None,
                        }
                    }
                    (op, Some(left), Some(right)) => Some(arithmetic(op, left, right)?),
                }
            }
            other => panic!("{other} is not generated"),
        })
    }

    fn call(&self, name: &str, arguments: &[Box<Expr>], second: f64) -> Value {
        let scalar = |at: usize| Ok(self.value(&arguments[at], second)?.unwrap_or(f64::NAN));
        let is_window =
            matches!(arguments.first().map(AsRef::as_ref), Some(Expr::MatrixSelector(_) | Expr::Subquery(_)));
        if is_window {
            let (values, range) = self.window(&arguments[0], second)?;
            let (Some(first), Some(last)) = (values.first(), values.last()) else { return Ok(None) };
            let count = f64::from(u32::try_from(values.len()).expect("a dozen"));
            let sum: f64 = values.iter().sum();
            return Ok(Some(match name {
                "increase" | "delta" => last - first,
                "rate" | "deriv" => (last - first) / range,
                "predict_linear" => last + (last - first) / range * scalar(1)?,
                "avg_over_time" => sum / count,
                "sum_over_time" => sum,
                "count_over_time" => count,
                "changes" => {
                    let changes = values.windows(2).filter(|pair| pair[0].to_bits() != pair[1].to_bits()).count();
                    f64::from(u32::try_from(changes).expect("a dozen"))
                }
                "idelta" => last - values[values.len().saturating_sub(2)],
                "max_over_time" => values.iter().copied().fold(f64::MIN, f64::max),
                "min_over_time" => values.iter().copied().fold(f64::MAX, f64::min),
                "stddev_over_time" => {
                    (values.iter().map(|value| (value - sum / count).powi(2)).sum::<f64>() / count).sqrt()
                }
                other => panic!("{other} is not generated"),
            }));
        }
        let first = if arguments.is_empty() { Some(0.0) } else { self.value(&arguments[0], second)? };
        let Some(first) = first else { return Ok((name == "absent").then_some(1.0)) };
        let whole = |value: f64| if (value - value.round()).abs() < 1e-6 { Err(Unsure) } else { Ok(value) };
        Ok(Some(match name {
            "time" => EPOCH + second,
            "timestamp" => match arguments[0].as_ref() {
                Expr::VectorSelector(selector) => EPOCH + second - backward(selector.offset.as_ref()).as_secs_f64(),
                _ => EPOCH + second,
            },
            "vector" | "scalar" | "sort" => first,
            "abs" => first.abs(),
            "sgn" => first.signum(),
            "sqrt" => first.sqrt(),
            "ln" => first.ln(),
            "exp" => first.exp(),
            "ceil" => whole(first)?.ceil(),
            "floor" => whole(first)?.floor(),
            "round" => whole(first + 0.5)?.floor(),
            "clamp_max" => first.min(scalar(1)?),
            "clamp_min" => first.max(scalar(1)?),
            "hour" => ((EPOCH + second) / 3600.0).floor() % 24.0,
            "absent" => return Ok(None),
            other => panic!("{other} is not generated"),
        }))
    }
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1e-3)
}

fn compared(op: u16, left: f64, right: f64) -> Result<bool, Unsure> {
    let is_level = left.abs().min(right.abs()) > 1e5 && (left - right).abs() < LEVEL * left.abs().max(right.abs());
    if (is_level || close(left, right)) && left.to_bits() != right.to_bits() {
        return Err(Unsure);
    }
    Ok(match op {
        T_GTR => left > right,
        T_GTE => left >= right,
        T_LSS => left < right,
        T_LTE => left <= right,
        T_EQLC => left.to_bits() == right.to_bits(),
        T_NEQ => left.to_bits() != right.to_bits(),
        other => panic!("{other} compares nothing"),
    })
}

fn arithmetic(op: u16, left: f64, right: f64) -> Result<f64, Unsure> {
    Ok(match op {
        // What is left of two that are nearly the same is noise.
        T_ADD if left != 0.0 && close(left, -right) => return Err(Unsure),
        T_SUB if left != 0.0 && close(left, right) => return Err(Unsure),
        T_ADD => left + right,
        T_SUB => left - right,
        T_MUL => left * right,
        T_DIV => left / right,
        T_MOD if close((left / right).round() * right, left) || left.abs() > 1e5 => return Err(Unsure),
        T_MOD => left % right,
        // Nothing is to be told of a number to the power of a level.
        T_POW if right.abs() > 1e5 => return Err(Unsure),
        T_POW => left.powf(right),
        other => panic!("{other} is not generated"),
    })
}

fn numbers() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "0",
        "1",
        "2",
        "7",
        "0.5",
        "-3",
        "60",
        "300",
        "3600",
        "24 * 3600",
        "(5 * 60)",
        "1e9",
        "+Inf",
        "-0",
    ])
    .prop_map(str::to_owned)
}

fn windows() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => prop::sample::select(vec!["1m", "5m", "10m", "30m", "1h", "6h"]),
        1 => Just("300000000y"),
    ]
    .prop_map(str::to_owned)
}

/// With clocks, or with gauges: of a gauge that meets a moment it is believed that it holds one, for nothing else makes sense.
fn vectors(clocks: bool) -> impl Strategy<Value = String> {
    let counter = || prop::sample::select(vec!["a_total", "b_total"]);
    let others = if clocks {
        &["m_timestamp_seconds", "n_timestamp_seconds"][..]
    } else {
        &["g", "h", "s", "s", "t", "r:stock", "r:rate", "r:growth", "{__name__=\"r:growth\"}", "{__name__=~\"r:gr.*\"}"]
    };
    let series = move || prop::sample::select([&["a_total", "b_total", "u_uptime_seconds"][..], others].concat());
    let over = || {
        prop::sample::select(vec![
            "avg_over_time",
            "max_over_time",
            "min_over_time",
            "sum_over_time",
            "changes",
            "count_over_time",
            "stddev_over_time",
            "delta",
            "idelta",
            "deriv",
        ])
    };
    let offset = || prop_oneof![4 => Just(String::new()), 1 => windows().prop_map(|by| format!(" offset {by}"))];
    let leaf = prop_oneof![
        (series(), offset()).prop_map(|(series, offset)| format!("{series}{offset}")),
        (counter(), windows(), offset(), prop::sample::select(vec!["rate", "increase"]))
            .prop_map(|(series, window, offset, function)| format!("{function}({series}[{window}]{offset})")),
        (series(), windows(), over()).prop_map(|(series, window, function)| format!("{function}({series}[{window}])")),
        (series(), windows(), numbers())
            .prop_map(|(series, window, ahead)| format!("predict_linear({series}[{window}], {ahead})")),
        (series(), offset()).prop_map(move |(series, offset)| {
            if clocks { format!("timestamp({series}{offset})") } else { format!("abs({series}{offset})") }
        }),
        Just(if clocks { "vector(time())" } else { "hour()" }.to_owned()),
        numbers().prop_map(|number| format!("vector({number})")),
    ];
    let operators =
        || prop::sample::select(vec!["+", "-", "-", "*", "/", "/", "%", "^", "and", "or", "unless", "> bool", "<"]);
    // A series and itself at another time.
    let looks = move || {
        let spans = prop::sample::select(vec!["avg_over_time", "max_over_time", "min_over_time"]);
        (series(), windows(), spans).prop_map(|(series, window, over)| {
            [series.to_owned(), format!("{series} offset {window}"), format!("{over}({series}[{window}])")]
        })
    };
    leaf.prop_recursive(4, 20, 3, move |inner| {
        prop_oneof![
            2 => (looks(), 0..3_usize, 0..3_usize, prop::sample::select(vec!["-", "-", "/", "> bool", "<"]))
                .prop_map(|(looks, left, right, operator)| format!("{} {operator} {}", looks[left], looks[right])),
            3 => (inner.clone(), inner.clone(), operators())
                .prop_map(|(left, right, operator)| format!("({left}) {operator} ({right})")),
            2 => (inner.clone(), numbers(), prop::sample::select(vec!["+", "-", "*", "/", "^", "%", ">", "<= bool"]))
                .prop_map(|(left, right, operator)| format!("({left}) {operator} {right}")),
            1 => (inner.clone(), numbers(), prop::sample::select(vec!["+", "-", "*", "/", "<", "^"]))
                .prop_map(|(right, left, operator)| format!("{left} {operator} ({right})")),
            1 => (inner.clone(), prop::sample::select(vec!["abs", "sgn", "sqrt", "ln", "ceil", "floor", "round", "exp", "absent", "-"]))
                .prop_map(|(inner, function)| format!("{function}({inner})")),
            1 => (inner.clone(), inner.clone(), prop::sample::select(vec!["clamp_max", "clamp_min"]))
                .prop_map(|(inner, bound, function)| format!("{function}({inner}, scalar({bound}))")),
            1 => (inner.clone(), windows(), over())
                .prop_map(|(inner, window, function)| format!("{function}(({inner})[{window}:])")),
            1 => (inner.clone(), inner.clone(), windows())
                .prop_map(|(inner, ahead, window)| format!("predict_linear(({inner})[{window}:], scalar({ahead}))")),
            1 => (inner, prop::sample::select(vec!["sum", "avg", "max", "count", "stddev"]))
                .prop_map(|(inner, aggregate)| format!("{aggregate}({inner})")),
        ]
    })
}

/// How often an expression was divided and held the same, of how many.
#[test]
fn what_holds_in_production_holds_in_a_faster_world_or_is_refused() {
    let speed = Speed::new(30).expect("a speed");
    let (mut production, mut faster, recorded) = (World::new(1), World::new(30), recorded());
    let comparisons = |clocks| {
        prop_oneof![
            (vectors(clocks), numbers(), prop::sample::select(vec![">", "<", ">="]))
                .prop_map(|(left, right, operator)| format!("({left}) {operator} {right}")),
            (vectors(clocks), vectors(clocks), prop::sample::select(vec![">", "<="]))
                .prop_map(|(left, right, operator)| format!("({left}) {operator} ({right})")),
            (windows(), prop::sample::select(vec!["a_total", "g"]))
                .prop_map(|(window, series)| format!("{series}[{window}]")),
        ]
    };
    let comparison = prop_oneof![comparisons(true), comparisons(false)];
    let mut runner = TestRunner::deterministic();
    let (mut divided, mut refused, mut wrong) = (0, 0, Vec::new());
    for _ in 0..4_000 {
        let text = comparison.new_tree(&mut runner).expect("a text").current();
        let Some(tree) = parse(&text).ok().filter(|tree| hazards(tree, &recorded).is_empty()) else {
            refused += 1;
            continue;
        };
        let longest = durations(&tree).into_iter().max().unwrap_or_default();
        if i64::try_from(longest.as_nanos()).is_err()
            || !matches!(tree.value_type(), ValueType::Vector | ValueType::Scalar)
        {
            wrong.push(format!("{text}: Prometheus evaluates no such expression"));
            continue;
        }
        let mut other = tree.clone();
        divide(&mut other, speed).expect("it divides");
        for moment in [50_000.0, 86_461.0, 123_456.0, 200_003.0] {
            (production.moment, faster.moment) = (moment, moment / 30.0);
            let (Ok(one), Ok(other)) = (production.value(&tree, moment), faster.value(&other, moment / 30.0)) else {
                continue;
            };
            divided += 1;
            if one.is_some() != other.is_some() {
                wrong.push(format!("{text}: {one:?} at {moment} in production, {other:?} faster"));
            }
        }
    }
    wrong.sort_by_key(String::len);
    assert!(wrong.is_empty(), "{} are wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(divided > 1_000 && refused > 500, "{divided} held, {refused} refused: too few to tell");
}
