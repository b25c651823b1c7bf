//! What in an expression would mean something else on a faster stack: a matter of dimension.
//!
//! On a stack that lives k times faster at the same rates, a rate, a ratio and a latency stay what they are, while a count
//! over a window and a span of time are k times less. What agrees is divided with the expression; where something that
//! shrinks meets something that doesn't, in a comparison, a sum, a bound, the expression is refused, because a number in it
//! is a duration or a count that no division finds. So is what asks the calendar, which no speed moves.
//!
//! A gauge is taken for a level, which no speed moves; but what changes of it in a while may be as much as before (a level's
//! change) or k times less (a stock's, like a disk's). So what is made of one gauge at two times agrees with nothing.
//!
//! Zero and infinity are the same on every stack, and agree with everything.

use std::collections::BTreeSet;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_DIV, T_GROUP, T_LAND, T_LOR, T_LUNLESS, T_MAX, T_MIN,
    T_MOD, T_MUL, T_POW, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUB, T_SUM, T_TOPK, TokenId,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, AtModifier, BinaryExpr, Call, Expr, UnaryExpr, VectorSelector};

use super::tree::{Recorded, children, is_name, print, recordings, without};
use crate::monitoring::series;

/// What a value is to the speed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// A number that the expression itself has; its value where it is known.
    Number(Option<f64>),
    /// A series of which nothing is known but that it is divided by nobody: a level, or a moment that its source tells.
    Gauge,
    /// Divided by k to this power: a rate 0, a count over a window and a span of time 1.
    Power(i32),
    /// A moment of the clock. The distance of two is a span.
    Moment,
    /// How a gauge changes, one of several kinds, a series that no name is known of: agrees with nothing but zero.
    Unlike,
    /// Told already.
    Told,
}

use Kind::{Gauge, Moment, Number, Power, Told, Unlike};

impl Kind {
    /// Zero, infinity, no number: the same at every speed, whatever the unit.
    fn is_free(self) -> bool {
        matches!(self, Number(Some(value)) if value == 0.0 || !value.is_finite())
    }

    /// A number of no unit of time: what a power, a logarithm, a rank may be taken of.
    fn is_plain(self) -> bool {
        matches!(self, Number(_) | Gauge | Power(0) | Told)
    }

    /// Whether the two can stand on either side of a comparison.
    fn agrees(self, other: Kind) -> bool {
        match (self, other) {
            (Told, _) | (_, Told) | (Moment, Moment | Gauge) | (Gauge, Moment) => true,
            _ if self.is_free() || other.is_free() => true,
            (Power(one), Power(other)) => one == other,
            (Number(_) | Gauge | Power(0), Number(_) | Gauge | Power(0)) => true,
            _ => false,
        }
    }
}

/// How a function treats time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Treats {
    /// What it gives is of the kind of its argument: a mean, an extreme, another order.
    Alike,
    /// The same, and its numbers must be of that kind, too: bounds.
    Bounded,
    /// The same of what can be added, which moments can't.
    Sum,
    /// Of a number without a unit another such: nothing else can be rounded, or have a logarithm.
    Plain,
    /// A number without a unit, whatever the argument is: whether it is there, its sign, a quantile of buckets.
    Nothing,
    /// Per second.
    PerSecond,
    /// A counter's growth over a window.
    Growth,
    /// A histogram's count or sum, which are counters unless it is one of rates.
    Part,
    /// Changes over a window, counted.
    Count,
    /// A gauge's change over a window: a level's stays, a stock's shrinks.
    Change,
    /// A gauge's change per second.
    Slope,
    /// A spread: of moments a span.
    Spread,
    /// The square of a spread.
    SquaredSpread,
    /// The square root.
    Root,
    /// The clock.
    Clock,
    /// Hours, days and months, which no speed moves.
    Calendar,
    /// Looks ahead by its second argument, in seconds.
    Ahead,
    /// Newer than the oldest Prometheus that is promised, 2.42, and refused for that.
    Newer,
}

