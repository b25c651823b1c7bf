//! What may stand in each file: one table a program, for reading and for rendering.
//!
//! A [`Shape`] says what a value is, and with it whether a faster stack divides it. Prometheus and Alertmanager refuse a key that
//! they don't know, and so do we: the tables have those of every release from 2.42 and 0.25 on. What is done by a shape is
//! `walk`'s; what no shape can say (two jobs of one name) is `refused`'s.

use super::addresses::Place;

mod alertmanager;
mod discovery;
mod http;
mod prometheus;
mod receivers;
mod rules;
mod stack;

pub(super) use alertmanager::ALERTMANAGER;
pub(super) use prometheus::PROMETHEUS;
pub(super) use rules::{RULES, SERIES, TARGETS, TESTS};
pub(super) use stack::{BLACKBOX, DATASOURCES, LOKI, PROVIDERS, VECTOR};

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape {
    /// A text kept as it is.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A number of bytes, with its unit.
    Bytes,
    /// A number kept as it is.
    Number,
    /// A number that a unit test expects: what Go reads as one.
    Value,
    /// `true` or `false`, as YAML 1.1 has them.
    Switch,
    /// A text that is not empty.
    Name,
    /// The name of a series.
    Metric,
    /// A regular expression, or a part of it that a capture fills.
    Regex,
    /// Labels, each with a text.
    Labels,
    /// The same by names that every release takes: Alertmanager's.
    PlainLabels,
    /// Any keys, each with a value of one shape.
    Map(&'static Shape),
    /// A rule's labels: texts that may be templates.
    RuleLabels,
    /// Labels of targets: texts, of which `__param_target` leads to where the service serves its clients, and then
    /// `instance` names that place.
    TargetLabels,
    /// A duration of production time.
    Duration,
    /// A scrape interval: a duration with a floor.
    Scrape,
    /// A least step of Grafana's: a duration in whole seconds, also where it is divided.
    Step,
    /// A duration that no speed divides: how long a machine, a network or a person is waited for.
    RealTime,
    /// The same in Go's notation, which has fractions and no days.
    GoTime,
    /// Names of time intervals: the calendar, which no speed moves.
    OfCalendar,
    /// A range of a time interval: of days, months, years.
    CalendarRange(Calendar),
    /// A moment of the day.
    ClockTime,
    /// A rule's expression.
    Expr,
    /// A unit test's expression: divided, but asked of made-up series, so free to count.
    TestExpr,
    /// A matcher of Alertmanager.
    Matcher,
    /// Labels with regular expressions.
    Regexes,
    /// The URL of a component, or of somebody else.
    Url(Place),
    /// The URL of one of these, or of somebody else.
    AnyUrl(&'static [Place]),
    /// An address that somebody is called at, which must have a host.
    WebUrl,
    /// A host and its port.
    HostPort,
    /// A folder of the copy, absolute.
    Folder,
    /// A file or pattern below the folder of log files, absolute.
    LogFile,
    /// A component's folder of data, absolute.
    Data,
    /// Where a component listens: any address of its machine at the port it has, which a local stack narrows to its own.
    Listen(Place),
    /// A file that is checked, and copied to the letter.
    Copied(&'static Shape),
    /// A program or a setting of a component's own that no address and no speed touches.
    Own,
    /// External labels: texts, of which `speed` is ours.
    ExternalLabels,
    /// An alert's annotations: templates, of which `dashboard_url` leads to the dashboards.
    Annotations,
    /// What a unit test expects of annotations: the same with values in it.
    ExpectedAnnotations,
    /// A unit test's series: `series` names it, `values` are its samples.
    Series,
    /// A list of one shape.
    List(&'static Shape),
    /// A map with known keys, of each of these tables.
    Record(&'static [&'static [Field]]),
    /// A step of a relabelling: the same, of which some give a target its interval.
    Relabelling(&'static [&'static [Field]]),
    /// A dashboard: Grafana's own format, of which we look at expressions and intervals only.
    Dashboard,
}

/// Of what a time interval has a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calendar {
    Weekdays,
    DaysOfMonth,
    Months,
    Years,
}

impl Shape {
    /// Whether it is a text, however it is read.
    pub(super) fn is_a_text(&self) -> bool {
        matches!(
            self,
            Shape::Text
                | Shape::OneOf(_)
                | Shape::Bytes
                | Shape::Name
                | Shape::Metric
                | Shape::Regex
                | Shape::Duration
                | Shape::Scrape
                | Shape::RealTime
                | Shape::GoTime
                | Shape::CalendarRange(_)
                | Shape::ClockTime
                | Shape::Expr
                | Shape::TestExpr
                | Shape::Matcher
                | Shape::HostPort
                | Shape::WebUrl
                | Shape::Url(_)
        )
    }

    /// Whether it is a map of texts.
    pub(super) fn is_of_texts(&self) -> bool {
        matches!(
            self,
            Shape::Labels
                | Shape::PlainLabels
                | Shape::RuleLabels
                | Shape::Regexes
                | Shape::TargetLabels
                | Shape::ExternalLabels
                | Shape::Annotations
                | Shape::ExpectedAnnotations
        )
    }

    /// Whether nothing at all may stand in its place, as in Go a map or a list that is empty.
    pub(super) fn is_empty_of_nothing(&self) -> bool {
        matches!(self, Shape::List(_) | Shape::OfCalendar | Shape::Record(_) | Shape::Map(_)) || self.is_of_texts()
    }

    /// What is expected, for messages.
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Shape::Text
            | Shape::OneOf(_)
            | Shape::Bytes
            | Shape::Name
            | Shape::Metric
            | Shape::Regex
            | Shape::Url(_)
            | Shape::AnyUrl(_)
            | Shape::WebUrl
            | Shape::Folder
            | Shape::LogFile
            | Shape::Data => "a text",
            Shape::HostPort => "a host and a port, like mail.example.org:587",
            Shape::Listen(_) => "an address like 0.0.0.0:9598",
            Shape::Own => "anything",
            Shape::Copied(shape) => shape.expected(),
            Shape::Number | Shape::Value => "a number",
            Shape::Switch => "true or false",
            Shape::Labels
            | Shape::PlainLabels
            | Shape::RuleLabels
            | Shape::Regexes
            | Shape::TargetLabels
            | Shape::ExternalLabels
            | Shape::Annotations
            | Shape::ExpectedAnnotations => "a map of texts",
            Shape::Duration | Shape::Scrape | Shape::Step | Shape::RealTime | Shape::GoTime => "a duration like 15s",
            Shape::CalendarRange(_) => "a range like monday:friday",
            Shape::ClockTime => "a time of the day like 09:00",
            Shape::Expr | Shape::TestExpr => "an expression",
            Shape::Matcher => "a matcher",
            Shape::List(_) | Shape::OfCalendar => "a list",
            Shape::Series | Shape::Record(_) | Shape::Relabelling(_) | Shape::Map(_) | Shape::Dashboard => "a map",
        }
    }
}

/// Keys of a record that have one shape.
#[derive(Debug)]
pub(super) struct Field {
    keys: Keys,
    pub(super) shape: &'static Shape,
    pub(super) required: bool,
}

#[derive(Debug)]
enum Keys {
    One(&'static str),
    Several(&'static [&'static str]),
}

impl Field {
    pub(super) fn keys(&self) -> &[&'static str] {
        match &self.keys {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Several(keys) => keys,
        }
    }
}

const fn must(key: &'static str, shape: &'static Shape) -> Field {
    Field { keys: Keys::One(key), shape, required: true }
}

const fn may(key: &'static str, shape: &'static Shape) -> Field {
    Field { keys: Keys::One(key), shape, required: false }
}

const fn each(shape: &'static Shape, keys: &'static [&'static str]) -> Field {
    Field { keys: Keys::Several(keys), shape, required: false }
}

const fn texts(keys: &'static [&'static str]) -> Field {
    each(&Shape::Text, keys)
}

const fn numbers(keys: &'static [&'static str]) -> Field {
    each(&Shape::Number, keys)
}

const fn switches(keys: &'static [&'static str]) -> Field {
    each(&Shape::Switch, keys)
}

static TEXTS: Shape = Shape::List(&Shape::Text);
