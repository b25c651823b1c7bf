//! What Grafana puts in for the variables of a text: queries, legends, titles.
//!
//! Without a format, a query gets a value as a regular expression where it can be one of several, and as it is where it can't; a
//! legend or a title gets `{a,b}`. `$__interval` and its kin are left to the [intervals](super::intervals). Where Grafana's own
//! filling breaks a query, this is not Grafana's: it lets a value leave the string it stands in with a quote of that string's kind,
//! and puts two backslashes before a `'` in a single value.

use std::collections::BTreeMap;

use super::formats::{self, Standing};
use super::intervals::computed;
use super::range::TimeRange;
use crate::model::{ALL, Dashboard, Panel, Variable, VariableKind};
use aiclipx_model::monitoring::variables::{Part, Reference, parts};

/// What a dashboard's texts are filled in with.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// Of the dashboard.
    pub variables: &'a [Variable],
    /// What is chosen of them; what isn't here has the dashboard's own default.
    pub chosen: &'a BTreeMap<String, Vec<String>>,
    /// The one value of each that a repeated panel stands for.
    pub stands_for: &'a BTreeMap<String, String>,
    /// The dashboard's title.
    pub title: &'a str,
    /// The time shown.
    pub range: TimeRange,
}

/// How a value goes in where no format is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    Query,
    Glob,
}

impl<'a> Filling<'a> {
    /// Of a panel.
    pub fn of(
        dashboard: &'a Dashboard,
        panel: &'a Panel,
        chosen: &'a BTreeMap<String, Vec<String>>,
        range: TimeRange,
    ) -> Filling<'a> {
        let stands_for = &panel.asking.stands_for;
        Filling { variables: &dashboard.variables, chosen, stands_for, title: &dashboard.title, range }
    }

    /// A query.
    pub fn query(&self, text: &str) -> String {
        self.filled(text, Default::Query)
    }

    /// A legend, a title, whatever is read by people.
    pub fn words(&self, text: &str) -> String {
        self.filled(text, Default::Glob)
    }

    fn filled(&self, text: &str, default: Default) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut quote = None;
        for part in parts(text) {
            match part {
                Part::Plain(plain) => {
                    quote = quote_after(plain, quote);
                    filled.push_str(plain);
                }
                Part::Variable(one) => match self.value(&one, default, quote) {
                    Some(value) => filled.push_str(&value),
                    None => filled.push_str(one.written),
                },
            }
        }
        filled
    }

    /// What goes in for a variable; none for one that nobody knows.
    fn value(&self, one: &Reference<'_>, default: Default, quote: Option<char>) -> Option<String> {
        let Some(variable) = self.variables.iter().find(|variable| variable.name == one.name) else {
            return self.built_in(one);
        };
        let standing = match self.stands_for.get(one.name) {
            Some(value) => Standing::One(value.clone()),
            None => self.standing(variable),
        };
        Some(match (&standing, one.format) {
            // A value has no parts.
            _ if one.field.is_some() => String::new(),
            (Standing::AsWritten(_), Some("text")) => "All".to_owned(),
            (Standing::AsWritten(text), _) => text.clone(),
            (_, Some("text")) => formats::text(variable, &standing),
            (_, Some(format)) => formats::written(format, &variable.name, &standing),
            (_, None) if default == Default::Glob => formats::written("glob", &variable.name, &standing),
            (Standing::One(value), None) if variable.multi || variable.include_all => quoted(&escaped(value), quote),
            (Standing::One(value), None) => quoted(value, quote),
            (Standing::Several(values), None) => {
                let values: Vec<String> = values.iter().map(|one| quoted(&escaped(one), quote)).collect();
                match values.as_slice() {
                    [one] => one.clone(),
                    several => format!("({})", several.join("|")),
                }
            }
        })
    }

    fn standing(&self, variable: &Variable) -> Standing {
        let values = self.chosen.get(&variable.name).unwrap_or(&variable.current);
        let everything = || variable.all_value.clone().unwrap_or_else(|| ".*".to_owned());
        let listed = variable.kind.listed();
        match values.as_slice() {
            [] if !variable.kind.is_fixed() => Standing::AsWritten(everything()),
            [] => Standing::One(listed.into_iter().next().unwrap_or_default()),
            [one, ..] if one == ALL && variable.all_value.is_none() && !listed.is_empty() => Standing::Several(listed),
            [one, ..] if one == ALL => Standing::AsWritten(everything()),
            [one] if one.starts_with("$__auto") && variable.auto.is_some() => {
                let (steps, least) = variable.auto.clone().unwrap_or_default();
                Standing::One(computed(self.range, steps, &least))
            }
            [one] if !variable.multi => Standing::One(one.clone()),
            several => Standing::Several(several.to_vec()),
        }
    }

    /// What Grafana knows without being told.
    fn built_in(&self, one: &Reference<'_>) -> Option<String> {
        let TimeRange { from_millis, to_millis } = self.range;
        let time =
            |millis: i64| formats::written(one.format.unwrap_or("raw"), one.name, &Standing::One(millis.to_string()));
        Some(match one.name {
            "__from" => time(from_millis),
            "__to" => time(to_millis),
            "__url_time_range" => format!("from={from_millis}&to={to_millis}"),
            "__timezone" => "utc".to_owned(),
            "__dashboard" => self.title.to_owned(),
            _ => return None,
        })
    }
}

