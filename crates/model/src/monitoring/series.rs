//! The samples of a unit test's series, in promtool's notation: `0+10x40 5000 _x3 stale {{schema:1 count:5}}`.
//!
//! A stack that lives k times faster at the same rates counts k times less from one scrape to the next. So the numbers
//! of a counter (known by its name's ending) are divided by k; a gauge's stay. A divided counter that grows is written
//! out sample by sample: promtool adds a step up, and a fraction added up ends above the sample that follows, which
//! would be a counter that starts again. A native histogram of a counter is refused: all its counts are a counter's.

use promql_parser::label::Matcher;
use promql_parser::parser::{Expr, VectorSelector};

use super::promql;
use aiclipx_base::duration::Speed;

/// Endings of what only grows: counters, and the parts of a histogram.
pub(super) const COUNTER_ENDINGS: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];

/// The samples of a series on a stack of that speed; an error says which item does not parse.
pub(super) fn divide(series: &str, values: &str, speed: Speed) -> Result<String, String> {
    let name = name_of(series);
    let is_counter = COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending));
    let by = if is_counter { f64::from(speed.factor()) } else { 1.0 };
    let items = items(values)?;
    let has_histograms = items.iter().any(|item| item.contains("{{"));
    if has_histograms && speed != Speed::PRODUCTION {
        return Err("native histograms are counters in many parts, which are not divided here".to_owned());
    }
    let items: Result<Vec<String>, String> = items.into_iter().map(|item| divide_item(item, by)).collect();
    items.map(|items| items.join(" "))
}

/// Before its labels, or among them: `{"a.b_total"}`, `{__name__="a"}`.
fn name_of(series: &str) -> String {
    let is_of_name = |matcher: &&Matcher| matcher.name == "__name__";
    match promql::parse(series) {
        Ok(Expr::VectorSelector(VectorSelector { name: Some(name), .. })) => name,
        Ok(Expr::VectorSelector(selector)) => {
            let named = selector.matchers.matchers.iter().find(is_of_name);
            named.map(|matcher| matcher.value.clone()).unwrap_or_default()
        }
        _ => series.split('{').next().unwrap_or_default().trim().to_owned(),
    }
}

/// What stands between blanks; a histogram has some of its own.
fn items(values: &str) -> Result<Vec<&str>, String> {
    let mut items = Vec::new();
    let mut rest = values.trim_start();
    while !rest.is_empty() {
        let histogram = rest.find("}}").filter(|_| rest.starts_with("{{"));
        if rest.starts_with("{{") && histogram.is_none() {
            return Err(format!("`{rest}` is no histogram: `}}}}` is missing"));
        }
        // Up to where the next begins: `{{…}}+{{…}}x5` is one.
        let mut end = histogram.map_or(0, |at| at + 2);
        if let Some(second) = rest[end..].strip_prefix(['+', '-']).filter(|_| histogram.is_some())
            && second.starts_with("{{")
        {
            end += 1 + second.find("}}").map_or(second.len(), |at| at + 2);
        }
        end += rest[end..].find(char::is_whitespace).unwrap_or(rest.len() - end);
        items.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(items)
}

/// One item: `stale`, `_`, `_x5`, `3`, `3x5`, `0+10x40`, `100-5x10`, `{{count:1}}+{{count:1}}x5`.
fn divide_item(item: &str, by: f64) -> Result<String, String> {
    let error = || format!("`{item}` is no sample; write it like 5, 5x3, 0+10x40, _x3 or stale");
    if item == "stale" {
        return Ok(item.to_owned());
    }
    let (start, times) = match item.rsplit_once('x').filter(|(_, times)| times.parse::<u32>().is_ok()) {
        // Of `0x10` it is the number's own.
        Some((start, times)) if !(start.is_empty() || is_hexadecimal(item)) => (start, Some(times)),
        _ => (item, None),
    };
    if start == "_" || start == "stale" {
        return Ok(item.to_owned());
    }
    if let Some(histogram) = start.strip_prefix("{{") {
        return if histogram.ends_with("}}") { Ok(item.to_owned()) } else { Err(error()) };
    }
    let number = |number: &str| read(number).ok_or_else(error);
    // A sign after the first character separates start and step, but one of an exponent.
    let bytes = start.as_bytes();
    let separates = |at: usize| matches!(bytes[at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E');
    let Some(at) = (1..bytes.len()).find(|at| separates(*at)) else {
        let value = number(start)?;
        if by <= 1.0 {
            return Ok(item.to_owned());
        }
        return Ok(times.map_or_else(|| written(value / by), |times| format!("{}x{times}", written(value / by))));
    };
    let Some(times) = times else { return Err(error()) };
    let (first, step) = (number(&start[..at])?, number(&start[at + 1..])?);
    if by <= 1.0 {
        return Ok(item.to_owned());
    }
    let step = if bytes[at] == b'-' { -step } else { step };
    let count: u32 = times.parse().map_err(|_| error())?;
    let samples: Vec<String> = (0..=count).map(|n| written((first + step * f64::from(n)) / by)).collect();
    Ok(samples.join(" "))
}

fn is_hexadecimal(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.starts_with("0x")
        && digits.matches('x').count() == 1
        && !digits[2..].starts_with('-')
        && digits[2..].chars().any(|c| c.is_ascii_alphabetic())
}

/// As Go reads one.
fn read(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_start_matches(['-', '+']);
    if let Some(digits) = digits.strip_prefix("0x") {
        let value = u32::from_str_radix(digits, 16).ok().map(f64::from)?;
        return Some(if lower.starts_with('-') { -value } else { value });
    }
    lower.parse().ok()
}

/// As Go reads it back.
fn written(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(k: u32, series: &str, values: &str) -> Result<String, String> {
        divide(series, values, Speed::new(k).expect("a speed"))
    }

    #[test]
    fn a_counter_s_numbers_are_divided_and_a_gauge_s_are_not() {
        assert_eq!(
            at(30, "a_total{x=\"y\"}", "0+15x2 600 _x3 stale 60-3x2 90x4"),
            Ok("0 0.5 1 20 _x3 stale 2 1.9 1.8 3x4".to_owned())
        );
        assert_eq!(at(30, "up{job=\"a_total\"}", "1x40 0x20 -1+2x3"), Ok("1x40 0x20 -1+2x3".to_owned()));
        for counter in ["{\"a.b_total\"}", "{job=\"up\",__name__=\"a_total\"}"] {
            assert_eq!(at(30, counter, "60x3"), Ok("2x3".to_owned()), "{counter}");
        }
    }

    /// 1.2 added forty times is more than 48.
    #[test]
    fn a_counter_that_stops_growing_does_not_seem_to_start_again() {
        let divided = at(5, "a_total", "0+6x40 240x2").expect("it reads");
        assert!(divided.ends_with(" 48 48x2"), "{divided}");
    }

    #[test]
    fn what_promtool_could_not_read_is_refused() {
        for values in ["1+2", "x5", "1x", "one", "1+x5", "1xx5", "_y"] {
            assert!(at(1, "a_total", values).is_err(), "{values}");
        }
    }
}
