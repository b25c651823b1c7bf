//! How a panel looks: units, colours, lines, thresholds, overrides, a table's columns. Strict: what is not read here, or with another
//! value than we draw, is a finding.

use super::super::fields::{At, Map};
use super::super::{
    Calculation, Columns, Field, Interpolation, Kind, Mapped, Mapping, Matcher, Override, Panel, Property, Threshold,
    pattern_matches,
};
use crate::{draw, format};

pub(super) fn read(map: &Map<'_>, panel: &mut Panel) {
    field_config(&map.at("fieldConfig").map(), panel);
    options(&map.at("options").map(), panel);
    transformations(&map.at("transformations"), &mut panel.columns);
}

fn field_config(map: &Map<'_>, panel: &mut Panel) {
    panel.defaults = defaults(&map.at("defaults").map(), &panel.kind);
    for one in map.at("overrides").items() {
        let map = one.map();
        let matcher = map.at("matcher").map();
        let options = matcher.at("options");
        let matcher = match matcher.at("id").word(&["byName", "byRegexp", "byFrameRefID"]) {
            "byFrameRefID" => Matcher::ByQuery(options.text()),
            "byRegexp" => {
                let pattern = options.text();
                if pattern_matches(&pattern, "").is_none() {
                    options.note(&format!("the expression `{pattern}` is outside what is matched here"));
                }
                Matcher::ByRegexp(pattern)
            }
            _ => Matcher::ByName(options.text()),
        };
        let properties = map.at("properties").items().iter().filter_map(property).collect();
        map.only("");
        panel.overrides.push(Override { matcher, properties });
    }
    map.only("");
}

fn property(at: &At<'_>) -> Option<Property> {
    let map = at.map();
    let id = map.at("id").text();
    let value = map.at("value").called(format!("fieldConfig.overrides.{id}"));
    match id.as_str() {
        "unit" => Some(Property::Unit(unit(&value))),
        "decimals" => decimals(&value).map(Property::Decimals),
        "displayName" => Some(Property::DisplayName(name(&value))),
        "color" => color(&value).0.map(Property::Color),
        "min" => value.number().map(Property::Min),
        "max" => value.number().map(Property::Max),
        "custom.lineWidth" => value.number().map(Property::LineWidth),
        "custom.fillOpacity" => value.number().map(Property::FillOpacity),
        // A table's column widths are ours to choose, and how a cell is painted is its threshold's.
        "custom.width" | "custom.align" | "custom.cellOptions" => None,
        // What is not seen in a picture.
        "links" | "description" | "custom.hideFrom" if id != "custom.hideFrom" || !hides(&value) => None,
        _ => {
            value.note("is outside what is drawn here");
            None
        }
    }
}

/// Whether a field is hidden anywhere.
fn hides(at: &At<'_>) -> bool {
    at.is_map() && at.map().entries().any(|(_, one)| one.as_flag() == Some(true))
}

/// A name as it stands: what Grafana would fill in is refused.
fn name(at: &At<'_>) -> String {
    let name = at.text();
    if name.contains("${") {
        at.note("variables in names are outside what is drawn here; use legendFormat");
    }
    name
}

fn unit(at: &At<'_>) -> String {
    let unit = at.text();
    if !format::is_known(&unit) {
        at.note(&format!("the unit `{unit}` is outside what is written here"));
    }
    unit
}

fn decimals(at: &At<'_>) -> Option<u8> {
    at.whole(12).and_then(|digits| u8::try_from(digits).ok())
}

/// A fixed colour, and whether thresholds colour.
fn color(at: &At<'_>) -> (Option<String>, bool) {
    let map = at.map();
    let fixed = map.at("fixedColor");
    let color = match map.at("mode").word(&["palette-classic", "fixed", "thresholds"]) {
        "fixed" => (Some(color_name(&fixed)), false),
        mode => (None, mode == "thresholds"),
    };
    map.only("seriesBy");
    color
}

fn color_name(at: &At<'_>) -> String {
    let color = at.text();
    if !draw::theme::is_color(&color) {
        at.note(&format!("`{color}` is no colour known here; write #rrggbb"));
    }
    color
}