/// Every function that the parser knows. A test holds it complete.
pub(super) const FUNCTIONS: [(Treats, &[&str]); 18] = [
    (
        Treats::Alike,
        &[
            "abs",
            "avg_over_time",
            "deg",
            "holt_winters",
            "label_join",
            "label_replace",
            "last_over_time",
            "max_over_time",
            "min_over_time",
            "quantile_over_time",
            "rad",
            "scalar",
            "sort",
            "sort_desc",
            "vector",
        ],
    ),
    (Treats::Bounded, &["clamp", "clamp_max", "clamp_min"]),
    (Treats::Sum, &["sum_over_time"]),
    (
        Treats::Plain,
        &[
            "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "exp", "floor", "ln", "log10",
            "log2", "round", "sin", "sinh", "tan", "tanh", "pi",
        ],
    ),
    // A window holds as many samples as before, for scrapes come k times more often: a count of them stays.
    (
        Treats::Nothing,
        &[
            "absent",
            "absent_over_time",
            "count_over_time",
            "histogram_fraction",
            "histogram_quantile",
            "present_over_time",
            "sgn",
        ],
    ),
    (Treats::PerSecond, &["irate", "rate"]),
    (Treats::Growth, &["increase"]),
    (Treats::Part, &["histogram_count", "histogram_sum"]),
    (Treats::Count, &["changes", "resets"]),
    (Treats::Change, &["delta", "idelta"]),
    (Treats::Slope, &["deriv"]),
    (Treats::Spread, &["stddev_over_time"]),
    (Treats::SquaredSpread, &["stdvar_over_time"]),
    (Treats::Root, &["sqrt"]),
    (Treats::Clock, &["time", "timestamp"]),
    (
        Treats::Calendar,
        &["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"],
    ),
    (Treats::Ahead, &["predict_linear"]),
    (
        Treats::Newer,
        &[
            "double_exponential_smoothing",
            "end",
            "first_over_time",
            "histogram_avg",
            "histogram_quantiles",
            "histogram_stddev",
            "histogram_stdvar",
            "info",
            "integral",
            "mad_over_time",
            "max_of",
            "min_of",
            "range",
            "sort_by_label",
            "sort_by_label_desc",
            "start",
            "start_timestamp",
            "step",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
        ],
    ),
];

/// How a function treats time; one that is in no row is refused like a newer one.
pub(super) fn treats(function: &str) -> Treats {
    let row = FUNCTIONS.iter().find(|(_, names)| names.contains(&function));
    row.map_or(Treats::Newer, |(treats, _)| *treats)
}

/// How the names of series end that hold a moment, and those that hold a span of time.
const MOMENTS: [&str; 7] = [
    "_timestamp",
    "_timestamp_seconds",
    "_start_time",
    "_start_time_seconds",
    "_boot_time_seconds",
    "_created",
    "ALERTS_FOR_STATE",
];
const SPANS: [&str; 3] = ["_uptime", "_uptime_seconds", "_age_seconds"];

/// What in an expression would mean something else on a faster stack.
///
/// Recording rules are followed by name, so a count recorded under one is a count where it is compared.
pub(in crate::monitoring) fn hazards(expr: &Expr, recorded: &Recorded) -> Vec<String> {
    let mut walk = Walk { recorded, found: Vec::new() };
    walk.kind(expr);
    walk.found.dedup();
    walk.found
}

struct Walk<'a> {
    recorded: &'a Recorded,
    found: Vec<String>,
}

