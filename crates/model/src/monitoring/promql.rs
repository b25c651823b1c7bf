//! Expressions as syntax trees: dividing their durations, finding what does not survive that, how far they look back.
//!
//! Nothing is edited as text: an expression is parsed, changed and printed. Two expressions are the same when their
//! trees print the same, which forgives layout and nothing else.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Once};
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::function::{Function, register_extra_functions};
use promql_parser::parser::token::{
    T_ADD, T_COUNT, T_DIV, T_LAND, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LUNLESS, T_MUL, T_SUB,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, BinaryExpr, Expr, MatrixSelector, Offset, VectorSelector};

use super::memo::Memo;
use aiclipx_base::duration::Speed;

pub mod clock;
mod conditions;
mod dimension;
mod functions;
mod text;
mod threshold;
mod tree;

pub(super) use conditions::held_to;
pub use conditions::with_conditions;
pub(super) use dimension::hazards;
use functions::Treats;
pub(super) use text::quoted_name;
pub(super) use threshold::{conjuncts, share_threshold, threshold};
pub use tree::{Recorded, children, gives, is_name, nodes, print, selectors};
use tree::{children_mut, recordings, without};

/// Parses an expression that every Prometheus from 2.42 on reads as it is meant, but for [names in quotes](quoted_name).
///
/// What was parsed is kept: a check of the tree asks for each expression some ten times, and parsing was most of it.
pub fn parse(text: &str) -> Result<Expr, String> {
    static PARSED: LazyLock<Memo<Result<Expr, String>>> = LazyLock::new(|| Memo::of(MOST_PARSED));
    PARSED.get(text.as_bytes(), || parsed_anew(text))
}

/// Of expressions, in bytes: some times those of a tree.
const MOST_PARSED: usize = 1 << 20;

fn parsed_anew(text: &str) -> Result<Expr, String> {
    know_holt_winters();
    let mut expr = parser::parse(&text::prepared(text)?)?;
    if matches!(expr.value_type(), ValueType::Matrix | ValueType::String) {
        return Err(
            "a range or a text, which Prometheus evaluates to nothing; a vector or a number is expected".to_owned()
        );
    }
    named(&mut expr)?;
    for node in nodes(&expr) {
        if let Some(newer) = newer(node) {
            return Err(format!("`{newer}` is not known to Prometheus 2.42"));
        }
    }
    Ok(expr)
}

/// What one of two rules of one name has recorded.
pub(super) fn either(one: Expr, other: Expr) -> Expr {
    match parser::parse("a or b") {
        Ok(Expr::Binary(binary)) => Expr::Binary(BinaryExpr { lhs: Box::new(one), rhs: Box::new(other), ..binary }),
        // It is an expression.
        _ => one,
    }
}

/// What Prometheus 3 has given another name, and the parser knows no other.
pub(super) const GONE: &str = "holt_winters";

fn know_holt_winters() {
    static KNOWN: Once = Once::new();
    KNOWN.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let function = Function::new(GONE, arguments, 0, ValueType::Vector, false);
        // It is refused where the parser has it already.
        let _ = register_extra_functions(vec![function]);
    });
}

/// Gives `{__name__="x"}` its name, for it is `x`.
fn named(expr: &mut Expr) -> Result<(), String> {
    if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = expr {
        let mut of_name = selector.matchers.matchers.iter().filter(|matcher| matcher.name == "__name__");
        match (&selector.name, of_name.next(), of_name.next()) {
            (Some(_), Some(_), _) => return Err(format!("`{selector}` is named twice")),
            (None, Some(Matcher { op: MatchOp::Equal, value, .. }), None) if stands_alone(value) => {
                selector.name = Some(value.clone());
                selector.matchers.matchers.retain(|matcher| matcher.name != "__name__");
            }
            _ => {}
        }
    }
    children_mut(expr).into_iter().try_for_each(named)
}

/// Whether a name is a selector by itself: `inf` is a number.
fn stands_alone(name: &str) -> bool {
    is_name(name) && matches!(parser::parse(name), Ok(Expr::VectorSelector(_)))
}

/// Nodes that an expression may come to, and rules that may stand in one another, once recording rules are followed.
const MOST_NODES: usize = 10_000;
const MOST_DEEP: usize = 64;