fn defaults(map: &Map<'_>, kind: &Kind) -> Field {
    let (color, color_by_threshold) = match map.at("color") {
        at if at.is_there() => color(&at),
        // Grafana's own default: thresholds for everything but lines.
        _ => (None, *kind != Kind::Timeseries),
    };
    let thresholds = map.at("thresholds").map();
    thresholds.at("mode").word(&["absolute"]);
    let steps = steps(&thresholds.at("steps"));
    thresholds.only("");
    let custom = map.at("custom").map();
    let style = if *kind == Kind::Timeseries { lines(&custom) } else { of_no_lines(&custom) };
    let field = Field {
        unit: unit(&map.at("unit")),
        decimals: decimals(&map.at("decimals")),
        min: map.at("min").number(),
        max: map.at("max").number(),
        display_name: Some(name(&map.at("displayName"))).filter(|name| !name.is_empty()),
        no_value: map.at("noValue").words(),
        color,
        color_by_threshold,
        thresholds: steps,
        mappings: mappings(&map.at("mappings")),
        ..style
    };
    // Off, a unit is written behind the number as it is.
    let scaled = map.at("unitScale");
    scaled.outside_unless(scaled.as_flag() == Some(true));
    map.only("links description fieldMinMax");
    field
}

fn steps(at: &At<'_>) -> Vec<Threshold> {
    let mut read: Vec<Threshold> = Vec::new();
    for one in at.items() {
        let step = one.map();
        // The first step is the base, whatever its value says.
        let value = step.at("value").number().filter(|_| !read.is_empty()).unwrap_or(f64::NEG_INFINITY);
        if read.last().is_some_and(|last| last.value >= value) {
            one.note("must go upwards");
        }
        read.push(Threshold { value, color: color_name(&step.at("color")) });
    }
    read
}

/// Of tables: alignment and cell painting, which are ours to choose; the others have nothing of their own.
fn of_no_lines(map: &Map<'_>) -> Field {
    map.only("align cellOptions displayMode filterable inspect width hideFrom");
    Field { line_width: 1.0, ..Field::default() }
}

fn lines(map: &Map<'_>) -> Field {
    map.at("drawStyle").word(&["line"]);
    map.at("axisPlacement").word(&["auto", "left"]);
    map.at("scaleDistribution").map().at("type").word(&["linear"]);
    let stacked = map.at("stacking").map().at("mode").word(&["none", "normal"]) == "normal";
    // Of values beside the lines there are none.
    map.at("showValues").outside_unless(map.at("showValues").as_flag() == Some(false));
    let hidden = map.at("hideFrom");
    hidden.outside_unless(!hides(&hidden));
    let interpolation = match map.at("lineInterpolation").word(&["linear", "stepAfter", "stepBefore", "smooth"]) {
        "smooth" => Interpolation::Smooth,
        "stepAfter" => Interpolation::StepAfter,
        "stepBefore" => Interpolation::StepBefore,
        _ => Interpolation::Linear,
    };
    let thresholds = map.at("thresholdsStyle").map().at("mode").word(&["off", "line"]);
    let field = Field {
        interpolation,
        threshold_lines: thresholds == "line",
        stacked,
        span_nulls: map.at("spanNulls").flag(),
        line_width: map.at("lineWidth").number().unwrap_or(1.0).clamp(0.0, 10.0),
        fill_opacity: map.at("fillOpacity").number().unwrap_or(0.0).clamp(0.0, 100.0),
        ..Field::default()
    };
    map.only(
        "gradientMode showPoints pointSize axisLabel axisColorMode axisBorderShow axisGridShow \
         axisCenteredZero barAlignment barWidthFactor tooltip viz legend insertNulls lineStyle \
         axisSoftMin axisSoftMax",
    );
    field
}

