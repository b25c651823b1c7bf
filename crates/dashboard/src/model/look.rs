//! How a panel's values look: units, colours, lines, what overrides say of some of them, and how a series becomes one number.

use super::Panel;
use super::pattern::pattern_matches;

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
    /// Words instead of numbers.
    pub mappings: Vec<Mapping>,
    /// Lines stand on one another.
    pub stacked: bool,
}

/// A word instead of a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Of which.
    pub of: Mapped,
    /// The word; the number stays where it is empty.
    pub text: String,
    /// The value's colour.
    pub color: Option<String>,
}

/// Which values a mapping is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mapped {
    /// This one.
    Value(f64),
    /// Those from here to there.
    Range(f64, f64),
    /// What is no number.
    Missing,
}

impl Mapped {
    /// Whether it is of this value, as Grafana compares.
    #[allow(clippy::float_cmp)]
    pub fn covers(self, value: f64) -> bool {
        match self {
            Mapped::Value(wanted) => wanted == value,
            Mapped::Range(from, to) => from <= value && value <= to,
            Mapped::Missing => value.is_nan(),
        }
    }
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
    /// A curve without corners.
    Smooth,
}

impl Interpolation {
    /// The same line from its end to its beginning.
    pub(crate) fn mirrored(self) -> Interpolation {
        match self {
            Interpolation::StepAfter => Interpolation::StepBefore,
            Interpolation::StepBefore => Interpolation::StepAfter,
            other => other,
        }
    }
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
    /// A name that this expression is of, as [`pattern_matches`] has it.
    ByRegexp(String),
    /// What this query was answered with.
    ByQuery(String),
}

impl Matcher {
    /// Whether an override is for a field of this name and query.
    pub fn matches(&self, name: &str, ref_id: &str) -> bool {
        match self {
            Matcher::ByName(wanted) => wanted == name,
            Matcher::ByRegexp(pattern) => pattern_matches(pattern, name) == Some(true),
            Matcher::ByQuery(wanted) => wanted == ref_id,
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
    pub(super) fn by_id(id: &str) -> Option<Calculation> {
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
    pub fn field(&self, name: &str, ref_id: &str) -> Field {
        let mut field = self.defaults.clone();
        for change in self.overrides.iter().filter(|change| change.matcher.matches(name, ref_id)) {
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
