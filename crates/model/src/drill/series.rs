//! The samples of a unit test's series, in promtool's notation: `0+10x40 5000 _x3 stale 1e-3`.

use promql_parser::parser::Expr;

use super::reading::Texts;
use crate::monitoring::promql;

/// What a series has at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    Number(f64),
    /// Prometheus' mark that the series ended.
    Stale,
    /// Nothing.
    Gap,
}

/// One series of a test: what it is, and what it has at each interval from the test's beginning on.
///
/// Kept as it is written: a few letters may stand for more samples than a computer holds.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSeries {
    /// Its name among them, as `__name__`.
    pub labels: Texts,
    runs: Vec<Run>,
}

/// Samples that follow each other by one step, or are all alike where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    first: Item,
    step: Option<f64>,
    count: usize,
}

impl Run {
    fn one(first: Item) -> Run {
        Run { first, step: None, count: 1 }
    }

    /// Added up as promtool does, last bits and all.
    fn items(&self) -> impl Iterator<Item = Item> + use<> {
        let step = self.step;
        let next = move |item: &Item| match (*item, step) {
            (Item::Number(value), Some(step)) => Some(Item::Number(value + step)),
            (item, _) => Some(item),
        };
        std::iter::successors(Some(self.first), next).take(self.count)
    }
}

/// So many samples a run may have, as a guard against slips; what a scene may have is its own to say.
const MOST: usize = 1 << 20;

impl InputSeries {
    /// Reads both halves; an error says what can't be read, or can't be drilled.
    pub fn read(series: &str, values: &str) -> Result<InputSeries, String> {
        if values.contains("{{") {
            return Err("native histograms are not sent in a drill".to_owned());
        }
        let mut runs = Vec::new();
        for item in values.split_whitespace() {
            let error = || format!("`{item}` is no sample; write it like 5, 5x3, 0+10x40, _x3 or stale");
            runs.push(read_item(item).ok_or_else(error)?);
        }
        Ok(InputSeries { labels: labels_of(series)?, runs })
    }

    /// What it has at each interval until it ends.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.runs.iter().flat_map(Run::items)
    }

    /// So many intervals until it ends.
    pub fn length(&self) -> usize {
        self.runs.iter().map(|run| run.count).fold(0, usize::saturating_add)
    }
}

/// How a series would go on behind these, by its last step. None where it has ended by then.
pub fn goes_on(items: &[Item], by: usize) -> Option<f64> {
    let at = |back: usize| items.len().checked_sub(back).and_then(|index| items.get(index)).copied();
    let Some(Item::Number(value)) = at(1) else { return None };
    let step = |back: usize| match (at(back + 1), at(back)) {
        (Some(Item::Number(before)), Some(Item::Number(value))) => Some(value - before).filter(|step| step.is_finite()),
        _ => None,
    };
    let last_step = step(1).unwrap_or(0.0);
    // Down once is a reset, down twice is a gauge that falls.
    let is_reset = last_step < 0.0 && step(2) != Some(last_step);
    #[allow(clippy::cast_precision_loss)] // some hundred intervals
    Some(if is_reset { value } else { value + last_step * by as f64 })
}

/// Name and labels of a series, written like a selector.
fn labels_of(series: &str) -> Result<Texts, String> {
    let expr = promql::parse(series.trim())?;
    let Expr::VectorSelector(selector) = expr else { return Err(format!("`{series}` is no series")) };
    let mut labels = Texts::new();
    for matcher in &selector.matchers.matchers {
        if matcher.op != promql_parser::label::MatchOp::Equal {
            return Err(format!("`{series}` is no series: `{matcher}` is more than a label"));
        }
        labels.insert(matcher.name.clone(), matcher.value.clone());
    }
    // A label without a value is none.
    labels.retain(|_, value| !value.is_empty());
    labels.extend(selector.name.map(|name| ("__name__".to_owned(), name)));
    Ok(labels)
}

