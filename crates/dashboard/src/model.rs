//! The classic dashboard JSON, as far as our dashboards use it.
//!
//! Strict on purpose: a field outside the subset is a [`Finding`](aiclipx_model::failure::Finding) that names dashboard, panel
//! and field, because what Grafana would honour and we would skip is a panel that lies. Two lists per object keep that honest: what is read,
//! and what has no bearing on a picture. A panel type that isn't drawn ([`Kind::Undrawn`]) is no error: it says so in
//! its place. [`read()`] wants all of a dashboard, [`read_partly`] shows what is sound beside what isn't. Nothing here
//! evaluates a query or panics on a file.

mod fields;
mod pattern;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

pub use pattern::pattern_matches;
pub use read::{Partly, read, read_partly};

use aiclipx_base::duration::Speed;
use aiclipx_model::monitoring::panel_query_at;

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// Stable; its address is `/d/<uid>`.
    pub uid: String,
    /// Shown as the headline.
    pub title: String,
    /// May be empty.
    pub description: String,
    /// The range shown by default, as Grafana writes it: `now-30m`, `now`.
    pub range: (String, String),
    /// How often it is drawn anew by default: `10s`; empty for never.
    pub refresh: String,
    /// What `$name` stands for.
    pub variables: Vec<Variable>,
    /// Events to mark on every timeseries panel.
    pub annotations: Vec<Annotation>,
    /// In the file's order, rows' contents in place.
    pub panels: Vec<Panel>,
}

/// What stands under one headline, or, as the first of a dashboard, under none.
#[derive(Debug, Clone, PartialEq)]
pub struct Section<'a> {
    /// The headline.
    pub row: Option<&'a Panel>,
    /// From top to bottom, then from left to right.
    pub panels: Vec<&'a Panel>,
}

impl Dashboard {
    /// As a stack of that speed is asked it: lengths that stand in a query are of production time. What the stack's own
    /// copy holds was divided when that was made.
    pub fn at(&self, speed: Speed) -> Result<Dashboard, Vec<String>> {
        let mut divided = self.clone();
        for target in divided.panels.iter_mut().flat_map(|panel| &mut panel.targets) {
            target.expr = panel_query_at(&target.expr, speed)?;
        }
        Ok(divided)
    }

    /// The panel of this id.
    pub fn panel(&self, id: u32) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.id == id)
    }

    /// The panels as they are seen: a folded row holds its own, an open one heads all that follow it downwards.
    pub fn sections(&self) -> Vec<Section<'_>> {
        let place = |panel: &&Panel| (panel.grid.y, panel.grid.x);
        let mut outer: Vec<&Panel> = self.panels.iter().filter(|panel| panel.within.is_none()).collect();
        outer.sort_by_key(place);
        let mut sections = vec![Section { row: None, panels: Vec::new() }];
        for panel in outer {
            if panel.kind == Kind::Row {
                let mut held: Vec<&Panel> = self.panels.iter().filter(|one| one.within == Some(panel.id)).collect();
                held.sort_by_key(place);
                sections.push(Section { row: Some(panel), panels: held });
            } else if let Some(section) = sections.last_mut() {
                section.panels.push(panel);
            }
        }
        sections.retain(|section| section.row.is_some() || !section.panels.is_empty());
        sections
    }
}

/// How a choice of all values is written, in files and addresses.
pub const ALL: &str = "$__all";

/// A template variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Without the `$`.
    pub name: String,
    /// Shown beside it; the name when there is none.
    pub label: String,
    /// Where its values come from.
    pub kind: VariableKind,
    /// What is chosen by default; `$__all` for all.
    pub current: Vec<String>,
    /// What "all" stands for; without it, all values as one regular expression.
    pub all_value: Option<String>,
    /// "All" can be chosen.
    pub include_all: bool,
    /// Several values can be chosen at once.
    pub multi: bool,
}

/// Where a variable's values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableKind {
    /// `label_values(metric, label)` or `label_values(label)`.
    LabelValues {
        /// The selector, or none for all series.
        metric: Option<String>,
        /// The label.
        label: String,
    },
    /// A fixed list of durations.
    Interval(Vec<String>),
    /// Whatever somebody writes.
    Text,
}

/// An annotation query: where its expression is neither zero nor absent, something was going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// `Alerts firing`.
    pub name: String,
    /// `PromQL`.
    pub expr: String,
    /// The label shown, a legend template; empty for the name.
    pub title_format: String,
    /// The least step it is asked with; the scrape interval when not given.
    pub step: Option<Duration>,
}