/// The recording rules that can't be followed within bounds, or go in a circle of several. Whoever reads an expression here
/// follows the rules that it names anew at each place, so one that doubles another sixty times would never be read to its end.
/// One that names itself, to remember what it was, is as long as it stands there. Without these, all others have an end.
pub(super) fn endless(recorded: &Recorded) -> Vec<String> {
    let mut known = BTreeMap::new();
    let mut endless = Vec::new();
    for name in recorded.keys() {
        if followed(name, recorded, &mut Vec::new(), &mut known).is_none() {
            known.insert(name, (1, 1));
            endless.push(name.clone());
        }
    }
    endless
}

/// How many nodes a recording rule comes to, and how deep.
fn followed<'a>(
    name: &'a str,
    recorded: &'a Recorded,
    above: &mut Vec<&'a str>,
    known: &mut BTreeMap<&'a str, (usize, usize)>,
) -> Option<(usize, usize)> {
    if let Some(known) = known.get(name) {
        return Some(*known);
    }
    if above.contains(&name) || above.len() == MOST_DEEP {
        return None;
    }
    above.push(name);
    let expr = &recorded[name];
    let (mut size, mut depth) = (nodes(expr).len(), 0);
    for selector in selectors(expr) {
        for (inner, _) in recordings(selector, recorded).into_iter().filter(|(inner, _)| *inner != name) {
            let (more, deeper) = followed(inner, recorded, above, known)?;
            (size, depth) = (size.saturating_add(more), depth.max(deeper));
        }
    }
    above.pop();
    let is_bounded = size <= MOST_NODES && depth < MOST_DEEP;
    is_bounded.then(|| *known.entry(name).or_insert((size, depth + 1)))
}

/// What in a node itself is newer than the oldest Prometheus that is promised.
fn newer(node: &Expr) -> Option<String> {
    match node {
        Expr::Call(call) if functions::treats(call.func.name) == Treats::Newer => Some(call.func.name.to_owned()),
        Expr::Aggregate(aggregate) => {
            let is_newer = [T_LIMITK, T_LIMIT_RATIO].contains(&aggregate.op.id());
            is_newer.then(|| aggregate.op.to_string())
        }
        Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) => {
            (!selector.matchers.or_matchers.is_empty()).then(|| selector.to_string())
        }
        _ => None,
    }
}

/// Whether two texts are the same expression: their trees print the same, but for a matching of labels that matches nothing.
pub fn same(one: &str, other: &str) -> bool {
    match (parse(one), parse(other)) {
        (Ok(mut one), Ok(mut other)) => {
            [&mut one, &mut other].into_iter().for_each(drop_idle_matching);
            print(&one) == print(&other)
        }
        _ => false,
    }
}

/// Takes away `on` and `ignoring` beside a number, as in `up == on () 0`: Prometheus leaves them out where it prints.
fn drop_idle_matching(expr: &mut Expr) {
    if let Expr::Binary(binary) = expr
        && [&binary.lhs, &binary.rhs].into_iter().any(|side| side.value_type() == ValueType::Scalar)
        && let Some(modifier) = &mut binary.modifier
    {
        modifier.matching = None;
    }
    children_mut(expr).into_iter().for_each(drop_idle_matching);
}

/// The durations written in one node itself: ranges, subquery ranges and steps, offsets of either sign.
fn durations_mut(expr: &mut Expr) -> Vec<&mut Duration> {
    fn of_offset(offset: &mut Option<Offset>) -> Option<&mut Duration> {
        offset.as_mut().map(|(Offset::Pos(duration) | Offset::Neg(duration))| duration)
    }
    match expr {
        Expr::VectorSelector(selector) => of_offset(&mut selector.offset).into_iter().collect(),
        Expr::MatrixSelector(matrix) => {
            [&mut matrix.range].into_iter().chain(of_offset(&mut matrix.vs.offset)).collect()
        }
        Expr::Subquery(subquery) => {
            [&mut subquery.range].into_iter().chain(&mut subquery.step).chain(of_offset(&mut subquery.offset)).collect()
        }
        _ => Vec::new(),
    }
}

