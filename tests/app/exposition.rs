//! A strict reader of Prometheus' text format, written for the tests and from its specification: it refuses what
//! Prometheus would quietly accept (a family in two pieces, a series twice, a histogram that does not add up).

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// A whole scrape.
#[derive(Debug)]
pub(crate) struct Exposition {
    /// Family name to type.
    types: BTreeMap<String, String>,
    /// Sample name and labels to value.
    samples: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Result<Exposition, String> {
        let mut types: BTreeMap<String, String> = BTreeMap::new();
        let mut helped = BTreeSet::new();
        let mut samples = BTreeMap::new();
        let mut family = String::new();
        if !text.ends_with('\n') {
            return Err("the last line is not ended".to_owned());
        }
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, _) = rest.split_once(' ').ok_or_else(|| format!("no help: {line}"))?;
                if !helped.insert(name.to_owned()) {
                    return Err(format!("HELP twice: {name}"));
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| format!("no type: {line}"))?;
                if !["counter", "gauge", "histogram"].contains(&kind) || !helped.contains(name) {
                    return Err(format!("unknown type, or no HELP before it: {line}"));
                }
                if types.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(format!("TYPE twice: {name}"));
                }
                name.clone_into(&mut family);
            } else {
                let (name, labels, value) = sample(line)?;
                let of_family = match types.get(&family).map(String::as_str) {
                    Some("histogram") => {
                        ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}"))
                    }
                    Some(_) => name == family,
                    None => false,
                };
                if !of_family {
                    return Err(format!("outside its family: {line}"));
                }
                if value.is_nan() || (types[&family] != "gauge" && value < 0.0) {
                    return Err(format!("no value of its type: {line}"));
                }
                if samples.insert((name, labels), value).is_some() {
                    return Err(format!("series twice: {line}"));
                }
            }
        }
        let exposition = Exposition { types, samples };
        exposition.check_histograms()?;
        Ok(exposition)
    }

    /// Buckets grow, and the last of them is the count.
    fn check_histograms(&self) -> Result<(), String> {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), value) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").ok_or_else(|| format!("a bucket of {family} without le"))?;
                    series.entry(labels).or_default().push((number(&bound)?, *value));
                }
            }
            for (labels, mut buckets) in series {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                let count = self.samples.get(&(format!("{family}_count"), labels.clone()));
                let last = buckets.last().ok_or("no buckets")?;
                if !buckets.is_sorted_by(|a, b| a.1 <= b.1) || last.0 != f64::INFINITY || Some(&last.1) != count {
                    return Err(format!("the buckets of {family}{labels:?} do not add up"));
                }
            }
        }
        Ok(())
    }

    /// One sample, which must exist.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        *self.samples.get(&(name.to_owned(), labels)).unwrap_or_else(|| panic!("no {name}"))
    }

    /// All samples of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        self.samples.iter().filter(move |((found, _), _)| found == name).map(|((_, labels), value)| (labels, *value))
    }

    /// All series of `app_requests_total` above zero, as `METHOD endpoint status`.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        self.all("app_requests_total")
            .filter(|(_, value)| *value > 0.0)
            .map(|(labels, value)| {
                let name = format!("{} {} {}", labels["method"], labels["endpoint"], labels["http_status"]);
                (name, whole(value))
            })
            .collect()
    }

    pub(crate) fn series(&self) -> usize {
        self.samples.len()
    }
}

/// A counter's value as the whole number it is.
pub(crate) fn whole(value: f64) -> u64 {
    let text = format!("{value}");
    text.parse().unwrap_or_else(|_| panic!("{text} is no count"))
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let error = |what: &str| format!("{what}: {line}");
    let name_ends = line.find(['{', ' ']).ok_or_else(|| error("no value"))?;
    let name = &line[..name_ends];
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':') {
        return Err(error("no metric name"));
    }
    let mut labels = Labels::new();
    let mut rest = &line[name_ends..];
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (key, after) = inside.split_once("=\"").ok_or_else(|| error("no label"))?;
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().ok_or_else(|| error("a label value without end"))? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match characters.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, escaped @ ('\\' | '"'))) => escaped,
                        _ => return Err(error("an unknown escape")),
                    }),
                    (_, character) => value.push(character),
                }
            };
            if labels.insert(key.to_owned(), value).is_some() {
                return Err(error("a label twice"));
            }
            let after = &after[end + 1..];
            if let Some(end) = after.strip_prefix('}') {
                rest = end;
                break;
            }
            inside = after.strip_prefix(',').ok_or_else(|| error("no comma between labels"))?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| error("no space before the value"))?;
    Ok((name.to_owned(), labels, number(value)?))
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        _ => text.parse().map_err(|_| format!("`{text}` is no number")),
    }
}

#[test]
fn the_reader_refuses_what_is_wrong() {
    let head = "# HELP a A.\n# TYPE a counter\n";
    assert!(Exposition::parse(&format!("{head}a{{b=\"c\\\"d\"}} 1\n")).is_ok());
    for body in
        ["a 1\na 1\n", "a NaN\n", "a -1\n", "b 1\n", "a{b=\"c\" 1\n", "a 1", "a{b=\"c\"}1\n", "a{b=\"\\x\"} 1\n"]
    {
        assert!(Exposition::parse(&format!("{head}{body}")).is_err(), "{body}");
    }
    assert!(Exposition::parse(&format!("{head}{head}")).is_err());
    let histogram = "# HELP h H.\n# TYPE h histogram\nh_sum 1\nh_count 2\n";
    assert!(Exposition::parse(&format!("{histogram}h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\n")).is_ok());
    assert!(Exposition::parse(&format!("{histogram}h_bucket{{le=\"1\"}} 3\nh_bucket{{le=\"+Inf\"}} 2\n")).is_err());
    assert!(Exposition::parse(&format!("{histogram}h_bucket{{le=\"+Inf\"}} 1\n")).is_err());
}