/// What an annotation marks, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// Alerts, which Prometheus keeps as the series `ALERTS`.
    Alerts,
    /// What was done to the service: an annotation whose name speaks of faults.
    Faults,
    /// Anything else.
    Phases,
}

impl Annotation {
    /// What it marks.
    pub fn marking(&self) -> Marking {
        if self.expr.contains("ALERTS") {
            Marking::Alerts
        } else if self.name.to_lowercase().contains("fault") {
            Marking::Faults
        } else {
            Marking::Phases
        }
    }
}

/// Where a panel stands: Grafana's grid is 24 columns wide, a row is 30 pixels high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grid {
    /// Columns from the left.
    pub x: u32,
    /// Rows from the top.
    pub y: u32,
    /// Columns.
    pub w: u32,
    /// Rows.
    pub h: u32,
}

/// How a panel shows its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Timeseries,
    /// One large number a series.
    Stat,
    /// A bar a series.
    BarGauge,
    /// A row a series.
    Table,
    /// A headline over what follows.
    Row,
    /// Of logs, from a store that is not Prometheus: its queries, `LogQL` with variables in it. They are shown as lines,
    /// the newest first, whatever the type; a picture says where else to look.
    Logs(Vec<String>),
    /// A type we don't draw, by Grafana's name; its queries are not read.
    Undrawn(String),
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Unique in its dashboard.
    pub id: u32,
    /// The headline.
    pub title: String,
    /// What the reader should know about it; may be empty.
    pub description: String,
    /// How it is drawn.
    pub kind: Kind,
    /// Where it stands.
    pub grid: Grid,
    /// The folded row that holds it.
    pub within: Option<u32>,
    /// Of a row: folded, its panels neither shown nor asked for.
    pub folded: bool,
    /// The data source's uid; none for the default one.
    pub datasource: Option<String>,
    /// Its queries.
    pub targets: Vec<Target>,
    /// How values look, unless a field says otherwise.
    pub defaults: Field,
    /// What some fields say otherwise.
    pub overrides: Vec<Override>,
    /// What is shown of a series: `lastNotNull`, `mean`, ….
    pub calculations: Vec<Calculation>,
    /// The legend's columns; none when the legend is hidden.
    pub legend: Option<Vec<Calculation>>,
    /// A stat's sparkline.
    pub sparkline: bool,
    /// A table's columns: what is left out and what is renamed.
    pub columns: Columns,
    /// Where it leads, in its order.
    pub links: Vec<Link>,
}

/// Where a panel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// A few words.
    pub title: String,
    /// A path of this place, or an address of the web; `${__from}`, `${__to}` and `${__url_time_range}` stand for the range
    /// shown.
    pub url: String,
}

/// A table's columns, from the transformation `organize`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Left out.
    pub hidden: Vec<String>,
    /// Shown under another name.
    pub renamed: BTreeMap<String, String>,
    /// Where a column stands, by its name in the answer.
    pub order: BTreeMap<String, u32>,
    /// The column (as shown) it is sorted by, and whether downwards.
    pub sort: Option<(String, bool)>,
}

/// A query of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `A`, `B`, ….
    pub ref_id: String,
    /// `PromQL` with variables in it.
    pub expr: String,
    /// `{{label}}`, `__auto`, a fixed name, or empty.
    pub legend: String,
    /// Asked for the end of the range.
    pub instant: bool,
    /// Asked over the range; neither set means this.
    pub range: bool,
}

/// How values look.
// The switches are Grafana's, each for itself.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Field {
    /// Grafana's unit id; empty for none.
    pub unit: String,
    /// Digits behind the point; as many as are sensible when not given.
    pub decimals: Option<u8>,
    /// The scale's lower end.
    pub min: Option<f64>,
    /// The scale's upper end.
    pub max: Option<f64>,
    /// The name shown instead of the series' own.
    pub display_name: Option<String>,
    /// What stands in the place of a picture where there is no value.
    pub no_value: Option<String>,
    /// A fixed colour, Grafana's name or `#rrggbb`.
    pub color: Option<String>,
    /// Values are coloured by the thresholds.
    pub color_by_threshold: bool,
    /// Upwards from the base, whose value is minus infinity.
    pub thresholds: Vec<Threshold>,
    /// Thresholds are drawn as lines.
    pub threshold_lines: bool,
    /// 0…100; 10 is a tint.
    pub fill_opacity: f64,
    /// Pixels.
    pub line_width: f64,
    /// How two samples are joined.
    pub interpolation: Interpolation,
    /// Lines go on over missing samples.
    pub span_nulls: bool,
    /// Words instead of numbers, with a colour where one is given.
    pub mappings: Vec<(f64, String, Option<String>)>,
}