/// Divides every duration of an expression; the error lists all that can't be divided.
pub(crate) fn divide(expr: &mut Expr, speed: Speed) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    for duration in durations_mut(expr) {
        match speed.real(*duration) {
            Ok(real) => *duration = real,
            Err(error) => refused.push(error.to_string()),
        }
    }
    for child in children_mut(expr) {
        refused.extend(divide(child, speed).err().unwrap_or_default());
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Every duration written in an expression, outermost first.
pub fn durations(expr: &Expr) -> Vec<Duration> {
    let mut found: Vec<Duration> = durations_mut(&mut expr.clone()).into_iter().map(|duration| *duration).collect();
    found.extend(children(expr).into_iter().flat_map(durations));
    found
}

/// The number that an expression stands for, where it stands for one: written, computed of others, or made a vector.
pub fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Paren(paren) => number(&paren.expr),
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Unary(unary) => number(&unary.expr).map(|value| -value),
        Expr::Call(call) if call.func.name == "vector" => call.args.args.first().and_then(|value| number(value)),
        Expr::Binary(binary) => {
            let (left, right) = (number(&binary.lhs)?, number(&binary.rhs)?);
            match binary.op.id() {
                T_ADD => Some(left + right),
                T_SUB => Some(left - right),
                T_MUL => Some(left * right),
                T_DIV => Some(left / right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether an expression is zero wherever it is there at all: it stands in for what is missing, and says that once there was some.
pub fn is_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => is_nothing(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_MUL => is_nothing(&binary.lhs) || is_nothing(&binary.rhs),
        _ => number(expr) == Some(0.0),
    }
}

/// For how long the inputs must have been as they are now before the value says so and nothing else: the longest range
/// of the expression, ranges over recorded results added to what those look back on, offsets included.
///
/// A range that only remembers (`max_over_time`, `last_over_time`, …) delays nothing, for it shows a new extreme at
/// once; nor does a mean of what was before (`avg_over_time(x[30m] offset 5m)`), which is what now is held against; nor does
/// what is multiplied by zero.
pub(super) fn window(expr: &Expr, recorded: &Recorded) -> Duration {
    match expr {
        Expr::VectorSelector(selector) => {
            let inner =
                recordings(selector, recorded).into_iter().map(|(name, expr)| window(expr, &without(recorded, name)));
            inner.max().unwrap_or_default() + backward(selector.offset.as_ref())
        }
        Expr::MatrixSelector(matrix) => matrix.range + window(&Expr::VectorSelector(matrix.vs.clone()), recorded),
        Expr::Subquery(subquery) => {
            subquery.range + backward(subquery.offset.as_ref()) + window(&subquery.expr, recorded)
        }
        Expr::Call(call) if REMEMBERING.contains(&call.func.name) => {
            let inner = call.args.args.iter().map(|argument| match argument.as_ref() {
                Expr::MatrixSelector(matrix) => window(&Expr::VectorSelector(matrix.vs.clone()), recorded),
                Expr::Subquery(subquery) => window(&subquery.expr, recorded),
                other => window(other, recorded),
            });
            inner.max().unwrap_or_default()
        }
        Expr::Call(call)
            if call.func.name.ends_with("_over_time") && call.args.args.iter().any(|arg| looks_before(arg)) =>
        {
            Duration::ZERO
        }
        expr if is_nothing(expr) => Duration::ZERO,
        other => children(other).into_iter().map(|child| window(child, recorded)).max().unwrap_or_default(),
    }
}

/// The window of an expression by itself, no recording rule followed: how far a dashboard's query looks back.
pub fn looks_back(text: &str) -> Result<Duration, String> {
    Ok(window(&parse(text)?, &Recorded::new()))
}

/// What an alert's expression compares with its threshold, as text: the curve to look at. The whole expression where
/// nothing is compared.
pub fn compared(text: &str) -> String {
    let Ok(tree) = parse(text) else { return text.to_owned() };
    let mut expr = &tree;
    loop {
        expr = match expr {
            Expr::Paren(paren) => &paren.expr,
            Expr::Binary(binary) if binary.op.is_comparison_operator() || binary.op.is_set_operator() => &binary.lhs,
            _ => return print(expr),
        };
    }
}

/// A comparison that an alert fires by.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    pub value: &'a Expr,
    /// What it is compared with; none where it is enough that the value is there.
    pub bound: Option<&'a Expr>,
}

impl Comparison<'_> {
    /// The number it is compared with, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self.bound {
            Some(Expr::NumberLiteral(number)) => Some(number.val),
            _ => None,
        }
    }
}

