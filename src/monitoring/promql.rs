//! Expressions as syntax trees: divide its durations, find what does not survive that, tell how far it looks back.
//!
//! Nothing is edited as text: an expression is parsed, changed and printed. Two expressions are the same when their
//! trees print the same, which forgives layout and nothing else.
//!
//! What survives a division by k is a matter of dimension. On a stack that lives k times faster at the same rates, a
//! rate, a ratio and a latency stay what they are, while a count over a window and a span of time are k times less.
//! So each expression has a dimension, and comparing one that shrinks with a number that doesn't is a hazard.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{T_ADD, T_COUNT, T_DIV, T_GROUP, T_LAND, T_LOR, T_LUNLESS, T_MUL, T_SUB, TokenType};
use promql_parser::parser::{self, AtModifier, BinaryExpr, Call, Expr, MatrixSelector, Offset, VectorSelector};

use crate::duration::{self, Speed};

/// What the recording rules record: an expression may name another's result.
pub(super) type Recorded = BTreeMap<String, Expr>;

/// Bytes of an expression, and its levels of parentheses: several times what any rule of ours has.
const LONGEST: usize = 4096;
const DEEPEST: usize = 64;

/// Parses an expression. A duration in a number's place (`x > 5m`) is refused: 2.42 can't read it, and once parsed it
/// is a number that no division finds.
///
/// What nobody would write is refused unread: parser and printer take a stack frame and more for every level.
pub fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > LONGEST {
        return Err(format!("an expression of {} bytes; the longest that is read has {LONGEST}", text.len()));
    }
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST {
        return Err(format!("an expression of {deepest} levels; the deepest that is read has {DEEPEST}"));
    }
    if let Some(written) = duration_as_number(text) {
        return Err(format!("`{written}` is a duration in a number's place; Prometheus 2.42 can't read it"));
    }
    parser::parse(text)
}

/// The one printed form of an expression: what is compared and what is written.
pub fn print(expr: &Expr) -> String {
    expr.to_string()
}

/// Whether two texts are the same expression: their trees print the same.
pub fn same(one: &str, other: &str) -> bool {
    match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => print(&one) == print(&other),
        _ => false,
    }
}

/// The matchers of Alertmanager are those of expressions, written one by one: `alertname=~"App.+"`.
pub(super) fn parse_matcher(text: &str) -> Result<Matcher, String> {
    // A name beside it, because a selector of nothing but an empty match is refused.
    match parser::parse(&format!("any{{{text}}}"))? {
        Expr::VectorSelector(mut selector) if selector.matchers.matchers.len() == 1 => {
            Ok(selector.matchers.matchers.remove(0))
        }
        _ => Err(format!("`{text}` is not one matcher; write it like severity=\"critical\"")),
    }
}

/// The children of an expression. Unlike the parser's own walk, it visits the parameter of an aggregation, which may
/// hold a range: `topk(scalar(count_over_time(x[5m])), y)`.
fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => aggregate.param.iter().map(AsRef::as_ref).chain([&*aggregate.expr]).collect(),
        Expr::Unary(unary) => vec![&*unary.expr],
        Expr::Binary(binary) => vec![&*binary.lhs, &*binary.rhs],
        Expr::Paren(paren) => vec![&*paren.expr],
        Expr::Subquery(subquery) => vec![&*subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter_mut().map(AsMut::as_mut).chain([&mut *aggregate.expr]).collect()
        }
        Expr::Unary(unary) => vec![&mut *unary.expr],
        Expr::Binary(binary) => vec![&mut *binary.lhs, &mut *binary.rhs],
        Expr::Paren(paren) => vec![&mut *paren.expr],
        Expr::Subquery(subquery) => vec![&mut *subquery.expr],
        Expr::Call(call) => call.args.args.iter_mut().map(AsMut::as_mut).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
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

/// Divides every duration of an expression; all that can't be divided are told.
pub(super) fn divide(expr: &mut Expr, speed: Speed) -> Result<(), Vec<String>> {
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

/// Every node of an expression, outermost first.
pub(crate) fn nodes(expr: &Expr) -> Vec<&Expr> {
    [expr].into_iter().chain(children(expr).into_iter().flat_map(nodes)).collect()
}

/// Every selector of an expression.
pub(crate) fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut selectors = Vec::new();
    for node in nodes(expr) {
        if let Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) = node {
            selectors.push(selector);
        }
    }
    selectors
}

/// Every duration written in an expression, outermost first.
pub(crate) fn durations(expr: &Expr) -> Vec<Duration> {
    let mut found: Vec<Duration> = durations_mut(&mut expr.clone()).into_iter().map(|duration| *duration).collect();
    found.extend(children(expr).into_iter().flat_map(durations));
    found
}