/// The quote that is open behind a text, with the one open before it.
fn quote_after(text: &str, mut quote: Option<char>) -> Option<char> {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match quote {
            Some(open) if open == c => quote = None,
            // In backticks a backslash is one.
            Some(open) if c == '\\' && open != '`' => drop(characters.next()),
            None if ['"', '\'', '`'].contains(&c) => quote = Some(c),
            _ => {}
        }
    }
    quote
}

/// A value inside a `PromQL` string of that quote. Grafana doubles backslashes wherever it stands.
fn quoted(value: &str, quote: Option<char>) -> String {
    let doubled = value.replace('\\', "\\\\");
    match quote {
        Some(quote @ ('"' | '\'')) => doubled.replace(quote, &format!("\\{quote}")),
        _ => doubled,
    }
}

/// A value inside a regular expression.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if r"\^$.*+?()[]{}|".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Names of a dashboard's variables whose values Prometheus has to be asked for, and that have none by default.
pub fn unknown_variables(dashboard: &Dashboard) -> impl Iterator<Item = &Variable> {
    dashboard.variables.iter().filter(|variable| {
        let is_asked = !variable.kind.is_fixed() && !matches!(variable.kind, VariableKind::Filters(_));
        is_asked && (variable.current.is_empty() || variable.current == [ALL] && variable.all_value.is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: TimeRange = TimeRange { from_millis: 1_700_000_000_123, to_millis: 1_700_003_600_123 };

    fn filling<'a>(variables: &'a [Variable], chosen: &'a BTreeMap<String, Vec<String>>) -> Filling<'a> {
        const NOTHING: &BTreeMap<String, String> = &BTreeMap::new();
        Filling { variables, chosen, stands_for: NOTHING, title: "Whole", range: RANGE }
    }

    #[test]
    fn chosen_values_are_filled_in_and_cannot_leave_their_string() {
        let variable = |name: &str, all: Option<&str>| Variable {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: VariableKind::Interval(Vec::new()),
            current: vec!["$__all".to_owned()],
            all_value: all.map(str::to_owned),
            include_all: all.is_some(),
            multi: false,
            auto: None,
            hidden: false,
            regex: String::new(),
            sort: 0,
        };
        let variables = [variable("job", Some(".+")), variable("job_name", None)];
        let expr = r#"up{job=~"$job", n=~"${job_name}"}"#;
        let filled = |chosen: &[(&str, &[&str])]| {
            let chosen = chosen
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.iter().map(|one| (*one).to_owned()).collect()))
                .collect();
            filling(&variables, &chosen).query(expr)
        };
        assert_eq!(filled(&[]), r#"up{job=~".+", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["app"])]), r#"up{job=~"app", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["a.b"]), ("job_name", &["a.b"])]), r#"up{job=~"a\\.b", n=~"a.b"}"#);
        assert_eq!(filled(&[("job", &["a.b", "c"])]), r#"up{job=~"(a\\.b|c)", n=~".*"}"#);
        assert_eq!(filled(&[("job", &["\"} or up{"])]), r#"up{job=~"\"\\} or up\\{", n=~".*"}"#);
        let chosen = BTreeMap::from([("job".to_owned(), vec![r"'} or \up".to_owned()])]);
        let other = filling(&variables, &chosen).query("up{job='$job', n=`$job`} + $job");
        assert_eq!(other, r"up{job='\'\\} or \\\\up', n=`'\\} or \\\\up`} + '\\} or \\\\up");
    }

    fn named(name: &str, kind: VariableKind, current: &[&str]) -> Variable {
        Variable {
            name: name.to_owned(),
            label: name.to_owned(),
            kind,
            current: current.iter().map(|one| (*one).to_owned()).collect(),
            all_value: None,
            include_all: false,
            multi: false,
            auto: None,
            hidden: false,
            regex: String::new(),
            sort: 0,
        }
    }

    #[test]
    fn each_kind_of_variable_is_what_is_chosen_of_it_or_its_first_value() {
        let listed = |values: &[&str]| values.iter().map(|one| ((*one).to_owned(), format!("{one}0"))).collect();
        let texts = |values: &[&str]| values.iter().map(|one| (*one).to_owned()).collect();
        let all = |variable: Variable| Variable { include_all: true, current: vec![ALL.to_owned()], ..variable };
        let auto = Some((30, "1m".to_owned()));
        let variables = [
            named("first", VariableKind::Listed(listed(&["a", "b"])), &[]),
            named("second", VariableKind::Listed(listed(&["a", "b"])), &["b0"]),
            all(named("every", VariableKind::Listed(listed(&["a", "b.c"])), &[])),
            named("window", VariableKind::Interval(texts(&["1m", "5m"])), &[]),
            Variable { auto, ..named("auto", VariableKind::Interval(texts(&["1m"])), &["$__auto_interval_auto"]) },
            named("fixed", VariableKind::Constant("7".to_owned()), &[]),
            named("text", VariableKind::Text, &[]),
            named("asked", VariableKind::Series("up".to_owned()), &[]),
        ];
        let nothing = BTreeMap::new();
        let filling = filling(&variables, &nothing);
        for (text, filled) in [
            ("$first $second ${second:text}", "a0 b0 b"),
            ("{x=~\"$every\"} ${every:csv} ${every:text}", "{x=~\"(a0|b\\\\.c0)\"} a0,b.c0 a + b.c"),
            ("[$window] [$auto] $fixed '$text' $asked", "[1m] [2m] 7 '' .*"),
            ("$__from ${__to:date:seconds} $__dashboard", "1700000000123 1700003600 Whole"),
            ("$__url_time_range", "from=1700000000123&to=1700003600123"),
            (
                "$__interval $nobody [[nobody]] ${nobody:csv} $firstly $1",
                "$__interval $nobody [[nobody]] ${nobody:csv} $firstly $1",
            ),
        ] {
            assert_eq!(filling.query(text), filled, "{text}");
        }
        assert_eq!(filling.words("of $every"), "of {a0,b.c0}");
        let one = BTreeMap::from([("every".to_owned(), "b.c0".to_owned())]);
        let repeated = Filling { stands_for: &one, ..filling };
        assert_eq!(
            (repeated.words("of $every"), repeated.query("\"$every\"")),
            ("of b.c0".to_owned(), "\"b\\\\.c0\"".to_owned())
        );
    }
}
