//! Reads Prometheus' text exposition format, version 0.0.4, strictly enough to be a judge; and `OpenMetrics` (a text that ends with
//! `# EOF`), which some services answer with whoever asks: exemplars are left out, timestamps are in seconds.
//!
//! It refuses what Prometheus would take with a shrug and what hides a bug: the same series twice, a label that is no label. It
//! is not the service's own encoder read backwards.
//!
//! Source of the format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

/// A name and its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesName {
    /// The metric's name, suffixes (`_bucket`, `_count`) included.
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// Every series of an exposition with its value.
pub type Exposition = BTreeMap<SeriesName, f64>;

/// Whether a text is `OpenMetrics`.
pub fn is_open(text: &str) -> bool {
    text.trim_end().ends_with("\n# EOF")
}

/// The sum of a name's series; none where there is none. Nothing else is read: a text may be many megabytes.
pub fn sum(text: &str, name: &str) -> Option<f64> {
    let is_of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '\t']));
    let open = is_open(text);
    let values = text.lines().filter(is_of_name).filter_map(|line| sample(line, open).ok());
    values.map(|(_, value)| value).reduce(|one, other| one + other)
}

/// Every series, with a `TYPE` or without one, as Prometheus takes it; names in quotes, too, which it takes from 3.0 on.
pub fn parse(text: &str) -> anyhow::Result<Exposition> {
    let open = is_open(text);
    let mut series = Exposition::new();
    let mut typed: BTreeSet<String> = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let at = || format!("line {} of the exposition", index + 1);
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(rest) = comment.trim_start().strip_prefix("TYPE ") {
                let name = typed_name(rest).with_context(at)?;
                ensure!(!typed.contains(&name), "{}: a second TYPE of {name}", at());
                typed.insert(name);
            }
        } else if !line.trim().is_empty() {
            let (name, value) = sample(line, open).with_context(at)?;
            ensure!(series.insert(name, value).is_none(), "{}: the same series twice: {line}", at());
        }
    }
    Ok(series)
}

/// The name behind `TYPE`.
fn typed_name(rest: &str) -> anyhow::Result<String> {
    match rest.trim_start().strip_prefix('"') {
        Some(inside) => Ok(quoted(inside)?.0),
        None => Ok(rest.split_whitespace().next().unwrap_or_default().to_owned()),
    }
}

fn sample(line: &str, open: bool) -> anyhow::Result<(SeriesName, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(end);
    let mut series = SeriesName { name: name.to_owned(), labels: BTreeMap::new() };
    if let Some(inside) = rest.strip_prefix('{') {
        rest = labels_of(inside, &mut series)?;
    }
    let is_plain = |name: &str| !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    ensure!(is_plain(name) || name.is_empty() && !series.name.is_empty(), "no metric name in `{line}`");
    if let Some((own, exemplar)) = rest.split_once(" # ").filter(|_| open) {
        let inside = exemplar.strip_prefix('{').context("an exemplar without labels")?;
        let value = labels_of(inside, &mut SeriesName { name: String::new(), labels: BTreeMap::new() })?;
        value_of(value, open).context("of an exemplar")?;
        rest = own;
    }
    Ok((series, value_of(rest, open)?))
}

/// Reads up to the closing brace, the series' name in quotes among them, if it has none before; returns what follows it.
fn labels_of<'a>(mut rest: &'a str, series: &mut SeriesName) -> anyhow::Result<&'a str> {
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (label, after) = if let Some(inside) = rest.strip_prefix('"') {
            let (name, after) = quoted(inside)?;
            let Some(after) = after.trim_start().strip_prefix('=') else {
                ensure!(series.name.is_empty() && !name.is_empty(), "a second name of the series: \"{name}\"");
                series.name = name;
                rest = after;
                continue;
            };
            (name, after.trim_start().strip_prefix('"').context("a label without a quoted value")?)
        } else {
            let (label, after) = rest.split_once("=\"").context("a label without a quoted value")?;
            (label.trim().to_owned(), after)
        };
        let (value, after) = quoted(after)?;
        ensure!(series.labels.insert(label.clone(), value).is_none(), "the label {label} twice");
        rest = after;
    }
}