fn read_item(item: &str) -> Option<Run> {
    if item == "stale" {
        return Some(Run::one(Item::Stale));
    }
    // An x is never that of a number in hexadecimal here.
    let (start, times) = match item.split_once('x') {
        Some((start, times)) => (start, Some(times.parse::<usize>().ok().filter(|times| *times < MOST)?)),
        None => (item, None),
    };
    if start == "_" {
        return Some(Run { count: times.unwrap_or(1), ..Run::one(Item::Gap) });
    }
    if let Some(number) = number(start) {
        return Some(Run { count: times.map_or(1, |times| times + 1), ..Run::one(Item::Number(number)) });
    }
    // A sign behind the first character, and not that of an exponent, separates start and step.
    let mut signs = start.char_indices().skip(1).filter(|(_, c)| ['+', '-'].contains(c)).map(|(at, _)| at);
    let read =
        |at: usize| Some((number(&start[..at])?, number(start[at..].strip_prefix('+').unwrap_or(&start[at..]))?));
    let (first, step) = signs.find_map(read)?;
    Some(Run { first: Item::Number(first), step: Some(step), count: times? + 1 })
}

/// A number as the notation has it: Go's, `Inf` and `NaN` among them.
fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (sign, digits) =
        lower.strip_prefix('-').map_or((1.0, lower.strip_prefix('+').unwrap_or(&lower)), |d| (-1.0, d));
    match digits {
        "inf" => Some(sign * f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => Some(sign * digits.parse::<f64>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Item::{Gap, Number, Stale};
    use super::*;

    fn items(values: &str) -> Vec<Item> {
        InputSeries::read("x", values).unwrap().items().collect()
    }

    #[test]
    fn each_item_is_as_many_samples_as_promtool_makes_of_it() {
        assert_eq!(items("0+10x2 5000"), [Number(0.0), Number(10.0), Number(20.0), Number(5000.0)]);
        assert_eq!(items("3x2"), [Number(3.0); 3]);
        assert_eq!(items("100-5x1 _x2 _ stale"), [Number(100.0), Number(95.0), Gap, Gap, Gap, Stale]);
        assert_eq!(items("1e-3 1e3-1e2x1 -2-1x1"), [1e-3, 1e3, 900.0, -2.0, -3.0].map(Number));
        assert_eq!(
            items("+Inf -Inf 0x10"),
            [Number(f64::INFINITY), Number(f64::NEG_INFINITY), Number(0.0)]
                .into_iter()
                .chain([Number(0.0); 10])
                .collect::<Vec<_>>()
        );
        assert!(matches!(items("NaN")[..], [Number(value)] if value.is_nan()));
    }

    #[test]
    fn what_is_no_sample_is_told() {
        for values in ["x", "1+1", "5x", "1+ax3", "_x-1", "1x99999999999", "{{schema:1}}"] {
            assert!(InputSeries::read("x", values).is_err(), "{values}");
        }
        for series in ["x{a=~\"b\"}", "rate(x[5m])", "1", ""] {
            assert!(InputSeries::read(series, "1").is_err(), "{series}");
        }
    }

    #[test]
    fn what_a_few_letters_stand_for_is_not_laid_out_before_it_is_asked_for() {
        let values = vec!["0+1x1000000"; 1000].join(" ");
        let all: Vec<InputSeries> = (0..200).map(|_| InputSeries::read("x", &values).unwrap()).collect();
        assert_eq!((all[7].length(), all[7].items().nth(5)), (1_000_001_000, Some(Number(5.0))));
        assert_eq!(items("-0x1").iter().map(|item| format!("{item:?}")).collect::<Vec<_>>(), vec!["Number(-0.0)"; 2]);
    }

    #[test]
    fn a_series_goes_on_by_its_last_step_unless_it_has_ended() {
        let of = |values: &str, last: usize| {
            let series = InputSeries::read("x", values).unwrap();
            let items: Vec<Item> = series.items().chain(std::iter::repeat(Gap)).take(last + 1).collect();
            goes_on(&items, 2)
        };
        assert_eq!(of("0+10x4", 4), Some(60.0));
        assert_eq!(of("7x4", 4), Some(7.0));
        assert_eq!((of("9 3", 1), of("9 6 3", 2)), (Some(3.0), Some(-3.0)));
        assert_eq!((of("1 1 stale", 2), of("1", 5)), (None, None));
    }
}