fn mappings(at: &At<'_>) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    for one in at.items() {
        let map = one.map();
        let options = map.at("options").map();
        match map.at("type").word(&["value", "range", "special", "regex"]) {
            "value" => {
                for (key, at) in options.entries() {
                    // Of a text that is no number no value is.
                    let of = key.parse().ok().filter(|number: &f64| !number.is_nan()).map(Mapped::Value);
                    mappings.extend(mapping(of, &at));
                }
            }
            "range" => {
                let end = |key, none| options.at(key).as_number().unwrap_or(none);
                let of = Mapped::Range(end("from", f64::NEG_INFINITY), end("to", f64::INFINITY));
                mappings.extend(mapping(Some(of), &options.at("result")));
            }
            "special" => {
                let of = match options.at("match").as_text() {
                    Some("nan" | "null+nan" | "null") => Some(Mapped::Missing),
                    _ => None,
                };
                mappings.extend(mapping(of, &options.at("result")));
            }
            // Of texts: a value is a number.
            _ => {}
        }
        map.only("");
    }
    mappings
}

fn mapping(of: Option<Mapped>, at: &At<'_>) -> Option<Mapping> {
    let result = at.map();
    let color = result.at("color");
    let color = color.is_there().then(|| color_name(&color));
    let text = result.at("text").as_text().unwrap_or_default().to_owned();
    result.only("text index icon");
    of.map(|of| Mapping { of, text, color })
}

fn options(map: &Map<'_>, panel: &mut Panel) {
    let legend = map.at("legend").map();
    let shown = calculations(&legend.at("calcs"));
    if !shown.is_empty() {
        panel.legend = Some(shown);
    }
    let mode = legend.at("displayMode").word(&["list", "table", "hidden"]);
    if mode == "hidden" || legend.at("showLegend").as_flag() == Some(false) {
        panel.legend = None;
    }
    legend.only("placement sortBy sortDesc width isVisible asTable");
    let reduce = map.at("reduceOptions").map();
    if reduce.at("values").flag() {
        reduce.at("values").note("is outside what is drawn here; reduce to one value a series");
    }
    reduce.at("fields").word(&["", "/^Value$/"]);
    let reduced = calculations(&reduce.at("calcs"));
    if reduced.len() > 1 {
        reduce.at("calcs").note("one calculation is drawn");
    }
    if !reduced.is_empty() {
        panel.calculations = reduced;
    }
    reduce.only("limit");
    if panel.kind == Kind::Stat {
        panel.sparkline = map.at("graphMode").word(&["area", "none"]) == "area";
        panel.plain = map.at("colorMode").word(&["value", "none"]) == "none";
        map.at("textMode").word(&["auto"]);
    }
    if panel.kind == Kind::BarGauge {
        map.at("displayMode").word(&["basic"]);
    }
    if let Some(one) = map.at("sortBy").items().first() {
        let one = one.map();
        panel.columns.sort = Some((one.at("displayName").text(), one.at("desc").flag()));
    }
    map.only(OPTIONS_OF_NO_BEARING);
}

/// The first four have one on some kinds of panels alone.
const OPTIONS_OF_NO_BEARING: &str = "graphMode colorMode textMode displayMode showHeader tooltip orientation justifyMode \
    showThresholdLabels showThresholdMarkers showUnfilled minVizWidth minVizHeight maxVizHeight sizing \
    valueMode namePlacement wideLayout percentChangeColorMode showPercentChange text footer cellHeight \
    frameIndex timezone alertThreshold dataLinks";

fn calculations(at: &At<'_>) -> Vec<Calculation> {
    let mut calculations = Vec::new();
    for one in at.items() {
        match one.as_text().and_then(Calculation::by_id) {
            Some(calculation) => calculations.push(calculation),
            None => one.note(&format!("{} is outside what is computed here", one.shown())),
        }
    }
    calculations
}

fn transformations(at: &At<'_>, columns: &mut Columns) {
    for one in at.items() {
        let map = one.map();
        map.at("id").word(&["organize"]);
        let options = map.at("options").map();
        for (name, hidden) in options.at("excludeByName").map().entries() {
            if hidden.flag() {
                columns.hidden.push(name.to_owned());
            }
        }
        for (name, shown) in options.at("renameByName").map().entries() {
            columns.renamed.insert(name.to_owned(), shown.text());
        }
        for (name, order) in options.at("indexByName").map().entries() {
            columns.order.insert(name.to_owned(), order.whole(1000).unwrap_or(0));
        }
        options.only("includeByName");
        map.only("");
    }
}
