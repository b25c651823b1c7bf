//! The samples of a unit test's series, in promtool's notation: `0+10x40 5000 _x3 stale`.
//!
//! A stack that lives k times faster at the same rates counts k times less from one scrape to the next. So the numbers
//! of a counter (known by its name's ending) are divided by k; a gauge's stay. A divided counter that grows is written
//! out sample by sample: promtool adds a step up, and a fraction added up ends above the sample that follows, which
//! would be a counter that starts again.

use aiclipx_base::duration::Speed;

/// Endings of what only grows: counters, and the parts of a histogram.
pub(super) const COUNTER_ENDINGS: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];

/// The samples of a series on a stack of that speed; an error says which item does not parse.
pub(super) fn divide(series: &str, values: &str, speed: Speed) -> Result<String, String> {
    let name = series.split('{').next().unwrap_or_default().trim();
    let by = if COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending)) { f64::from(speed.factor()) } else { 1.0 };
    let items: Result<Vec<String>, String> = values.split_whitespace().map(|item| divide_item(item, by)).collect();
    items.map(|items| items.join(" "))
}

/// One item: `stale`, `_`, `_x5`, `3`, `3x5`, `0+10x40`, `100-5x10`.
fn divide_item(item: &str, by: f64) -> Result<String, String> {
    let error = || format!("`{item}` is no sample; write it like 5, 5x3, 0+10x40, _x3 or stale");
    if item == "stale" {
        return Ok(item.to_owned());
    }
    let (start, times) = match item.split_once('x') {
        Some((start, times)) => (start, format!("x{}", times.parse::<u32>().map_err(|_| error())?)),
        None => (item, String::new()),
    };
    if start == "_" {
        return Ok(item.to_owned());
    }
    let number = |number: &str| number.parse::<f64>().map_err(|_| error());
    // A sign after the first character separates start and step.
    let Some((at, sign)) = start.char_indices().skip(1).find(|(_, c)| ['+', '-'].contains(c)) else {
        return Ok(format!("{}{times}", number(start)? / by));
    };
    let Some(count) = times.strip_prefix('x') else { return Err(error()) };
    let (first, step) = (number(&start[..at])?, number(&start[at + 1..])?);
    if by <= 1.0 {
        return Ok(item.to_owned());
    }
    let step = if sign == '-' { -step } else { step };
    let count: u32 = count.parse().map_err(|_| error())?;
    let samples: Vec<String> = (0..=count).map(|n| ((first + step * f64::from(n)) / by).to_string()).collect();
    Ok(samples.join(" "))
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