impl Walk<'_> {
    fn kind(&mut self, expr: &Expr) -> Kind {
        match expr {
            Expr::NumberLiteral(literal) => Number(Some(literal.val)),
            Expr::StringLiteral(_) | Expr::Extension(_) => Number(None),
            Expr::VectorSelector(selector) => {
                self.fixed_moment(selector.at.as_ref());
                let kinds: Vec<Kind> = names(selector).into_iter().map(|name| self.series(name)).collect();
                match kinds.split_first() {
                    Some((kind, others)) if others.iter().all(|other| other == kind) => *kind,
                    _ => Unlike,
                }
            }
            Expr::MatrixSelector(matrix) => self.kind(&Expr::VectorSelector(matrix.vs.clone())),
            Expr::Subquery(subquery) => {
                self.fixed_moment(subquery.at.as_ref());
                self.kind(&subquery.expr)
            }
            Expr::Paren(paren) => self.kind(&paren.expr),
            Expr::Unary(unary) => self.negative(unary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Binary(binary) => self.binary(binary),
        }
    }

    fn series(&self, name: &str) -> Kind {
        if let Some(expr) = self.recorded.get(name) {
            // Its own hazards are told where it stands.
            let recorded = without(self.recorded, name);
            return Walk { recorded: &recorded, found: Vec::new() }.kind(expr);
        }
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        // A count since the start of its source, as `series` has it.
        if ends(&series::COUNTER_ENDINGS) || ends(&SPANS) {
            Power(1)
        } else if ends(&MOMENTS) {
            Moment
        } else {
            Gauge
        }
    }

    /// The gauges that a value is made of, each with the time it is looked at. Counters' growth has none, nor have moments.
    fn looks(&self, expr: &Expr, when: &str, looks: &mut BTreeSet<(String, String)>) {
        match expr {
            Expr::VectorSelector(selector) => {
                let when = format!("{when} {:?} {:?}", selector.offset, selector.at);
                for name in names(selector) {
                    if let Some(expr) = self.recorded.get(name) {
                        let recorded = without(self.recorded, name);
                        Walk { recorded: &recorded, found: Vec::new() }.looks(expr, &when, looks);
                    } else if self.series(name) == Gauge {
                        looks.insert((name.to_owned(), when.clone()));
                    }
                }
            }
            Expr::MatrixSelector(matrix) => {
                self.looks(&Expr::VectorSelector(matrix.vs.clone()), &format!("{when} {:?}", matrix.range), looks);
            }
            Expr::Subquery(subquery) => {
                let window =
                    format!("{:?} {:?} {:?} {:?}", subquery.range, subquery.step, subquery.offset, subquery.at);
                self.looks(&subquery.expr, &format!("{when} {window}"), looks);
            }
            Expr::Call(call) => match treats(call.func.name) {
                Treats::PerSecond | Treats::Growth | Treats::Count | Treats::Clock => {}
                _ => {
                    let settings =
                        call.args.args.iter().filter(|argument| matches!(argument.value_type(), ValueType::Scalar));
                    let settings: String = settings.map(|argument| print(argument)).collect();
                    let over = if is_over_time(call) {
                        format!("{when} {} {settings}", call.func.name)
                    } else {
                        when.to_owned()
                    };
                    call.args.args.iter().for_each(|argument| self.looks(argument, &over, looks));
                }
            },
            Expr::Binary(binary) if [T_LAND, T_LUNLESS].contains(&binary.op.id()) => {
                self.looks(&binary.lhs, when, looks);
            }
            other => children(other).into_iter().for_each(|child| self.looks(child, when, looks)),
        }
    }

    /// Whether two values are made of one gauge at two times.
    fn at_two_times(&self, one: &Expr, other: &Expr) -> bool {
        let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
        self.looks(one, "", &mut left);
        self.looks(other, "", &mut right);
        left.iter().any(|(gauge, when)| right.iter().any(|(same, then)| same == gauge && then != when))
    }

    /// Whether a range is of series that no name is known of, and no recording rule either.
    fn is_unrecorded(&self, expr: &Expr) -> bool {
        match expr {
            Expr::MatrixSelector(matrix) => recordings(&matrix.vs, self.recorded).is_empty(),
            _ => false,
        }
    }

    /// Whether a value is made of gauges: then nothing is known of its change.
    fn has_gauges(&self, expr: &Expr) -> bool {
        let mut looks = BTreeSet::new();
        self.looks(expr, "", &mut looks);
        !looks.is_empty()
    }

    /// Tells what does not agree, and what no longer has to be told.
    fn refuse(&mut self, expr: &Expr, what: &str) -> Kind {
        self.found.push(format!("`{}` {what}", print(expr)));
        Told
    }

    fn fixed_moment(&mut self, at: Option<&AtModifier>) {
        if let Some(at @ AtModifier::At(_)) = at {
            self.found.push(format!("`{at}` is a fixed moment, which no speed moves"));
        }
    }

    fn negative(&mut self, unary: &UnaryExpr) -> Kind {
        match self.kind(&unary.expr) {
            Number(value) => Number(value.map(|value| -value)),
            Moment => Unlike,
            other => other,
        }
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Kind {
        let param = aggregate.param.as_ref().map(|param| self.kind(param));
        let inner = self.kind(&aggregate.expr);
        let whole = || Expr::Aggregate(aggregate.clone());
        if param.is_some_and(|param| !param.is_plain()) {
            return self.refuse(&whole(), "takes a number that shrinks with time for a rank");
        }
        let op = aggregate.op.id();
        match op {
            T_COUNT | T_GROUP => Power(0),
            T_COUNT_VALUES if inner.is_plain() => Power(0),
            T_COUNT_VALUES => self.refuse(&whole(), "names its series by what shrinks with time"),
            T_STDDEV | T_STDVAR | T_SUM | T_AVG
                if inner != Told && self.at_two_times(&aggregate.expr, &aggregate.expr) =>
            {
                Unlike
            }
            T_STDDEV => spread(inner, 1),
            T_STDVAR => spread(inner, 2),
            // Of one number nothing is known but that it is one.
            _ if matches!(inner, Number(_)) => Number(None),
            T_SUM if inner == Moment => Unlike,
            T_AVG | T_BOTTOMK | T_MAX | T_MIN | T_QUANTILE | T_SUM | T_TOPK => inner,
            _ => self.refuse(&whole(), NEWER),
        }
    }

    fn call(&mut self, call: &Call) -> Kind {
        let arguments: Vec<(&Expr, Kind)> = call.args.args.iter().map(|arg| (&**arg, self.kind(arg))).collect();
        let whole = || Expr::Call(call.clone());
        // Numbers that only say which or how: a quantile's, a smoothing's.
        let of_series =
            |(expr, _): &&(&Expr, Kind)| !matches!(expr.value_type(), ValueType::Scalar | ValueType::String);
        let inner = arguments.iter().find(of_series).or(arguments.first()).map_or(Number(None), |(_, kind)| *kind);
        let settings = || arguments.iter().filter(|argument| !of_series(argument)).map(|(_, kind)| *kind);
        let is_constant = matches!(inner, Number(_));
        let of_gauges =
            |kind| matches!(kind, Gauge | Power(_)) && call.args.args.iter().any(|arg| self.has_gauges(arg));
        match treats(call.func.name) {
            Treats::Alike if call.func.name != "vector" && !settings().all(Kind::is_plain) => {
                self.refuse(&whole(), "takes a number that shrinks with time for a rank")
            }
            // Between bounds, zero may come out as one of them.
            Treats::Bounded if is_constant && !settings().all(|kind| matches!(kind, Number(_))) => Unlike,
            Treats::Alike | Treats::Bounded | Treats::Sum
                if is_constant && !["vector", "scalar"].contains(&call.func.name) =>
            {
                Number(None)
            }
            Treats::Sum if inner == Moment => Unlike,
            Treats::Part if matches!(inner, Gauge | Unlike) => Power(1),
            Treats::Alike | Treats::Sum | Treats::Part => inner,
            Treats::Bounded if settings().all(|bound| bound.agrees(inner)) => inner,
            Treats::Plain if is_constant && settings().all(|kind| matches!(kind, Number(_))) => Number(None),
            Treats::Plain if arguments.iter().all(|(_, kind)| kind.is_plain()) => Power(0),
            Treats::Nothing if settings().all(Kind::is_plain) => Power(0),
            Treats::Growth | Treats::Count if inner == Told => Told,
            // A moment is told anew by what happens in time (a process starts), and time alone is faster: as many as before.
            Treats::Count if inner == Moment => Power(0),
            // As many as before where time alone is faster, and fewer where what changes does so at the same rate.
            Treats::Count => Unlike,
            // Of what has no ending and is recorded nowhere only a counter has a rate.
            Treats::PerSecond | Treats::Growth => {
                let growth = match inner {
                    Gauge => 1,
                    Unlike if self.is_unrecorded(arguments[0].0) => 1,
                    Power(_) if of_gauges(inner) => return Unlike,
                    Power(power) => power,
                    Told => return Told,
                    Moment | Unlike | Number(_) => return Unlike,
                };
                Power(if treats(call.func.name) == Treats::Growth { growth } else { growth - 1 })
            }
            Treats::Change | Treats::Slope | Treats::Spread | Treats::SquaredSpread if of_gauges(inner) => Unlike,
            Treats::Change => match inner {
                Power(power) => Power(power),
                Moment => Power(1),
                Told => Told,
                _ => Unlike,
            },
            Treats::Slope => match inner {
                Power(power) => Power(power - 1),
                Moment => Power(0),
                Told => Told,
                _ => Unlike,
            },
            Treats::Spread => spread(inner, 1),
            Treats::SquaredSpread => spread(inner, 2),
            Treats::Root => match inner {
                Power(power) if power % 2 == 0 => Power(power / 2),
                Number(_) => Number(None),
                plain if plain.is_plain() => Power(0),
                _ => self.refuse(&whole(), "is the root of what shrinks with time"),
            },
            Treats::Clock => Moment,
            Treats::Calendar => self.refuse(&whole(), "asks the calendar, which no speed moves"),
            Treats::Ahead => match arguments.get(1) {
                Some((_, ahead)) if ahead.is_free() || matches!(ahead, Power(1) | Told) => inner,
                _ => self.refuse(&whole(), "looks ahead by a duration written as a number"),
            },
            Treats::Bounded => self.refuse(&whole(), UNLIKE),
            Treats::Plain | Treats::Nothing => self.refuse(&whole(), "takes what shrinks with time for a plain number"),
            Treats::Newer => self.refuse(&whole(), NEWER),
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Kind {
        let (left, right) = (self.kind(&binary.lhs), self.kind(&binary.rhs));
        let whole = || Expr::Binary(binary.clone());
        let op = binary.op.id();
        if binary.op.is_comparison_operator() {
            if !left.agrees(right) {
                return self.refuse(&whole(), UNLIKE);
            }
            if ![left, right].contains(&Told)
                && self.at_two_times(&binary.lhs, &binary.rhs)
                && form(&binary.lhs).is_none_or(|one| form(&binary.rhs).is_none_or(|other| one != other))
            {
                return self.refuse(&whole(), TWO_TIMES);
            }
            if binary.return_bool() {
                return Power(0);
            }
            // With a number on its left, it is the right that comes through.
            return if binary.lhs.value_type() == ValueType::Scalar { right } else { left };
        }
        if [T_LAND, T_LUNLESS].contains(&op) {
            return left;
        }
        if left == Told || right == Told {
            return Told;
        }
        if let (Number(left), Number(right)) = (left, right) {
            return Number(left.zip(right).and_then(|(left, right)| folded(op, left, right)));
        }
        match op {
            T_LOR if left == right => left,
            T_LOR if left.is_free() => right,
            T_LOR if right.is_free() => left,
            T_LOR if left.is_plain() && right.is_plain() => Power(0),
            T_LOR => Unlike,
            T_MUL if left == Number(Some(0.0)) || right == Number(Some(0.0)) => Number(Some(0.0)),
            _ if self.at_two_times(&binary.lhs, &binary.rhs) => Unlike,
            T_MUL => product(left, right, 1).unwrap_or_else(|| self.refuse(&whole(), NO_PRODUCT)),
            T_DIV => product(left, right, -1).unwrap_or_else(|| self.refuse(&whole(), NO_PRODUCT)),
            T_ADD | T_SUB => sum(left, right, op == T_SUB).unwrap_or_else(|| self.refuse(&whole(), UNLIKE_SUM)),
            T_ATAN2 if left.agrees(right) => Power(0),
            T_MOD if left.is_plain() && right.is_plain() => {
                if left == Gauge {
                    Gauge
                } else {
                    Power(0)
                }
            }
            T_MOD if matches!((left, right), (Power(one), Power(other)) if one == other) => left,
            T_POW => {
                power(left, right).unwrap_or_else(|| self.refuse(&whole(), "is a power of what shrinks with time"))
            }
            _ => self.refuse(&whole(), UNLIKE_SUM),
        }
    }
}

const NEWER: &str = "is not known to Prometheus 2.42";
const UNLIKE: &str = "compares what shrinks with time (a count over a window, a span of time) with what doesn't";
const TWO_TIMES: &str =
    "compares a gauge with what is computed of it at another time: a change, which may shrink with time";
const UNLIKE_SUM: &str = "adds up what shrinks with time (a count over a window, a span of time) and what doesn't";
const NO_PRODUCT: &str = "multiplies or divides what has no size, like a moment of the clock";

/// The names that a selector can have: its own, or those of a pattern that lists them; none is known of any other.
fn names(selector: &VectorSelector) -> Vec<&str> {
    if let Some(name) = &selector.name {
        return vec![name];
    }
    let pattern = selector.matchers.matchers.iter().find(|matcher| matcher.name == "__name__");
    let Some(Matcher { op: MatchOp::Re(_), value, .. }) = pattern else { return Vec::new() };
    let listed: Vec<&str> = value.split('|').collect();
    if listed.iter().all(|name| !name.is_empty() && is_name(name)) { listed } else { Vec::new() }
}

fn is_over_time(call: &Call) -> bool {
    call.args.args.iter().any(|argument| argument.value_type() == ValueType::Matrix)
}

/// What is compared, but for when: a mean, an extreme or a multiple of a gauge has the form of the gauge. Of two that have the
/// same form only the sign of their difference is asked, which is the same at every speed.
fn form(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Paren(paren) => form(&paren.expr)?,
        Expr::VectorSelector(selector) => {
            print(&Expr::VectorSelector(VectorSelector { offset: None, at: None, ..selector.clone() }))
        }
        Expr::MatrixSelector(matrix) => form(&Expr::VectorSelector(matrix.vs.clone()))?,
        Expr::Subquery(subquery) => form(&subquery.expr)?,
        Expr::Call(call) if is_over_time(call) && treats(call.func.name) == Treats::Alike => {
            form(call.args.args.last()?)?
        }
        Expr::Aggregate(aggregate) if [T_SUM, T_AVG, T_MAX, T_MIN].contains(&aggregate.op.id()) => {
            format!("{} {:?} ({})", aggregate.op, aggregate.modifier, form(&aggregate.expr)?)
        }
        Expr::Binary(binary)
            if [T_MUL, T_DIV].contains(&binary.op.id()) && matches!(*binary.rhs, Expr::NumberLiteral(_)) =>
        {
            format!("{} {} {}", form(&binary.lhs)?, binary.op, print(&binary.rhs))
        }
        _ => return None,
    })
}

fn folded(op: TokenId, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        T_ADD => left + right,
        T_SUB => left - right,
        T_MUL => left * right,
        T_DIV => left / right,
        T_MOD => left % right,
        T_POW => left.powf(right),
        T_ATAN2 => left.atan2(right),
        _ => return None,
    })
}