/// Finds `5m` where a number belongs: outside of brackets and not after `offset`. Texts and comments are skipped.
fn duration_as_number(text: &str) -> Option<String> {
    let mut rest = text;
    let mut brackets = 0_i32;
    let mut after_offset = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => text_length(rest, first),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, tail) = rest.split_at(length);
        rest = tail;
        match first {
            '[' => brackets += 1,
            ']' => brackets -= 1,
            c if c.is_ascii_digit()
                && brackets == 0
                && !after_offset
                && token.ends_with(|c: char| c.is_ascii_lowercase())
                && duration::parse(token).is_ok() =>
            {
                return Some(token.to_owned());
            }
            _ => {}
        }
        // `offset -5m`: the sign stands between.
        after_offset =
            token.eq_ignore_ascii_case("offset") || (after_offset && (first == '-' || first.is_whitespace()));
    }
    None
}

/// The length of a quoted text with its quotes; a backslash escapes in all but backticks.
fn text_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// How a value changes on a stack that lives k times faster at the same rates: it is divided by k to this power.
type Dimension = i32;

/// What in an expression would mean something else on a faster stack.
///
/// Recording rules are followed by name, so a count recorded under one is a count where it is compared.
pub(super) fn hazards(expr: &Expr, recorded: &Recorded) -> Vec<String> {
    let mut found = Vec::new();
    dimension(expr, recorded, &mut found);
    found.dedup();
    found
}

fn dimension(expr: &Expr, recorded: &Recorded, found: &mut Vec<String>) -> Dimension {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => 0,
        Expr::VectorSelector(selector) => {
            fixed_moment(selector.at.as_ref(), found);
            // A recording rule's own hazards are told where it stands.
            let name = selector.name.as_ref().and_then(|name| recorded.get(name));
            name.map_or(0, |expr| dimension(expr, &without(recorded, selector.name.as_ref()), &mut Vec::new()))
        }
        Expr::MatrixSelector(matrix) => dimension(&Expr::VectorSelector(matrix.vs.clone()), recorded, found),
        Expr::Subquery(subquery) => {
            fixed_moment(subquery.at.as_ref(), found);
            dimension(&subquery.expr, recorded, found)
        }
        Expr::Paren(paren) => dimension(&paren.expr, recorded, found),
        Expr::Unary(unary) => dimension(&unary.expr, recorded, found),
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &aggregate.param {
                dimension(param, recorded, found);
            }
            let inner = dimension(&aggregate.expr, recorded, found);
            if [T_COUNT, T_GROUP].contains(&aggregate.op.id()) { 0 } else { inner }
        }
        Expr::Call(call) => dimension_of_call(call, recorded, found),
        Expr::Binary(binary) => dimension_of_binary(binary, recorded, found),
    }
}

/// A recording rule that names itself would be followed for ever.
fn without(recorded: &Recorded, name: Option<&String>) -> Recorded {
    recorded.iter().filter(|(key, _)| Some(*key) != name).map(|(key, expr)| (key.clone(), expr.clone())).collect()
}

fn fixed_moment(at: Option<&AtModifier>, found: &mut Vec<String>) {
    if let Some(at @ AtModifier::At(_)) = at {
        found.push(format!("`{at}` is a fixed moment, which no speed moves"));
    }
}

fn dimension_of_call(call: &Call, recorded: &Recorded, found: &mut Vec<String>) -> Dimension {
    let arguments: Vec<Dimension> =
        call.args.args.iter().map(|argument| dimension(argument, recorded, found)).collect();
    let inner = arguments.iter().copied().max().unwrap_or(0);
    match call.func.name {
        "increase" | "delta" | "idelta" | "changes" | "resets" => inner + 1,
        // A window holds as many samples as before (scrapes come k times more often), so a count of them stays.
        "count_over_time" | "histogram_quantile" | "absent" | "absent_over_time" | "present_over_time" | "sgn" => 0,
        "time" | "timestamp" => 1,
        "predict_linear" => {
            if let Some(Expr::NumberLiteral(seconds)) = call.args.args.get(1).map(AsRef::as_ref)
                && seconds.val != 0.0
            {
                found.push(format!(
                    "`{}` looks ahead by a duration written as a number",
                    print(&Expr::Call(call.clone()))
                ));
            }
            inner
        }
        _ => inner,
    }
}