/// A value, and perhaps its timestamp: milliseconds, or the seconds of `OpenMetrics`.
fn value_of(text: &str, open: bool) -> anyhow::Result<f64> {
    let mut words = text.split_whitespace();
    let value = words.next().context("no value")?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().with_context(|| format!("`{number}` is no number"))?,
    };
    if let Some(timestamp) = words.next() {
        let is_one = if open { timestamp.parse::<f64>().is_ok() } else { timestamp.parse::<i64>().is_ok() };
        ensure!(is_one, "`{timestamp}` is no timestamp");
    }
    ensure!(words.next().is_none(), "more than a value and a timestamp");
    Ok(value)
}

/// Reads up to the closing quote; returns the unescaped value and what follows the quote.
fn quoted(text: &str) -> anyhow::Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[index + 1..])),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some(escaped @ ('\\' | '"')) => value.push(escaped),
                other => bail!("an unknown escape: {other:?}"),
            },
            c => value.push(c),
        }
    }
    bail!("a label value that does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_labels_and_special_values() {
        let text = "# HELP a Help.\n# TYPE a counter\na{x=\"1\",y=\"q\\\"\\\\\\n\"} 3\na 1e3 1700000000000\n\
                    # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum NaN\nh_count 2\n";
        let series = parse(text).unwrap();
        assert_eq!(series.len(), 5);
        let labels = BTreeMap::from([("x".into(), "1".into()), ("y".into(), "q\"\\\n".into())]);
        assert_eq!(series.get(&SeriesName { name: "a".into(), labels }).copied(), Some(3.0));
    }

    #[test]
    fn reads_openmetrics_and_leaves_out_exemplars() {
        let text = "# TYPE a counter\n# UNIT a seconds\na_total{x=\" # {\"} 3 1.5 # {trace_id=\"7 # 8\"} 1 1600000000.25\n\
                    a_created{x=\" # {\"} 1600000000.5\n# TYPE b info\nb_info{v=\"1\"} 1\n# TYPE h histogram\n\
                    h_bucket{le=\"+Inf\"} 2 # {} 0.5\nh_count 2\nh_sum 1.0\n# EOF\n";
        let series = parse(text).unwrap();
        assert_eq!(series.len(), 6);
        assert_eq!((sum(text, "a_total"), sum(text, "a"), sum(text, "h_count")), (Some(3.0), None, Some(2.0)));
        for (from, to) in [("\n# EOF", ""), ("# {trace_id", "# trace_id"), ("} 1 1600000000.25", "}")] {
            assert!(parse(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn refuses_what_hides_a_bug() {
        for text in [
            "# TYPE a counter\na 1\na 2\n",
            "# TYPE a counter\n# TYPE a counter\n",
            "# TYPE a counter\na{x=\"1} 2\n",
            "# TYPE a counter\na{x=\"1\",x=\"2\"} 2\n",
            "# TYPE a counter\na one\n",
            "# TYPE a counter\na\n",
            "# TYPE a counter\n{x=\"1\"} 2\n",
            "# TYPE \"a.b\" counter\n# TYPE \"a.b\" gauge\n",
            "{\"a.b\",\"c.d\"} 2\n",
            "a{\"a.b\"} 2\n",
            "{\"\"} 2\n",
            "{\"a.b\",\"x\"=\"1\",x=\"1\"} 2\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_has_no_type_and_what_is_called_by_any_letters_is_read() {
        let told = |text: &str| {
            let [(series, value)] = &parse(text).unwrap().into_iter().collect::<Vec<_>>()[..] else { panic!("{text}") };
            (series.name.clone(), format!("{:?}", series.labels), *value)
        };
        assert_eq!(told("a 1\n"), ("a".into(), "{}".into(), 1.0));
        let text = "# TYPE \"http.requests\" counter\n{\"http.requests\", \"http.method\"=\"GET\",code=\"2\"} 5\n";
        assert_eq!(told(text), ("http.requests".into(), r#"{"code": "2", "http.method": "GET"}"#.into(), 5.0));
        assert_eq!(told("a{\"b.c\"=\"d\"} 1\n"), ("a".into(), r#"{"b.c": "d"}"#.into(), 1.0));
    }
}