/// What an alert's expression compares. Of conditions that must all hold it is the first, and those that compare with the
/// same number (the windows of a pair): what else there is are guards. Of alternatives it is each. A count of those for
/// which something holds says by that why it fires.
pub fn comparisons(expr: &Expr) -> Vec<Comparison<'_>> {
    match expr {
        Expr::Paren(paren) => comparisons(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => {
            let first = comparisons(&binary.lhs);
            let alike = |other: &Comparison| {
                let number = |one: &Comparison| one.number().map(f64::to_bits);
                number(other).is_some() && first.iter().any(|one| number(one) == number(other))
            };
            let others: Vec<Comparison> = comparisons(&binary.rhs).into_iter().filter(alike).collect();
            [first, others].concat()
        }
        Expr::Binary(binary) if binary.op.id() == T_LOR => {
            [comparisons(&binary.lhs), comparisons(&binary.rhs)].concat()
        }
        Expr::Binary(binary) if binary.op.id() == T_LUNLESS => comparisons(&binary.lhs),
        Expr::Binary(binary) if binary.op.is_comparison_operator() => match binary.lhs.as_ref() {
            Expr::Aggregate(aggregate) if aggregate.op.id() == T_COUNT && holds_one(&aggregate.expr) => {
                comparisons(&aggregate.expr)
            }
            value => vec![Comparison { value: instead(value), bound: Some(&binary.rhs) }],
        },
        value => vec![Comparison { value, bound: None }],
    }
}

/// Whether an expression is a condition.
fn holds_one(expr: &Expr) -> bool {
    comparisons(expr).iter().any(|one| one.bound.is_some())
}

/// What is looked at where it is there: `x or 0 * y` is `x`.
fn instead(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => instead(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LOR => instead(&binary.lhs),
        _ => expr,
    }
}

/// An expression by what it is of: layout, parentheses, the order of matchers and matchers on a value like `free` left out, and
/// what its selectors ask of the job apart.
#[derive(Debug, Clone)]
pub struct Bare {
    form: String,
    /// Of each selector.
    jobs: Vec<Vec<String>>,
    /// As it is told.
    pub shown: String,
}

impl Bare {
    pub fn of(expr: &Expr, free: &str) -> Bare {
        fn strip(expr: &mut Expr, is_left_out: &impl Fn(&Matcher) -> bool) {
            if let Expr::Paren(paren) = expr {
                let mut inner = (*paren.expr).clone();
                strip(&mut inner, is_left_out);
                *expr = inner;
                return;
            }
            if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = expr {
                selector.matchers.matchers.retain(|matcher| !is_left_out(matcher));
                selector.matchers.matchers.sort_by_key(ToString::to_string);
            }
            for child in children_mut(expr) {
                strip(child, is_left_out);
            }
        }
        let (mut expr, is_of_job) = (expr.clone(), |matcher: &Matcher| matcher.name == "job");
        strip(&mut expr, &|matcher| matcher.value.contains(free));
        let shown = print(&expr);
        let asked = |selector: &&VectorSelector| -> Vec<String> {
            selector.matchers.matchers.iter().filter(|one| is_of_job(one)).map(ToString::to_string).collect()
        };
        let jobs = selectors(&expr).iter().map(asked).collect();
        strip(&mut expr, &is_of_job);
        Bare { form: print(&expr), jobs, shown }
    }

    /// Whether every curve of another is among this one's: it is the same of the same job, or of whatever job there is.
    pub fn has(&self, other: &Bare) -> bool {
        let mut jobs = self.jobs.iter().zip(&other.jobs);
        self.form == other.form && jobs.all(|(own, asked)| own.iter().all(|job| asked.contains(job)))
    }
}

/// Functions of counters.
pub const OF_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];
/// Functions that are above zero after one event, for as long as their window has it.
pub const REMEMBER_AN_EVENT: [&str; 5] = ["changes", "increase", "irate", "rate", "resets"];
/// Functions whose range is a memory, not an average.
const REMEMBERING: [&str; 4] = ["max_over_time", "min_over_time", "last_over_time", "present_over_time"];

/// Whether a range ends before now.
fn looks_before(expr: &Expr) -> bool {
    let offset = match expr {
        Expr::MatrixSelector(matrix) => matrix.vs.offset.as_ref(),
        Expr::Subquery(subquery) => subquery.offset.as_ref(),
        _ => None,
    };
    !backward(offset).is_zero()
}

/// How far before now an offset lies; one that lies after it is none.
pub fn backward(offset: Option<&Offset>) -> Duration {
    match offset {
        Some(Offset::Pos(duration)) => *duration,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