fn dimension_of_binary(binary: &BinaryExpr, recorded: &Recorded, found: &mut Vec<String>) -> Dimension {
    let left = dimension(&binary.lhs, recorded, found);
    let right = dimension(&binary.rhs, recorded, found);
    if binary.op.is_comparison_operator() {
        if left != right && ![&binary.lhs, &binary.rhs].into_iter().any(|side| is_number(side, 0.0)) {
            found.push(format!(
                "`{}` compares what shrinks with time (a count over a window, a span of time) with what doesn't",
                print(&Expr::Binary(binary.clone()))
            ));
        }
        return if binary.return_bool() { 0 } else { left };
    }
    match binary.op.id() {
        T_MUL => left + right,
        T_DIV => left - right,
        T_ADD | T_SUB | T_LOR => left.max(right),
        T_LAND | T_LUNLESS => left,
        _ => 0,
    }
}

fn is_number(expr: &Expr, number: f64) -> bool {
    match expr {
        Expr::NumberLiteral(literal) => literal.val.to_bits() == number.to_bits(),
        Expr::Paren(paren) => is_number(&paren.expr, number),
        _ => false,
    }
}

/// For how long the inputs must have been as they are now before the value says so and nothing else: the longest range
/// of the expression, ranges over recorded results added to what those look back on, offsets included.
///
/// A range that only remembers (`max_over_time`, `last_over_time`, …) delays nothing, for it shows a new extreme at
/// once; nor does what is multiplied by zero.
pub(super) fn window(expr: &Expr, recorded: &Recorded) -> Duration {
    match expr {
        Expr::VectorSelector(selector) => {
            let recording = selector.name.as_ref().and_then(|name| recorded.get(name));
            let inner =
                recording.map_or(Duration::ZERO, |expr| window(expr, &without(recorded, selector.name.as_ref())));
            inner + backward(selector.offset.as_ref())
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
        Expr::Binary(binary)
            if binary.op.id() == T_MUL && (is_number(&binary.lhs, 0.0) || is_number(&binary.rhs, 0.0)) =>
        {
            Duration::ZERO
        }
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

/// Functions whose range is a memory, not an average.
const REMEMBERING: [&str; 4] = ["max_over_time", "min_over_time", "last_over_time", "present_over_time"];

fn backward(offset: Option<&Offset>) -> Duration {
    match offset {
        Some(Offset::Pos(duration)) => *duration,
        _ => Duration::ZERO,
    }
}

/// The number an expression's value is compared with: that of the first comparison, gates behind `and` left aside.
pub(super) fn threshold(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Paren(paren) => threshold(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => threshold(&binary.lhs),
        Expr::Binary(binary) if binary.op.is_comparison_operator() => match &*binary.rhs {
            Expr::NumberLiteral(number) => Some(number.val),
            _ => None,
        },
        _ => None,
    }
}

/// What all must hold for an expression to: the operands of `and`, parentheses undone.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Paren(paren) => conjuncts(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => [conjuncts(&binary.lhs), conjuncts(&binary.rhs)].concat(),
        other => vec![other],
    }
}

/// The share of faulty requests from which on an expression `value > threshold` holds, where one follows from its form:
/// of a ratio the threshold itself, of a ratio over a number that many times it, of a quantile q what lies above it,
/// 1 − q. `None` for anything else.
pub(super) fn share_threshold(expr: &Expr, recorded: &Recorded) -> Option<f64> {
    match expr {
        Expr::Paren(paren) => share_threshold(&paren.expr, recorded),
        Expr::Binary(binary) if is_above(binary.op) => match &*binary.rhs {
            Expr::NumberLiteral(threshold) => share_above(&binary.lhs, threshold.val, recorded),
            _ => None,
        },
        _ => None,
    }
}

fn share_above(expr: &Expr, threshold: f64, recorded: &Recorded) -> Option<f64> {
    match meaning(expr, recorded) {
        Expr::Binary(ratio) if ratio.op.id() == T_DIV => match &*ratio.rhs {
            Expr::NumberLiteral(number) => share_above(&ratio.lhs, threshold * number.val, recorded),
            _ => Some(threshold),
        },
        Expr::Call(call) if call.func.name == "histogram_quantile" => match call.args.args.first().map(AsRef::as_ref) {
            Some(Expr::NumberLiteral(quantile)) => Some(1.0 - quantile.val),
            _ => None,
        },
        _ => None,
    }
}

fn is_above(op: TokenType) -> bool {
    [">", ">="].contains(&op.to_string().as_str())
}

/// What an expression stands for, recorded names and parentheses undone.
fn meaning<'a>(expr: &'a Expr, recorded: &'a Recorded) -> &'a Expr {
    let mut expr = expr;
    // A name that leads back to itself ends here too.
    for _ in 0..=recorded.len() {
        expr = match expr {
            Expr::Paren(paren) => &paren.expr,
            Expr::VectorSelector(selector) => match selector.name.as_ref().and_then(|name| recorded.get(name)) {
                Some(recording) => recording,
                None => return expr,
            },
            _ => return expr,
        };
    }
    expr
}

#[cfg(test)]
mod tests;
