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
    T_MOD, T_MUL, T_POW, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUB, T_SUM, T_TOPK,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, AtModifier, BinaryExpr, Call, Expr, UnaryExpr, VectorSelector};

use super::functions::{Treats, treats};
use super::tree::{Recorded, children, is_name, print, recordings, without};
use crate::monitoring::series;
use kind::Kind::{self, Gauge, Moment, Number, Power, Refused, Unlike};
use kind::{folded, power, product, sum};

mod kind;

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
            // Its own hazards are found where it stands.
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

    /// Notes what does not agree; what is made of it is refused with it.
    fn refuse(&mut self, expr: &Expr, what: &str) -> Kind {
        self.found.push(format!("`{}` {what}", print(expr)));
        Refused
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
                if inner != Refused && self.at_two_times(&aggregate.expr, &aggregate.expr) =>
            {
                Unlike
            }
            T_STDDEV => inner.spread(1),
            T_STDVAR => inner.spread(2),
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
            Treats::Count if inner == Refused => Refused,
            // A moment is set anew by what happens in time (a process starts), and time alone is faster: as many as before.
            Treats::Count if inner == Moment => Power(0),
            // As many as before where time alone is faster, and fewer where what changes does so at the same rate.
            Treats::Count => Unlike,
            Treats::Growth => self.growth(arguments[0].0, inner),
            Treats::PerSecond => self.growth(arguments[0].0, inner).per_second(),
            Treats::Change | Treats::Slope | Treats::Spread | Treats::SquaredSpread if of_gauges(inner) => Unlike,
            Treats::Change => inner.change(),
            Treats::Slope => inner.change().per_second(),
            Treats::Spread => inner.spread(1),
            Treats::SquaredSpread => inner.spread(2),
            Treats::Root => {
                inner.root().unwrap_or_else(|| self.refuse(&whole(), "is the root of what shrinks with time"))
            }
            Treats::Clock => Moment,
            Treats::Calendar => self.refuse(&whole(), "asks the calendar, which no speed moves"),
            Treats::Ahead => match arguments.get(1) {
                Some((_, ahead)) if ahead.is_free() || matches!(ahead, Power(1) | Refused) => inner,
                _ => self.refuse(&whole(), "looks ahead by a duration written as a number"),
            },
            Treats::Bounded => self.refuse(&whole(), UNLIKE),
            Treats::Plain | Treats::Nothing => self.refuse(&whole(), "takes what shrinks with time for a plain number"),
            Treats::Newer => self.refuse(&whole(), NEWER),
        }
    }

    /// How much a counter grows over a window. Of what has no ending and is recorded nowhere only a counter has a rate.
    fn growth(&self, range: &Expr, counter: Kind) -> Kind {
        match counter {
            Gauge => Power(1),
            Unlike if self.is_unrecorded(range) => Power(1),
            Power(_) if self.has_gauges(range) => Unlike,
            Power(_) | Refused => counter,
            Moment | Unlike | Number(_) => Unlike,
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
            if ![left, right].contains(&Refused)
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
        if left == Refused || right == Refused {
            return Refused;
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
    match pattern {
        // One that is a name in quotes alone.
        Some(Matcher { op: MatchOp::Equal, value, .. }) => vec![value],
        Some(Matcher { op: MatchOp::Re(_), value, .. }) if value.split('|').all(is_name) => value.split('|').collect(),
        _ => Vec::new(),
    }
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