fn spread(inner: Kind, times: i32) -> Kind {
    match inner {
        Power(power) => Power(power * times),
        Moment => Power(times),
        Unlike | Told => inner,
        Number(_) | Gauge => Power(0),
    }
}

/// A product, or with −1 a quotient; none where one of the two has no size.
fn product(left: Kind, right: Kind, sign: i32) -> Option<Kind> {
    Some(match (left, right) {
        // A join: the other side is 1. Half a moment is none.
        (Moment, Gauge) => Moment,
        (Gauge, Moment) if sign > 0 => Moment,
        (Moment, _) | (_, Moment) => return None,
        (Unlike, _) | (_, Unlike) => Unlike,
        (Power(left), Power(right)) => Power(left + sign * right),
        (Gauge, Power(0)) => Gauge,
        (Power(0), Gauge) if sign > 0 => Gauge,
        (Power(left), _) => Power(left),
        (_, Power(right)) => Power(sign * right),
        (Gauge, _) => Gauge,
        (_, Gauge) if sign > 0 => Gauge,
        _ => Power(0),
    })
}

fn sum(left: Kind, right: Kind, is_difference: bool) -> Option<Kind> {
    Some(match (left, right) {
        _ if right.is_free() => left,
        // The negative of a moment is none.
        (_, Moment) if left.is_free() && is_difference => Unlike,
        _ if left.is_free() => right,
        (Moment, Moment | Gauge) | (Gauge, Moment) if is_difference => Power(1),
        (Moment, Power(1)) => Moment,
        (Power(1), Moment) if !is_difference => Moment,
        // A level and a moment look alike where nothing but a name is known: what is made of two is neither.
        _ if left.is_plain() && right.is_plain() => Power(0),
        (Power(one), Power(other)) if one == other => left,
        _ => return None,
    })
}

fn power(base: Kind, exponent: Kind) -> Option<Kind> {
    match (base, exponent) {
        _ if base.is_plain() && exponent.is_plain() => Some(Power(0)),
        (Power(power), Number(Some(exponent))) => {
            let power = f64::from(power) * exponent;
            #[expect(clippy::cast_possible_truncation, reason = "a whole number, and a small one")]
            (power.fract() == 0.0 && power.abs() < 100.0).then_some(Power(power as i32))
        }
        _ => None,
    }
}