/// How two samples are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// A straight line.
    #[default]
    Linear,
    /// Level until the next sample.
    StepAfter,
    /// Level from the sample before.
    StepBefore,
}

/// From this value on, this colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Minus infinity for the base.
    pub value: f64,
    /// Grafana's name or `#rrggbb`.
    pub color: String,
}

/// What some fields say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Which fields.
    pub matcher: Matcher,
    /// Applied in order.
    pub properties: Vec<Property>,
}

/// Which fields an override is for, by the name shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// Exactly this name.
    ByName(String),
    /// A name in which this expression occurs, of the subset [`pattern_matches`] knows.
    ByRegexp(String),
}

impl Matcher {
    /// Whether an override is for a field of this name.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Matcher::ByName(wanted) => wanted == name,
            Matcher::ByRegexp(pattern) => pattern_matches(pattern, name) == Some(true),
        }
    }
}

/// One thing an override says.
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    /// `unit`
    Unit(String),
    /// `decimals`
    Decimals(u8),
    /// `displayName`
    DisplayName(String),
    /// `color`, fixed
    Color(String),
    /// `min`
    Min(f64),
    /// `max`
    Max(f64),
    /// `custom.lineWidth`
    LineWidth(f64),
    /// `custom.fillOpacity`
    FillOpacity(f64),
}

/// How a series becomes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calculation {
    /// The last sample that is a number.
    LastNotNull,
    /// The last sample, number or not.
    Last,
    /// The first sample that is a number.
    FirstNotNull,
    /// The mean of the numbers.
    Mean,
    /// The smallest number.
    Min,
    /// The largest number.
    Max,
    /// The sum of the numbers.
    Sum,
}

impl Calculation {
    /// By Grafana's id.
    fn by_id(id: &str) -> Option<Calculation> {
        Some(match id {
            "lastNotNull" => Calculation::LastNotNull,
            "last" => Calculation::Last,
            "firstNotNull" => Calculation::FirstNotNull,
            "mean" => Calculation::Mean,
            "min" => Calculation::Min,
            "max" => Calculation::Max,
            "sum" => Calculation::Sum,
            _ => return None,
        })
    }

    /// The column's headline.
    pub fn title(self) -> &'static str {
        match self {
            Calculation::LastNotNull | Calculation::Last => "Last",
            Calculation::FirstNotNull => "First",
            Calculation::Mean => "Mean",
            Calculation::Min => "Min",
            Calculation::Max => "Max",
            Calculation::Sum => "Sum",
        }
    }

    /// The number, or none when the series has none.
    pub fn of(self, values: &[f64]) -> Option<f64> {
        let numbers = || values.iter().copied().filter(|value| !value.is_nan());
        let count = numbers().count();
        if self == Calculation::Last {
            return values.last().copied();
        }
        if count == 0 {
            return None;
        }
        match self {
            Calculation::LastNotNull | Calculation::Last => numbers().next_back(),
            Calculation::FirstNotNull => numbers().next(),
            // A series has at most some ten thousand samples: exact as a float.
            #[allow(clippy::cast_precision_loss)]
            Calculation::Mean => Some(numbers().sum::<f64>() / count as f64),
            Calculation::Min => numbers().reduce(f64::min),
            Calculation::Max => numbers().reduce(f64::max),
            Calculation::Sum => Some(numbers().sum()),
        }
    }
}

impl Panel {
    /// How the values of one field look: the defaults, and what overrides say, in order. Overrides go by the name
    /// shown so far, as in Grafana.
    pub fn field(&self, name: &str) -> Field {
        let mut field = self.defaults.clone();
        for change in self.overrides.iter().filter(|change| change.matcher.matches(name)) {
            for property in &change.properties {
                match property.clone() {
                    Property::Unit(unit) => field.unit = unit,
                    Property::Decimals(decimals) => field.decimals = Some(decimals),
                    Property::DisplayName(name) => field.display_name = Some(name),
                    Property::Color(color) => {
                        field.color = Some(color);
                        field.color_by_threshold = false;
                    }
                    Property::Min(min) => field.min = Some(min),
                    Property::Max(max) => field.max = Some(max),
                    Property::LineWidth(width) => field.line_width = width,
                    Property::FillOpacity(opacity) => field.fill_opacity = opacity,
                }
            }
        }
        field
    }
}
